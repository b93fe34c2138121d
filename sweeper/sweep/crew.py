"""The workers in a driver's hand: who is free, who has what, who has died too often."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from sweeper.launch.launcher import Launcher
from sweeper.launch.messages import EpochDone, Preparing, WorkerDied, WorkerReady
from sweeper.search.optimizer import Proposal
from sweeper.sweep.progress import Progress

__all__ = ["Assignment", "Crew"]

MAX_DEATHS_IN_A_ROW = 5
"""Deaths of one worker without an epoch in between, after which it is retired."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A trial that a worker has."""

    proposal: Proposal
    started: float
    """On the monotonic clock."""

    @property
    def seconds(self) -> float:
        """How long the worker has had it."""
        return time.monotonic() - self.started


class Crew:
    """Keeps account of the workers of a launcher, and shows it in the sweep's progress."""

    def __init__(self, launcher: Launcher, progress: Progress) -> None:
        self._launcher = launcher
        self._workers = progress.workers
        self._idle: list[int] = []
        self._assigned: dict[int, Assignment] = {}
        self._deaths: dict[int, int] = {}

    @property
    def n_idle(self) -> int:
        """Workers that wait for a trial."""
        return len(self._idle)

    @property
    def is_busy(self) -> bool:
        """Whether any worker has a trial."""
        return bool(self._assigned)

    @property
    def is_lost(self) -> bool:
        """Whether every worker is retired."""
        return all(worker.state == "lost" for worker in self._workers)

    def assignments(self) -> Iterator[tuple[int, Assignment]]:
        """Workers and the trials that they have."""
        yield from list(self._assigned.items())

    def ready(self, event: WorkerReady) -> None:
        """A worker has started."""
        self._idle.append(event.worker)
        self._workers[event.worker].state = "idle"

    def assign(self, proposal: Proposal) -> int:
        """Choose an idle worker for a trial."""
        worker = self._idle.pop(0)
        self._assigned[worker] = Assignment(proposal=proposal, started=time.monotonic())
        shown = self._workers[worker]
        shown.state, shown.number, shown.epoch = "training", proposal.number, 0
        shown.n_epochs, shown.objective, shown.preparing = proposal.config.training.epochs, None, None
        return worker

    def preparing(self, event: Preparing) -> bool:
        """A worker computes what its trial needs before its first epoch. Returns whether it has just begun."""
        shown = self._workers[event.worker]
        begun, shown.preparing = shown.preparing is None, (event.done, event.total)
        return begun

    def epoch_done(self, event: EpochDone) -> None:
        """A worker has finished an epoch."""
        shown = self._workers[event.worker]
        shown.preparing = None
        shown.epoch, shown.objective = event.epoch, event.objective
        shown.pictures_per_second = event.pictures_per_second
        self._deaths[event.worker] = 0

    def release(self, worker: int, *, leaving: bool = False) -> Assignment:
        """Take back a worker's trial; the worker is idle, unless it is leaving."""
        assignment = self._assigned.pop(worker)
        shown = self._workers[worker]
        shown.state, shown.number, shown.pictures_per_second = "starting" if leaving else "idle", None, None
        if not leaving:
            self._idle.append(worker)
        return assignment

    def died(self, event: WorkerDied, *, preempted: bool, restart: bool = True) -> Assignment | None:
        """A worker's process has ended. Another is started in its place, or the worker is retired.

        Args:
            event: The death.
            preempted: Whether it was asked to leave, which does not count.
            restart: Whether another is wanted.

        Returns:
            The trial that it had.
        """
        worker = event.worker
        assignment = self._assigned.pop(worker, None)
        if worker in self._idle:
            self._idle.remove(worker)
        if not preempted:
            self._deaths[worker] = self._deaths.get(worker, 0) + 1
        shown = self._workers[worker]
        shown.number, shown.pictures_per_second = None, None
        shown.state = "lost" if self._deaths.get(worker, 0) >= MAX_DEATHS_IN_A_ROW else "starting"
        if shown.state == "starting" and restart:
            self._launcher.restart(worker)
        return assignment
