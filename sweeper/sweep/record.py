"""What the tracker is told of a study as a whole: the experiment, the parent run, and what was left unsent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from sweeper.errors import InputError, TrackingError
from sweeper.search.locks import database_lock
from sweeper.search.storage import StoredStudy
from sweeper.search.urls import masked
from sweeper.study.study import Study
from sweeper.study.varied import varied_params
from sweeper.sweep.owner import own
from sweeper.sweep.store import open_store
from sweeper.tracking.denied import access_error
from sweeper.tracking.derived import derived_of_tag
from sweeper.tracking.permission import check_may_write
from sweeper.tracking.provenance import provenance_tags
from sweeper.tracking.recording import (
    StudyInfo,
    record_study,
    record_study_status,
    record_trial,
    study_status,
    unsent_trials,
)
from sweeper.tracking.tracker import RunInfo, Tracker
from sweeper.tracking.view import VIEW_TAG, described, runs_view
from sweeper.tracking.workspace import StudyFiles, Workspace, read_json, write_json

__all__ = [
    "bind_tracker",
    "check_access",
    "check_tracker",
    "connect_tracker",
    "move_tracker",
    "status_now",
    "study_info",
    "sync_study",
]


def bind_tracker(workspace: Workspace, files: StudyFiles, stored: StoredStudy) -> None:
    """See that a study stays with one workspace and one tracker while it has trials to be continued. For its owner.

    Raises:
        InputError: It has been tracked elsewhere so far, or its checkpoints and unsent rows lie in another workspace.
    """
    if read_json(files.tracker) is None:
        n_begun = sum(trial.state in ("RUNNING", "WAITING") and trial.start is not None for trial in stored.trials)
        if n_begun:
            raise InputError(
                f"{n_begun} trials of the study {stored.study.name!r} were begun in another workspace, where their "
                f"checkpoints lie and rows that MLflow may not have yet; go on there (`sweeper resume "
                f"{stored.study.name}`), or copy its folder .sweeper/{stored.study.name} here"
            )
        write_json(files.tracker, {"uri": _place_of_tracking(workspace)})
    check_tracker(workspace, files, stored.study.name)


def move_tracker(workspace: Workspace, files: StudyFiles) -> None:
    """Have a study tracked where the workspace is, to which its runs were moved with their ids. For its owner."""
    write_json(files.tracker, {"uri": _place_of_tracking(workspace)})


def _place_of_tracking(workspace: Workspace) -> str:
    return "mlflow.db of the workspace" if workspace.own_tracking else masked(workspace.tracking_uri)


def check_tracker(workspace: Workspace, files: StudyFiles, name: str) -> None:
    """See that a study is tracked in one place for all its life: ids of runs mean nothing elsewhere.

    Raises:
        InputError: It has been tracked elsewhere so far.
    """
    here = _place_of_tracking(workspace)
    bound = read_json(files.tracker)
    if bound is not None and bound["uri"] != here:
        raise InputError(
            f"the study {name!r} is tracked in {bound['uri']}, and MLFLOW_TRACKING_URI now says {here}; "
            "set it back, move the study there (`sweeper migrate`), or give the study another name (`--set name=...`) "
            "to begin anew there"
        )


def check_access(workspace: Workspace, name: str) -> None:
    """See that MLflow lets this user track a study, unless it is out of reach for now.

    Raises:
        AccessError: It does not.
    """
    if not workspace.own_tracking:
        check_may_write(workspace.tracking_uri, name)


def connect_tracker(workspace: Workspace) -> Tracker:
    """MLflow's tracker of a workspace.

    Raises:
        AccessError: It denies access.
        TrackingError: It cannot be reached.
    """
    from sweeper.tracking.mlflow import MlflowTracker  # 1.7 s; meanwhile the workers start

    with _locked(workspace.tracking_uri):
        return MlflowTracker(
            workspace.tracking_uri,
            artifact_root=workspace.artifact_root if workspace.own_tracking else None,
            cache_dir=workspace.cache_dir,
        )


@contextmanager
def _locked(uri: str) -> Iterator[None]:
    """Keep drivers on other machines from creating MLflow's tables at the same time."""
    try:
        with database_lock(uri, "tables"):
            yield
    except SQLAlchemyError as error:
        raise access_error(error, uri) or TrackingError(
            f"MLflow's database is out of reach: {type(error).__name__}"
        ) from error


def status_now(*, ended: bool) -> tuple[str, int | None]:
    """Status and end of the parent run of a study that nobody drives any more."""
    return ("FINISHED", time.time_ns() // 1_000_000) if ended else ("SCHEDULED", None)


def study_info(files: StudyFiles, stored: StoredStudy, tags: Mapping[str, str]) -> StudyInfo:
    """What the tracker shows of a study."""
    study = stored.study
    as_file = study.to_json_dict()
    path = files.folder / stored.uuid / "study.json"
    write_json(path, as_file)
    key_tags = {"sweeper.study": study.name, "sweeper.study_uuid": stored.uuid}
    if stored.derived is not None:
        key_tags[derived_of_tag(stored.kind)] = stored.derived["uuid"]
    start = stored.created.timestamp() if stored.created else time.time()
    params: dict[str, Any] = {
        "objective.metric": study.objective.metric,
        "objective.direction": "maximize" if study.objective.maximize else "minimize",
        "objective.at": study.objective.at,
        "sampler": study.sampler.name,
        "pruner": study.pruner.name,
    }
    return StudyInfo(
        name=study.name,
        uuid=stored.uuid,
        experiment_tags={
            "sweeper.study": study.name,
            "mlflow.note.content": described(study.description or _summary(study)),
            "mlflow.experimentKind": "custom_model_development",
            VIEW_TAG: runs_view(maximize=study.objective.maximize, params=varied_params(study)),
        },
        run=RunInfo(
            key=stored.uuid,
            name=study.name,
            start_time_ms=int(start * 1000),
            params=params,
            tags={
                **tags,
                **key_tags,
                "sweeper.role": "study",
                "mlflow.note.content": study.description or _summary(study),
                "mlflow.source.name": "sweeper",
            },
        ),
        artifacts=(path,),
    )


def _summary(study: Study) -> str:
    return (
        f"A sweep over {len(study.trial.distributions)} parameters for {study.objective.metric}, "
        f"sampler {study.sampler.name}, pruner {study.pruner.name}."
    )


def sync_study(workspace: Workspace, name: str, *, connect: Callable[[], Tracker] | None = None) -> int:
    """Send what is left in the files of a study whose driver has ended. Returns the number of trials sent.

    Raises:
        OwnedError: A driver that lives does this already.
        AccessError: The tracker denies access.
        TrackingError: The tracker refused or cannot be reached.
    """
    stored = open_store(workspace).read(name)
    files = workspace.study_files(name, stored.uuid)
    with own(files, name):
        bind_tracker(workspace, files, stored)
        waiting = unsent_trials(files)
        ended = stored.count("COMPLETE", "PRUNED", "FAIL") >= stored.n_trials
        status, end_time_ms = status_now(ended=ended)
        if not waiting and study_status(files) == status:
            return 0
        tracker = (connect or (lambda: connect_tracker(workspace)))()
        parent = record_study(tracker, files, study_info(files, stored, provenance_tags(workspace.root)))
        for trial in waiting:
            record_trial(tracker, trial, parent)
        record_study_status(tracker, files, parent, status, end_time_ms)
        return len(waiting)
