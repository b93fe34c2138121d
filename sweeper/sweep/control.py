"""Looking after studies from outside their drivers: status, watching, stopping, deleting."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from sweeper.errors import InputError, NotFoundError, SweeperError
from sweeper.search.storage import StoredStudy, StudyStore
from sweeper.sweep.owner import Owner, own, read_owner
from sweeper.sweep.progress import Progress, read_progress
from sweeper.sweep.record import connect_tracker
from sweeper.sweep.store import open_store
from sweeper.tracking.final import final_name
from sweeper.tracking.workspace import StudyFiles, Workspace, read_json

__all__ = [
    "StudyStatus",
    "delete_study",
    "describe_study",
    "follow_progress",
    "request_stop",
    "study_statuses",
    "wait_for_end",
]

POLL_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class StudyStatus:
    """One study at a glance."""

    name: str
    state: str
    """running, finished, stopped (can be resumed) or crashed (its driver died; can be resumed)."""
    n_complete: int
    n_pruned: int
    n_failed: int
    n_running: int
    n_waiting: int
    n_trials: int
    metric: str
    best: float | None
    best_trial: int | None
    owner: Owner | None

    @property
    def n_left(self) -> int:
        """Trials until the budget is spent."""
        return max(self.n_trials - self.n_complete - self.n_pruned - self.n_failed, 0)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "n_left": self.n_left}


def study_statuses(workspace: Workspace, name: str | None = None) -> list[StudyStatus]:
    """The studies of a workspace, or one of them.

    Raises:
        NotFoundError: There is none of that name.
    """
    try:
        store = open_store(workspace)
    except NotFoundError:
        if name is not None:
            raise
        return []
    return [_status(workspace, store.read(each)) for each in ([name] if name else store.names())]


def _status(workspace: Workspace, stored: StoredStudy) -> StudyStatus:
    owner = read_owner(workspace.study_files(stored.study.name, stored.uuid))
    best = stored.best
    n_ended = stored.count("COMPLETE", "PRUNED", "FAIL")
    if owner is not None:
        state = "running"
    elif stored.count("RUNNING"):
        state = "crashed"
    else:
        state = "finished" if n_ended >= stored.n_trials else "stopped"
    return StudyStatus(
        name=stored.study.name,
        state=state,
        n_complete=stored.count("COMPLETE"),
        n_pruned=stored.count("PRUNED"),
        n_failed=stored.count("FAIL"),
        n_running=stored.count("RUNNING"),
        n_waiting=stored.count("WAITING"),
        n_trials=stored.n_trials,
        metric=stored.study.objective.metric,
        best=None if best is None else best.value,
        best_trial=None if best is None else best.number,
        owner=owner,
    )


def _files(workspace: Workspace, store: StudyStore, name: str) -> StudyFiles:
    return workspace.study_files(name, store.read(name).uuid)


def request_stop(workspace: Workspace, name: str, *, now: bool) -> Owner | None:
    """Ask the driver of a study to stop. Returns the driver, or None when there is none.

    Raises:
        NotFoundError: There is no study of that name.
        SweeperError: Its driver is on another machine, and has a workspace of its own.
    """
    files = _files(workspace, open_store(workspace), name)
    owner = read_owner(files)
    if owner is not None:
        if read_json(files.owner) != asdict(owner) and read_owner(files) == owner:
            raise SweeperError(f"{name} is driven from another workspace, by {owner}; stop it there")
        files.stop.write_text("now" if now else "drain", encoding="utf-8")
    return owner


def wait_for_end(workspace: Workspace, name: str) -> None:
    """Wait until nobody drives a study."""
    files = _files(workspace, open_store(workspace), name)
    while read_owner(files) is not None:
        time.sleep(POLL_SECONDS)


def follow_progress(workspace: Workspace, name: str) -> Iterator[Progress]:
    """The progress of a study that runs in another process, several times a second, until its driver ends."""
    files = _files(workspace, open_store(workspace), name)
    while read_owner(files) is not None:
        progress = read_progress(files.progress)
        if progress is not None:
            yield progress
        time.sleep(POLL_SECONDS)


def describe_study(workspace: Workspace, name: str) -> str:
    """What deleting a study would delete, a line a study.

    Raises:
        InputError: It must not be deleted alone.
    """
    return "\n".join(_describe(workspace, each) for each in _belonging(open_store(workspace), name))


def _describe(workspace: Workspace, stored: StoredStudy) -> str:
    name = stored.study.name
    files = workspace.study_files(name, stored.uuid)
    n_bytes = sum(path.stat().st_size for path in files.folder.rglob("*") if path.is_file())
    return (
        f"study {name}: {len(stored.trials)} trials in Optuna's database, their runs in MLflow "
        f"({'this workspace' if workspace.own_tracking else 'the server or database of MLFLOW_TRACKING_URI'}), "
        f"{n_bytes / 1e6:.1f} MB of checkpoints, logs and rows in .sweeper/{name}"
    )


def _belonging(store: StudyStore, name: str) -> list[StoredStudy]:
    """A study and, before it, its tests.

    Raises:
        InputError: It holds the tests of a study that is there, whose report says how often test was touched.
    """
    stored = store.read(name)
    if stored.final is not None:
        source = store.read(stored.final["of"]) if store.exists(stored.final["of"]) else None
        if source is not None and source.uuid == stored.final["uuid"]:
            raise InputError(
                f"{name} is the record of how often {source.study.name} was measured on its test part, and stays as "
                f"long as that study; `sweeper delete {source.study.name}` deletes both"
            )
    tests = store.read(final_name(name)) if store.exists(final_name(name)) else None
    is_of_it = tests is not None and tests.final is not None and tests.final["uuid"] == stored.uuid
    return [tests, stored] if tests is not None and is_of_it else [stored]


def delete_study(workspace: Workspace, name: str) -> list[str]:
    """Delete a study, and its tests before it: runs first, the entry in Optuna's database last, so that a crash leaves
    it deletable.

    Returns:
        The names of the studies deleted.

    Raises:
        InputError: It must not be deleted alone.
        OwnedError: A driver owns the study, or its tests.
        TrackingError: The tracker cannot be reached; nothing is deleted then.
    """
    store = open_store(workspace)
    belonging = _belonging(store, name)
    with ExitStack() as stack:
        for stored in belonging:
            stack.enter_context(own(workspace.study_files(stored.study.name, stored.uuid), stored.study.name))
        for stored in belonging:
            _delete(workspace, store, stored)
    left = [files.folder for s in belonging if (files := workspace.study_files(s.study.name, s.uuid)).folder.exists()]
    if left:
        raise SweeperError(f"{name} is deleted, but {left[0]} could not be removed; remove it by hand")
    return [stored.study.name for stored in belonging]


def _delete(workspace: Workspace, store: StudyStore, stored: StoredStudy) -> None:
    files = workspace.study_files(stored.study.name, stored.uuid)
    tracked = read_json(files.tracked)
    if tracked is not None:
        tracker = connect_tracker(workspace)
        for trial in stored.trials:
            for run_id in tracker.find_runs(tracked["experiment_id"], f"{stored.uuid}/{trial.number}"):
                tracker.delete_run(run_id)
        tracker.delete_run(tracked["run_id"])
    store.delete(stored.study.name)
    shutil.rmtree(files.folder, ignore_errors=True)
