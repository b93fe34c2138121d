"""A launcher of worker processes on this machine: one for each GPU, several for each GPU, or shares of the CPU."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
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
from sweeper.masking import SECRET_VARIABLES

__all__ = ["LocalLauncher"]

SHUTDOWN_SECONDS = 5.0


class _Process:
    """One worker process, the driver's end of its socket pair, and its log."""

    def __init__(self, slot: WorkerSlot, *, cache_dir: Path, data_dir: Path | None, log: Path) -> None:
        self.slot = slot
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair()
        threads = str(slot.n_threads)
        # Threads are fixed before any library starts its pool. A worker needs no database, and so no password.
        environment = {key: value for key, value in os.environ.items() if key not in SECRET_VARIABLES}
        environment |= {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        arguments = [str(theirs.fileno()), str(slot.index), slot.device, threads, str(cache_dir), str(data_dir or "")]
        with log.open("ab") as output:
            self.log_start = output.tell()
            self.popen = subprocess.Popen(  # noqa: S603  # our own module
                [sys.executable, "-m", "sweeper.launch.worker", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                env=environment,
                start_new_session=True,
            )
        theirs.close()
        self.connection = Connection(ours.detach())

    def send(self, order: Order) -> None:
        with contextlib.suppress(OSError):  # it has died; `poll` will say so
            self.connection.send_bytes(to_json(order))

    def receive(self) -> Event | None:
        """The next event; None once the process has died and everything it said has been read."""
        try:
            event: Event = from_json(self.connection.recv_bytes())
        except (EOFError, OSError):
            return None
        return event

    def last_output(self, max_bytes: int = 4000) -> str:
        with self.log.open("rb") as file:
            file.seek(max(self.log_start, self.log.stat().st_size - max_bytes))
            return file.read().decode(errors="replace")


class LocalLauncher:
    """Implements `Launcher` with processes of this machine."""

    def __init__(self, slots: Sequence[WorkerSlot], *, cache_dir: Path, data_dir: Path | None, log_dir: Path) -> None:
        self.slots = slots
        self._cache_dir = cache_dir
        self._data_dir = data_dir
        self._log_dir = log_dir
        self._processes: dict[int, _Process] = {}

    def start(self) -> None:
        for slot in self.slots:
            self._start_worker(slot)

    def _start_worker(self, slot: WorkerSlot) -> None:
        self._processes[slot.index] = _Process(
            slot, cache_dir=self._cache_dir, data_dir=self._data_dir, log=self._log_dir / f"{slot.index}.log"
        )

    def submit(self, worker: int, attempt: Attempt) -> None:
        self._processes[worker].send(attempt)

    def prune(self, worker: int, number: int) -> None:
        self._processes[worker].send(Prune(number=number))

    def proceed(self, worker: int, number: int, epoch: int) -> None:
        self._processes[worker].send(Proceed(number=number, epoch=epoch))

    def stop(self, worker: int) -> None:
        self._processes[worker].send(Stop())

    def restart(self, worker: int) -> None:
        self._start_worker(self.slots[worker])

    def poll(self, timeout_seconds: float) -> list[Event]:
        by_connection = {process.connection: process for process in self._processes.values()}
        events: list[Event] = []
        for connection in wait(list(by_connection), timeout=timeout_seconds):
            assert isinstance(connection, Connection)
            process = by_connection[connection]
            while True:
                event = process.receive()
                if event is None:
                    events.append(self._bury(process))
                    break
                events.append(event)
                if not connection.poll():
                    break
        return events

    def _bury(self, process: _Process) -> WorkerDied:
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
                process.send(Shutdown())
        for process in self._processes.values():
            try:
                process.popen.wait(timeout=SHUTDOWN_SECONDS)
            except subprocess.TimeoutExpired:
                process.popen.kill()
                process.popen.wait()
            process.connection.close()
        self._processes.clear()
