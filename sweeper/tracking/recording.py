"""Recording: makes the tracker show what the files of each trial say.

A run is a function of its trial's files. `record_trial` brings one run up to date, and may be called at any time and
again after any crash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.failpoints import failpoint
from sweeper.tracking.outbox import read_released
from sweeper.tracking.tracker import STATUS_OF_STATE, RunInfo, Tracker
from sweeper.tracking.workspace import StudyFiles, TrialFiles, read_json, write_json

__all__ = [
    "Parent",
    "StudyInfo",
    "is_recorded",
    "record_study",
    "record_study_status",
    "record_trial",
    "study_status",
    "unsent_trials",
]


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
    tracker.log_batch(run_id, params=info.run.params)
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
    end = read_json(files.end)  # before the rows, so that a run which ends has all of them
    rows, offset = read_released(files.outbox, tracked["sent_bytes"])
    if rows or not tracked.get("params"):
        tracker.log_batch(run_id, params={} if tracked.get("params") else trial["params"], rows=rows)
        failpoint("recorder.rows_sent")
    tracked["params"], tracked["sent_bytes"] = True, offset
    state = "RUNNING" if end is None else end["state"]
    if state != tracked["state"]:
        if tracked.get("maybe_double"):  # the lost request may have been carried out after the search for its run
            _delete_doubles(tracker, parent.experiment_id, trial["key"], run_id)
        _record_state(tracker, files, run_id, parent, state, end or {})
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


def _record_state(
    tracker: Tracker, files: TrialFiles, run_id: str, parent: Parent, state: str, end: Mapping[str, Any]
) -> None:
    """Artifacts and tags of a trial that has ended, then its status: an ended run is complete."""
    ended = state in ("COMPLETE", "PRUNED", "FAIL")
    if ended:
        for artifact in _files_in(files.artifacts):
            tracker.log_artifact(run_id, artifact, "")
        for picture in _files_in(files.of_data):
            tracker.log_artifact(parent.run_id, picture, "data")
        failpoint("recorder.artifacts_sent")
    tags = {"sweeper.state": state, **end.get("tags", {})}
    end_time_ms = end.get("end_time_ms") if ended else None
    tracker.set_status(run_id, STATUS_OF_STATE[state], end_time_ms, tags=tags)


def _files_in(folder: Path) -> list[Path]:
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in paths if path.is_file() and not path.is_symlink()]  # a link may lead to anything


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
