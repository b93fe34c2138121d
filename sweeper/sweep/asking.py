"""Asking for trials ahead of the workers that will have them."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from sweeper.failpoints import failpoint
from sweeper.search.mirror import Pending
from sweeper.search.optimizer import Optimizer, Proposal

__all__ = ["Asker"]

SHORT_TRIAL_SECONDS = 5.0
"""Asking, storing and dispatching take about 50 ms; for trials shorter than this a worker would wait for over 1 %."""


class Asker:
    """Asks an optimizer for trials, one at a time, since workers wait meanwhile.

    A sampler that learns takes longest, and works in a thread beside the driver. Reports are answered meanwhile; what
    would change what the sampler knows, or what it draws next, has to wait while `is_asking`.

    Args:
        optimizer: The study.
        queue_file: By which a user says that a configuration is asked for; see `StudyFiles.queue`.
        n_workers: That trials may be asked for ahead, where trials are short; 0 for none.
    """

    def __init__(self, optimizer: Optimizer, queue_file: Path, *, n_workers: int) -> None:
        self._optimizer = optimizer
        self._queue_file = queue_file
        self._n_workers = n_workers
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="asker")
        self._asking: Future[Proposal] | None = None
        self._queue_reading: Pending | None = None
        self.ready: deque[Proposal] = deque()
        """Trials that no worker has yet, in the order in which they begin."""

    @property
    def is_asking(self) -> bool:
        """Whether the sampler computes a trial at the moment."""
        return self._asking is not None

    @property
    def has_read_queue(self) -> bool:
        """Whether what users have asked for is known."""
        return self._queue_reading is None or self._queue_reading.done.is_set()

    def settle(self) -> bool:
        """Take the trial that the sampler has computed. Returns whether it computes none any more."""
        if self._asking is not None:
            if not self._asking.done():
                return False
            self.ready.append(self._asking.result())
            self._asking = None
            failpoint("driver.asked")
        return True

    def ask(self, *, n_idle: int, is_busy: bool, mean_seconds: float | None) -> bool:
        """Ask for a trial, where one is missing: there is to be one for each idle worker. Where trials are short, there
        is to be one more, or one more for each worker where the sampler loses nothing by it.

        Args:
            n_idle: Workers that wait for a trial.
            is_busy: Whether any worker has one.
            mean_seconds: Of the trials that have ended; None for none.

        Returns:
            Whether more are missing that can be asked for now.
        """
        if self._asking is not None:
            return False
        self._look_for_queued()
        if not self.has_read_queue:
            return False
        learns = self._optimizer.learns
        wanted = n_idle
        if mean_seconds is not None and mean_seconds < SHORT_TRIAL_SECONDS:
            wanted += min(1, self._n_workers) if learns else self._n_workers
        if len(self.ready) < wanted and not self._optimizer.exhausted:
            if learns and is_busy:
                self._asking = self._thread.submit(self._optimizer.ask)
                return False
            self.ready.append(self._optimizer.ask())
            failpoint("driver.asked")
        return len(self.ready) < wanted and not self._optimizer.exhausted

    def _look_for_queued(self) -> None:
        """Have the queue read again where a user has asked for a configuration. No trial is asked for meanwhile: it
        could not be dispatched before either, since it would be stored after that."""
        if self._queue_file.exists():
            self._queue_file.unlink(missing_ok=True)  # before the queue is read: what is added now, is found next time
            self._queue_reading = self._optimizer.read_queue()

    def close(self) -> None:
        """Wait for the trial that the sampler computes."""
        self._thread.shutdown()
        if self._asking is not None and self._asking.exception() is None:
            self.ready.append(self._asking.result())
