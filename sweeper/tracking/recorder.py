"""The recorder: a thread of the driver that records every trial that has news.

A tracker that is slow or down holds up nothing but itself: files wait, and `sweeper sync` sends what is left. One that
denies access is not tried again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sweeper.denials import Denial
from sweeper.errors import AccessError, SweeperError
from sweeper.masking import without_passwords
from sweeper.tracking.recording import Parent, StudyInfo, record_study, record_study_status, record_trial
from sweeper.tracking.tracker import Tracker
from sweeper.tracking.workspace import StudyFiles

__all__ = ["Recorder"]

MIN_SECONDS = 2.0
"""A trial that is being trained is brought up to date at most so often."""
MAX_SHARE = 0.5
"""Of a core: MLflow's client computes for 20 ms or so at each request, and the driver that hears hundreds of workers is
in the same process. Nothing is lost by it but that news of a big sweep comes some seconds later."""
MAX_PAUSE_SECONDS = 0.1
MIN_BACKOFF_SECONDS = 0.25
MAX_BACKOFF_SECONDS = 30.0


class Recorder:
    """A thread that records trials as they have news.

    Args:
        connect: Makes the tracker; called in the thread, since connecting takes seconds and may fail for now.
        files: The study's files.
        info: What the tracker shows of the study.
        on_problem: Told when the tracker begins to fail, with the reason, and when it works again, with None.
    """

    def __init__(
        self,
        connect: Callable[[], Tracker],
        files: StudyFiles,
        info: StudyInfo,
        *,
        on_problem: Callable[[str | None], None] = lambda problem: None,
    ) -> None:
        self._connect = connect
        self._files = files
        self._info = info
        self._on_problem = on_problem
        self._pending: dict[int, float] = {}  # trial number: not before this time.monotonic()
        self._recorded_at: dict[int, float] = {}
        self._lock = threading.Condition()
        self._busy = False
        self._closing = False
        self._retry_now = False
        self._n_flushing = 0
        self._problem: str | None = None
        self.denial = Denial()
        """What the tracker says when it denies access; the thread has ended then."""
        self._tracker: Tracker | None = None
        self._parent: Parent | None = None
        self._parent_status: tuple[str, int | None] | None = None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def note(self, number: int, *, urgent: bool = False) -> None:
        """Say that a trial has news; `urgent` when it has ended."""
        with self._lock:
            now = time.monotonic()
            due = now if urgent else max(now, self._recorded_at.get(number, 0.0) + MIN_SECONDS)
            self._pending[number] = min(due, self._pending.get(number, due))
            self._lock.notify_all()

    def set_study_status(self, status: str, end_time_ms: int | None) -> None:
        """Set the status of the parent run."""
        with self._lock:
            self._parent_status = (status, end_time_ms)
            self._lock.notify_all()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until everything noted has been recorded; False when that took too long.

        A tracker that has failed is tried again at once.
        """
        deadline = time.monotonic() + timeout_seconds
        with self._lock:
            for number in self._pending:
                self._pending[number] = 0.0
            self._retry_now = True
            self._n_flushing += 1
            self._lock.notify_all()
            try:
                while self._pending or self._parent_status is not None or self._busy:
                    remaining = deadline - time.monotonic()
                    if remaining <= 0 or self.denial.error is not None or not self._thread.is_alive():
                        return False
                    self._lock.wait(min(remaining, 1.0))
            finally:
                self._n_flushing -= 1
        return True

    @property
    def problem(self) -> str | None:
        """Why the tracker does not work at the moment, if so."""
        return self._problem

    def close(self) -> None:
        """End the thread after the call that it is in."""
        with self._lock:
            self._closing = True
            self._lock.notify_all()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        backoff = MIN_BACKOFF_SECONDS
        while True:
            work = self._next()
            if work is None:
                return
            cpu_begun = time.thread_time()
            try:
                self._work(work)
            except AccessError as error:  # it takes another account, which this process does not get
                with self._lock:
                    self._put_back(work)
                    self._busy = False
                    self._lock.notify_all()
                self.denial.found(error)
                return
            except Exception as error:  # noqa: BLE001  # whatever it is, what is not sent must be tried again
                known = isinstance(error, SweeperError | OSError)
                problem = without_passwords(str(error) if known else f"{type(error).__name__}: {error}")
                if self._problem is None:
                    self._on_problem(problem)
                self._problem = problem
                with self._lock:
                    self._put_back(work)
                    self._busy = False
                    self._lock.notify_all()
                    self._lock.wait_for(lambda: self._closing or self._retry_now, timeout=backoff)
                    backoff = MIN_BACKOFF_SECONDS if self._retry_now else min(backoff * 2, MAX_BACKOFF_SECONDS)
                    self._retry_now = False
            else:
                if self._problem is not None:
                    self._problem = None
                    self._on_problem(None)
                backoff = MIN_BACKOFF_SECONDS
                pause_seconds = min((time.thread_time() - cpu_begun) * (1 / MAX_SHARE - 1), MAX_PAUSE_SECONDS)
                with self._lock:
                    self._busy = False
                    self._lock.notify_all()
                    self._lock.wait_for(lambda: self._closing or self._n_flushing > 0, timeout=pause_seconds)

    def _next(self) -> int | tuple[str, int | None] | None:
        """The next thing to do: a trial's number or the parent's status; None when it is time to end."""
        with self._lock:
            while not self._closing:
                now = time.monotonic()
                if self._pending:
                    number = min(self._pending, key=lambda n: (self._pending[n], n))
                    if self._pending[number] <= now:
                        del self._pending[number]
                        self._busy = True
                        return number
                # A study that has ended is shown as ended last, any other change of its status when there is time.
                if self._parent_status is not None and (not self._pending or self._parent_status[1] is None):
                    status, self._parent_status = self._parent_status, None
                    self._busy = True
                    return status
                soonest = min(self._pending.values(), default=now + 1.0)
                self._lock.wait(max(soonest - now, 0.01))
        return None

    def _put_back(self, work: int | tuple[str, int | None]) -> None:
        if isinstance(work, int):
            self._pending[work] = time.monotonic()
        elif self._parent_status is None:
            self._parent_status = work

    def _work(self, work: int | tuple[str, int | None]) -> None:
        if self._tracker is None:
            self._tracker = self._connect()
        if self._parent is None:
            self._parent = record_study(self._tracker, self._files, self._info)
        if isinstance(work, int):
            record_trial(self._tracker, self._files.trial(work), self._parent)
            self._recorded_at[work] = time.monotonic()
        else:
            status, end_time_ms = work
            record_study_status(self._tracker, self._files, self._parent, status, end_time_ms)
