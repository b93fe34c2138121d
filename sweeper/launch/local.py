"""A launcher of worker processes on this machine: one for each GPU, several for each GPU, or shares of the CPU."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path

from sweeper.launch.launcher import WorkerSlot
from sweeper.launch.messages import (
    Attempt,
    Event,
    Order,
    Proceed,
    Prune,
    Shutdown,
    Stop,
    WorkerDied,
    from_json,
    to_json,
)
from sweeper.launch.process import ChildProcess
from sweeper.places import Places

__all__ = ["LocalLauncher"]

SHUTDOWN_SECONDS = 5.0


class _Worker(ChildProcess):
    """One worker process."""

    def __init__(self, slot: WorkerSlot, places: Places, log: Path) -> None:
        self.slot = slot
        arguments = [str(slot.index), slot.device, str(slot.n_threads), *places.to_arguments()]
        super().__init__("sweeper.launch.worker", arguments, n_threads=slot.n_threads, log=log)

    def order(self, order: Order) -> None:
        self.send(to_json(order))


class LocalLauncher:
    """Implements `Launcher` with processes of this machine."""

    def __init__(self, slots: Sequence[WorkerSlot], *, places: Places, log_dir: Path) -> None:
        self.slots = slots
        self._places = places
        self._log_dir = log_dir
        self._processes: dict[int, _Worker] = {}

    def start(self) -> None:
        for slot in self.slots:
            self._start_worker(slot)

    def _start_worker(self, slot: WorkerSlot) -> None:
        self._processes[slot.index] = _Worker(slot, self._places, self._log_dir / f"{slot.index}.log")

    def submit(self, worker: int, attempt: Attempt) -> None:
        self._processes[worker].order(attempt)

    def prune(self, worker: int, number: int) -> None:
        self._processes[worker].order(Prune(number=number))

    def proceed(self, worker: int, number: int, epoch: int) -> None:
        self._processes[worker].order(Proceed(number=number, epoch=epoch))

    def stop(self, worker: int) -> None:
        self._processes[worker].order(Stop())

    def restart(self, worker: int) -> None:
        self._start_worker(self.slots[worker])

    def poll(self, timeout_seconds: float) -> list[Event]:
        by_connection = {process.connection: process for process in self._processes.values()}
        events: list[Event] = []
        for connection in wait(list(by_connection), timeout=timeout_seconds):
            assert isinstance(connection, Connection)
            process = by_connection[connection]
            while True:
                message = process.receive()
                if message is None:
                    events.append(self._bury(process))
                    break
                events.append(from_json(message))
                if not connection.poll():
                    break
        return events

    def _bury(self, process: _Worker) -> WorkerDied:
        process.connection.close()
        del self._processes[process.slot.index]
        try:
            exit_code = process.popen.wait(timeout=SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            process.popen.kill()
            exit_code = process.popen.wait()
        return WorkerDied(worker=process.slot.index, exit_code=exit_code, output=process.last_output())

    def close(self, *, kill: bool = False) -> None:
        for process in self._processes.values():
            if kill:
                process.popen.kill()
            else:
                process.order(Shutdown())
        for process in self._processes.values():
            try:
                process.popen.wait(timeout=SHUTDOWN_SECONDS)
            except subprocess.TimeoutExpired:
                process.popen.kill()
                process.popen.wait()
            process.connection.close()
        self._processes.clear()
