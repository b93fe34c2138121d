"""Workers that train nothing: one process that speaks for all of them, each over its own socket, as real ones would.

Each keeps the files of its trial as a worker does (outbox, outcome), reports an epoch each second, and ends the trial
when it is told to, or after its last epoch. How long each report waited for its answer is written as JSON at the end.

    python -m benchmarks.simulated_workers FILE EPOCH_SECONDS CHECKPOINT_SECONDS FD...
"""

from __future__ import annotations

import heapq
import json
import os
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

import sweeper
from benchmarks.curves import make_curves
from sweeper.launch.messages import (
    Attempt,
    AttemptEnded,
    EpochDone,
    Event,
    Proceed,
    Prune,
    Shutdown,
    Stop,
    WorkerReady,
    from_json,
    to_json,
)
from sweeper.study.config import TrialConfig
from sweeper.tracking.outbox import OutboxWriter, Row
from sweeper.tracking.workspace import TrialFiles, write_json

__all__ = ["Worker", "main"]


@dataclass
class Worker:
    """One worker."""

    index: int
    connection: Connection
    epoch_seconds: float
    checkpoint_seconds: float
    waits: list[float] = field(default_factory=list)
    """Seconds from each report to its answer."""
    answered_at: list[float] = field(default_factory=list)
    """When each answer came, by time.monotonic()."""
    gaps: list[float] = field(default_factory=list)
    """Seconds without a trial, from the end of one to the order for the next."""
    told_at: float | None = None
    """When the report that has no answer yet was sent."""
    ended_at: float | None = None
    attempt: Attempt | None = None
    epoch: int = 0
    saved_at: float = 0.0

    def send(self, event: Event) -> None:
        self.connection.send_bytes(to_json(event))

    def begin(self, attempt: Attempt) -> None:
        """A trial was given."""
        if self.ended_at is not None:
            self.gaps.append(time.monotonic() - self.ended_at)
        self.attempt, self.epoch, self.saved_at, self.told_at = attempt, 0, time.monotonic(), None
        self.files = TrialFiles(folder=Path(attempt.folder))
        config = TrialConfig.model_validate(attempt.config)
        self.curves: dict[str, np.ndarray] = make_curves(config, config.training.epochs, seed=attempt.number)
        self.n_epochs = config.training.epochs
        self.outbox = OutboxWriter(self.files.outbox)

    def answered(self) -> None:
        """The driver has looked at the last report."""
        if self.told_at is not None:
            now = time.monotonic()
            self.waits.append(now - self.told_at)
            self.answered_at.append(now)
            self.told_at = None

    def train(self) -> bool:
        """An epoch has passed. Returns whether there are more."""
        assert self.attempt is not None
        if self.told_at is not None:  # it would wait for the driver
            return True
        self.epoch += 1
        values = {name: float(column[self.epoch - 1]) for name, column in self.curves.items()}
        self.outbox.append(Row(epoch=self.epoch, timestamp_ms=time.time_ns() // 1_000_000, values=values))
        self.told_at = time.monotonic()
        self.send(
            EpochDone(
                worker=self.index,
                number=self.attempt.number,
                epoch=self.epoch,
                value=values[self.attempt.metric],
                objective=values["objective"],
                pictures_per_second=values["pictures_per_second"],
            )
        )
        if self.epoch == self.n_epochs:
            self.told_at = None
            self.end("COMPLETE")
            return False
        if time.monotonic() - self.saved_at >= self.checkpoint_seconds:
            self.outbox.release()
            self.saved_at = time.monotonic()
        return True

    def end(self, state: str) -> None:
        """The trial is over."""
        assert self.attempt is not None
        self.outbox.release()
        self.outbox.close()
        value = float(self.curves["objective"][self.epoch - 1])
        end_time_ms, tags = time.time_ns() // 1_000_000, {"sweeper.attempt": "1"}
        outcome = {"state": state, "value": value, "reason": "", "end_time_ms": end_time_ms, "tags": tags}
        write_json(self.files.outcome, outcome)
        self.leave("outcome")

    def leave(self, how: str) -> None:
        """The trial is no longer this worker's."""
        assert self.attempt is not None
        number, self.attempt, self.ended_at = self.attempt.number, None, time.monotonic()
        self.send(AttemptEnded(worker=self.index, number=number, how=how))  # type: ignore[arg-type]


class Simulation:
    """All workers, each in its own second."""

    def __init__(self, workers: list[Worker]) -> None:
        self.workers = workers
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, Worker, Attempt]] = []
        self._order = count()
        for worker in workers:
            self._selector.register(worker.connection, selectors.EVENT_READ, worker)

    def run(self) -> None:
        """Until all were told to shut down, or the driver is gone."""
        for worker in self.workers:
            worker.send(
                WorkerReady(
                    worker=worker.index,
                    version=sweeper.__version__,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    device="cpu",
                    n_threads=1,
                )
            )
        while self._selector.get_map():
            wait_seconds = max(self._due[0][0] - time.monotonic(), 0.0) if self._due else 1.0
            for key, _ in self._selector.select(wait_seconds):
                self._read(key.data)
            while self._due and self._due[0][0] <= time.monotonic():
                due, _, worker, attempt = heapq.heappop(self._due)
                if worker.attempt is attempt and worker.train():
                    self._plan(worker, due)

    def _plan(self, worker: Worker, after: float) -> None:
        assert worker.attempt is not None
        heapq.heappush(self._due, (after + worker.epoch_seconds, next(self._order), worker, worker.attempt))

    def _read(self, worker: Worker) -> None:
        try:
            order = from_json(worker.connection.recv_bytes())
        except (EOFError, OSError):
            order = Shutdown()
        if isinstance(order, Attempt):
            worker.begin(order)
            # Workers that begin together would report together for ever; real epochs differ in length.
            self._plan(worker, time.monotonic() - worker.epoch_seconds * (worker.index * 0.618 % 1))
        elif isinstance(order, Proceed | Prune):
            worker.answered()
            if isinstance(order, Prune) and worker.attempt is not None and worker.attempt.number == order.number:
                worker.end("PRUNED")
        elif isinstance(order, Stop) and worker.attempt is not None:
            worker.outbox.release()
            worker.outbox.close()
            worker.leave("stopped")
        elif isinstance(order, Shutdown):
            self._selector.unregister(worker.connection)


def main(arguments: list[str]) -> None:
    """Simulate workers until they are shut down."""
    path, epoch_seconds, checkpoint_seconds, *fds = arguments
    workers = [
        Worker(index, Connection(int(fd)), float(epoch_seconds), float(checkpoint_seconds))
        for index, fd in enumerate(fds)
    ]
    begun = time.process_time()
    Simulation(workers).run()
    measured = {
        "waits": [round(wait, 5) for worker in workers for wait in worker.waits],
        "answered_at": [moment for worker in workers for moment in worker.answered_at],
        "gaps": [round(gap, 5) for worker in workers for gap in worker.gaps],
        "cpu_seconds": time.process_time() - begun,
    }
    Path(path).write_text(json.dumps(measured))


if __name__ == "__main__":
    main(sys.argv[1:])
