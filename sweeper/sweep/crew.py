"""The workers in a driver's hand: who is free, who has what, who has died too often."""

from __future__ import annotations

import time
from collections import Counter
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
        self._cleared: str | None = None
        """The device that one trial is to have alone, or has."""
        self._alone: int | None = None
        """The worker with that trial, once it has begun."""
        for slot in launcher.slots:
            if slot.is_reserve:
                self._workers[slot.index].state = "reserve"

    @property
    def n_idle(self) -> int:
        """Workers that wait for a trial and may have one."""
        return sum(self._workers[worker].device != self._cleared for worker in self._idle)

    @property
    def is_busy(self) -> bool:
        """Whether any worker has a trial."""
        return bool(self._assigned)

    @property
    def is_lost(self) -> bool:
        """Whether every worker is retired that was ever wanted."""
        return all(worker.state in ("lost", "reserve") for worker in self._workers)

    def assignments(self) -> Iterator[tuple[int, Assignment]]:
        """Workers and the trials that they have."""
        yield from list(self._assigned.items())

    def ready(self, event: WorkerReady) -> None:
        """A worker has started."""
        self._idle.append(event.worker)
        shown = self._workers[event.worker]
        shown.state, shown.device = "idle", event.place or shown.device

    def open(self, worker: int) -> None:
        """Start a worker that was in reserve."""
        self._workers[worker].state = "starting"
        self._launcher.restart(worker)

    def clear_device(self) -> bool:
        """Keep a device for a trial that is to have it alone: nothing else begins there. Returns whether all is over
        there, so that it can begin. False as long as another trial has a device alone."""
        if self._alone is not None:
            return False
        if self._cleared is None:
            n_busy = Counter(self._workers[worker].device for worker in self._assigned)
            devices = dict.fromkeys(w.device for w in self._workers if w.state in ("idle", "training"))
            self._cleared = min(devices, key=lambda device: n_busy[device], default=None)
        is_busy = any(self._workers[worker].device == self._cleared for worker in self._assigned)
        return not is_busy and any(self._workers[worker].device == self._cleared for worker in self._idle)

    def assign(self, proposal: Proposal, *, alone: bool = False) -> int:
        """Choose an idle worker for a trial: one that may begin, or with `alone` one on the device that was cleared."""
        worker = next(w for w in self._idle if (self._workers[w].device == self._cleared) == alone)
        if alone:
            self._alone = worker
        self._idle.remove(worker)
        self._assigned[worker] = Assignment(proposal=proposal, started=time.monotonic())
        shown = self._workers[worker]
        shown.state, shown.number, shown.epoch = "training", proposal.number, 0
        shown.n_epochs, shown.objective, shown.preparing = proposal.config.n_epochs or 0, None, None
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
        self._share_again(worker)
        shown = self._workers[worker]
        shown.state, shown.number, shown.pictures_per_second = "starting" if leaving else "idle", None, None
        if not leaving:
            self._idle.append(worker)
        return assignment

    def _share_again(self, worker: int) -> None:
        """A worker has no trial any more: if it had a device alone, others may begin there."""
        if worker == self._alone:
            self._alone = self._cleared = None

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
        self._share_again(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        if not preempted:
            self._deaths[worker] = self._deaths.get(worker, 0) + 1
        shown = self._workers[worker]
        shown.number, shown.pictures_per_second = None, None
        shown.state = "lost" if self._deaths.get(worker, 0) >= MAX_DEATHS_IN_A_ROW else "starting"
        if not any(w.state in ("idle", "training") for w in self._workers if w.device == self._cleared):
            self._cleared = None  # nobody is left there, and who comes may come elsewhere: a device is chosen anew
        if shown.state == "starting" and restart:
            self._launcher.restart(worker)
        return assignment
