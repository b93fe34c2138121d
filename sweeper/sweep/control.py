"""Looking after studies from outside their drivers: watching, stopping, deleting."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict

from sweeper.errors import InputError, SweeperError
from sweeper.search.storage import StoredStudy, StudyStore
from sweeper.sweep.derived import KINDS
from sweeper.sweep.owner import Owner, own, read_owner
from sweeper.sweep.progress import Progress, read_progress
from sweeper.sweep.record import connect_tracker
from sweeper.sweep.store import open_store
from sweeper.tracking.derived import derived_name
from sweeper.tracking.workspace import StudyFiles, Workspace, read_json

__all__ = [
    "delete_study",
    "describe_study",
    "find_owner",
    "follow_progress",
    "request_stop",
    "wait_for_end",
]

POLL_SECONDS = 0.2


def _files(workspace: Workspace, store: StudyStore, name: str) -> StudyFiles:
    return workspace.study_files(name, store.read(name).uuid)


def request_stop(workspace: Workspace, name: str, *, now: bool) -> Owner | None:
    """Ask the driver of a study to stop. Returns the driver, or None when there is none.

    Raises:
        NotFoundError: There is no study of that name.
        SweeperError: Its driver is on another machine, and has a workspace of its own.
    """
    files = _files(workspace, open_store(workspace), name)
    owner = find_owner(files, name, what="stop it")
    if owner is not None:
        files.stop.write_text("now" if now else "drain", encoding="utf-8")
    return owner


def find_owner(files: StudyFiles, name: str, *, what: str) -> Owner | None:
    """The driver of a study, which reads requests in this workspace; None when there is none.

    Args:
        files: Of the study.
        name: Of the study.
        what: What is to be done, for the message.

    Raises:
        SweeperError: It is on another machine, and has a workspace of its own.
    """
    owner = read_owner(files)
    if owner is not None and read_json(files.owner) != asdict(owner) and read_owner(files) == owner:
        raise SweeperError(f"{name} is driven from another workspace, by {owner}; {what} there")
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
    """A study and, before it, those that are of it: tests, continued trials, reproduced runs, and so on.

    Raises:
        InputError: It holds the tests of a study that is there, whose report says how often test was touched.
    """
    stored = store.read(name)
    if stored.kind == "final" and stored.derived is not None:
        source = store.read(stored.derived["of"]) if store.exists(stored.derived["of"]) else None
        if source is not None and source.uuid == stored.derived["uuid"]:
            raise InputError(
                f"{name} is the record of how often {source.study.name} was measured on its test part, and stays as "
                f"long as that study; `sweeper delete {source.study.name}` deletes both"
            )
    return [*_derived_from(store, stored), stored]


def _derived_from(store: StudyStore, stored: StoredStudy) -> Iterator[StoredStudy]:
    for kind in KINDS:
        name = derived_name(stored.study.name, kind)
        found = store.read(name) if store.exists(name) else None
        if found is not None and found.derived is not None and found.derived["uuid"] == stored.uuid:
            yield from _derived_from(store, found)
            yield found


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
