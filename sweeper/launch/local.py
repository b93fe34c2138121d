"""A launcher of worker processes on this machine: one for each GPU, several for each GPU, or shares of the CPU."""

from __future__ import annotations

import selectors
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO

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
from sweeper.launch.nursery import Nursery, can_fork
from sweeper.launch.process import ChildProcess, Handle, Log, start_python
from sweeper.places import Places

__all__ = ["LocalLauncher"]

WORKER = "sweeper.launch.worker"
SHUTDOWN_SECONDS = 5.0


class _Worker(ChildProcess):
    """One worker process."""

    def __init__(self, slot: WorkerSlot, start: Callable[[int, BinaryIO], Handle], log: Path) -> None:
        super().__init__(start, log)
        self.slot = slot

    def order(self, order: Order) -> None:
        self.send(to_json(order))


class LocalLauncher:
    """Implements `Launcher` with processes of this machine.

    Args:
        slots: Where workers go.
        places: Where data lies.
        log_dir: For what workers print.
        fork: Whether workers are forked from one process that has imported torch; default: where `can_fork` says so.
        nursery: That process, where it was started before; it is closed with the launcher.
    """

    def __init__(
        self,
        slots: Sequence[WorkerSlot],
        *,
        places: Places,
        log_dir: Path,
        fork: bool | None = None,
        nursery: Nursery | None = None,
    ) -> None:
        self.slots = slots
        self._places = places
        self._log_dir = log_dir
        self._fork = can_fork(slots) if fork is None else fork
        self._nursery = nursery
        self._processes: dict[int, _Worker] = {}
        self._selector = selectors.DefaultSelector()  # kept: to register 256 sockets takes longer than to read one

    def start(self) -> None:
        for slot in self.slots:
            if not slot.is_reserve:
                self._start_worker(slot)

    def _start_worker(self, slot: WorkerSlot) -> None:
        arguments = [str(slot.index), slot.device, str(slot.n_threads), *self._places.to_arguments()]
        start: Callable[[int, BinaryIO], Handle]
        if self._fork:
            if self._nursery is None or not self._nursery.lives:
                self._nursery = Nursery(n_threads=slot.n_threads, log=Log(self._log_dir / "nursery.log"))
            start = partial(self._nursery.fork, arguments)
        else:
            start = partial(start_python, WORKER, arguments, n_threads=slot.n_threads)
        self._add(_Worker(slot, start, self._log_dir / f"{slot.index}.log"))

    def _add(self, process: _Worker) -> None:
        self._processes[process.slot.index] = process
        self._selector.register(process.connection, selectors.EVENT_READ, process)

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
        events: list[Event] = []
        for key, _ in self._selector.select(timeout_seconds):
            process, connection = key.data, key.fileobj
            assert isinstance(connection, Connection)
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
        self._selector.unregister(process.connection)
        process.connection.close()
        del self._processes[process.slot.index]
        exit_code = process.wait(SHUTDOWN_SECONDS)
        output = process.log.tail()
        if not output and exit_code is None and self._nursery is not None:  # it was never forked
            output = self._nursery.log.tail()
        return WorkerDied(worker=process.slot.index, exit_code=exit_code, output=output)

    def close(self, *, kill: bool = False) -> None:
        if kill and self._nursery is not None and not self._nursery.has_forked:
            self._nursery.close()  # there is nothing to wait for
        for process in self._processes.values():
            if kill:
                process.handle.kill()
            else:
                process.order(Shutdown())
        for process in self._processes.values():
            process.wait(SHUTDOWN_SECONDS)
            self._selector.unregister(process.connection)
            process.connection.close()
        self._processes.clear()
        self._selector.close()
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None
