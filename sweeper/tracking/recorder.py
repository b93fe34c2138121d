"""The recorder: makes the tracker show what the files of each trial say.

A run is a function of its trial's files. `record_trial` brings one run up to date and may be called at any time and
again after any crash; the `Recorder` does so in a thread of the driver for every trial that has news. A tracker that is
slow or down holds up nothing but itself: files wait, and `sweeper sync` sends what is left.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.errors import SweeperError
from sweeper.failpoints import failpoint
from sweeper.masking import without_passwords
from sweeper.tracking.outbox import read_released
from sweeper.tracking.tracker import STATUS_OF_STATE, RunInfo, Tracker
from sweeper.tracking.workspace import StudyFiles, TrialFiles, read_json, write_json

__all__ = [
    "Parent",
    "Recorder",
    "StudyInfo",
    "record_study",
    "record_study_status",
    "record_trial",
    "study_status",
    "unsent_trials",
]

MIN_SECONDS = 2.0
"""A trial that is being trained is brought up to date at most so often."""
MIN_BACKOFF_SECONDS = 0.25
MAX_BACKOFF_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class StudyInfo:
    """What the tracker shows of a study."""

    name: str
    uuid: str
    experiment_tags: Mapping[str, str]
    run: RunInfo
    """The parent run."""
    artifacts: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Parent:
    """Where a study's runs go."""

    experiment_id: str
    run_id: str


def record_study(tracker: Tracker, files: StudyFiles, info: StudyInfo) -> Parent:
    """Find or make the experiment and the parent run of a study."""
    tracked = read_json(files.tracked)
    if tracked is not None:
        return Parent(experiment_id=tracked["experiment_id"], run_id=tracked["run_id"])
    experiment_id = tracker.open_experiment(info.name, info.experiment_tags)
    run_id = _find_or_create(tracker, experiment_id, info.run, None)
    tracker.log_params(run_id, info.run.params)
    for artifact in info.artifacts:
        tracker.log_artifact(run_id, artifact, "")
    write_json(files.tracked, {"experiment_id": experiment_id, "run_id": run_id})
    failpoint("recorder.study_opened")
    return Parent(experiment_id=experiment_id, run_id=run_id)


def record_study_status(
    tracker: Tracker, files: StudyFiles, parent: Parent, status: str, end_time_ms: int | None
) -> None:
    """Set the status of the parent run."""
    tracker.set_status(parent.run_id, status, end_time_ms)
    write_json(files.tracked, {"experiment_id": parent.experiment_id, "run_id": parent.run_id, "status": status})


def study_status(files: StudyFiles) -> str | None:
    """The status of the parent run that the tracker was told last."""
    status: str | None = (read_json(files.tracked) or {}).get("status")
    return status


def record_trial(tracker: Tracker, files: TrialFiles, parent: Parent) -> str | None:
    """Bring the run of one trial up to date with its files.

    Returns:
        The run's id, or None for a trial that was never dispatched.
    """
    trial = read_json(files.trial)
    if trial is None:
        return None
    tracked: dict[str, Any] = read_json(files.tracked) or {}
    if "run_id" not in tracked:
        info = RunInfo(
            key=trial["key"],
            name=trial["name"],
            start_time_ms=trial["start_time_ms"],
            params=trial["params"],
            tags=trial["tags"],
        )
        answer_was_lost = bool(tracked.get("creating"))
        if answer_was_lost:
            run_id = _find_or_create(tracker, parent.experiment_id, info, parent.run_id)
        else:
            write_json(files.tracked, {"creating": True})
            failpoint("recorder.creating")
            run_id = tracker.create_run(parent.experiment_id, info, parent.run_id)
        failpoint("recorder.created")
        tracked = {"run_id": run_id, "sent_bytes": 0, "state": "RUNNING", "maybe_double": answer_was_lost}
        write_json(files.tracked, tracked)
    run_id = tracked["run_id"]
    before = dict(tracked)
    if not tracked.get("params"):
        tracker.log_params(run_id, trial["params"])
        failpoint("recorder.params_sent")
        tracked["params"] = True
    end = read_json(files.end)  # before the rows, so that a run which ends has all of them
    rows, offset = read_released(files.outbox, tracked["sent_bytes"])
    if rows:
        tracker.log_rows(run_id, rows)
        failpoint("recorder.rows_sent")
    tracked["sent_bytes"] = offset
    state = "RUNNING" if end is None else end["state"]
    if state != tracked["state"]:
        if tracked.get("maybe_double"):  # the lost request may have been carried out after the search for its run
            _delete_doubles(tracker, parent.experiment_id, trial["key"], run_id)
        _record_state(tracker, files, run_id, state, end or {})
        failpoint("recorder.status_sent")
        tracked["state"] = state
    if files.publish.exists() and files.model.exists() and not tracked.get("model"):
        tracker.log_artifact(run_id, files.model, "model")
        tracker.log_artifact(run_id, files.artifacts / "model.json", "model")
        failpoint("recorder.model_sent")
        tracked["model"] = True
    if tracked != before:
        write_json(files.tracked, tracked)
    return str(run_id)


def _record_state(tracker: Tracker, files: TrialFiles, run_id: str, state: str, end: Mapping[str, Any]) -> None:
    """Artifacts and tags of a trial that has ended, then its status: an ended run is complete."""
    ended = state in ("COMPLETE", "PRUNED", "FAIL")
    if ended and files.artifacts.is_dir():
        for artifact in sorted(files.artifacts.iterdir()):
            if artifact.is_file() and not artifact.is_symlink():  # a link may lead to anything that we can read
                tracker.log_artifact(run_id, artifact, "")
        failpoint("recorder.artifacts_sent")
    tags = {"sweeper.state": state, **end.get("tags", {})}
    tracker.set_tags(run_id, tags)
    tracker.set_status(run_id, STATUS_OF_STATE[state], end.get("end_time_ms") if ended else None)


def _find_or_create(tracker: Tracker, experiment_id: str, info: RunInfo, parent_run_id: str | None) -> str:
    """The one run with a key. Doubles, left by requests whose answer was lost, are deleted."""
    found = tracker.find_runs(experiment_id, info.key)
    if not found:
        return tracker.create_run(experiment_id, info, parent_run_id)
    _delete_doubles(tracker, experiment_id, info.key, found[0])
    return found[0]


def _delete_doubles(tracker: Tracker, experiment_id: str, key: str, run_id: str) -> None:
    for found in tracker.find_runs(experiment_id, key):
        if found != run_id:
            tracker.delete_run(found)


def is_recorded(files: TrialFiles) -> bool:
    """Whether the tracker has all that the files of a trial say."""
    trial, tracked, end = read_json(files.trial), read_json(files.tracked), read_json(files.end)
    if trial is None:
        return True
    if tracked is None or "run_id" not in tracked:
        return False
    _, offset = read_released(files.outbox, tracked["sent_bytes"])
    state = "RUNNING" if end is None else end["state"]
    to_publish = files.publish.exists() and files.model.exists() and not tracked.get("model")
    is_sent = bool(tracked.get("params")) and offset == tracked["sent_bytes"]
    return is_sent and state == tracked["state"] and not to_publish


def unsent_trials(files: StudyFiles) -> list[TrialFiles]:
    """The trials of which the tracker does not have everything."""
    return [trial for trial in files.trials() if not is_recorded(trial)]


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
        self._problem: str | None = None
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
            self._lock.notify_all()
            while self._pending or self._parent_status is not None or self._busy:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not self._thread.is_alive():
                    return False
                self._lock.wait(min(remaining, 1.0))
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
            try:
                self._work(work)
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
                with self._lock:
                    self._busy = False
                    self._lock.notify_all()

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
