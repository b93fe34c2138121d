"""Starting and resuming sweeps: everything between a study and a running driver."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from filelock import FileLock

from sweeper.errors import InputError, NotFoundError, StudyExistsError
from sweeper.launch.launcher import Launcher, WorkerSlot
from sweeper.search.optimizer import Optimizer
from sweeper.search.storage import StoredStudy, StudyStore
from sweeper.study.flatten import flatten
from sweeper.study.study import Study
from sweeper.study.varied import varied_params
from sweeper.sweep.driver import Driver, DriverOptions, SweepResult
from sweeper.sweep.ledger import Ledger
from sweeper.sweep.owner import own
from sweeper.sweep.progress import View
from sweeper.tracking.provenance import provenance_tags
from sweeper.tracking.recorder import (
    Recorder,
    StudyInfo,
    record_study,
    record_study_status,
    record_trial,
    study_status,
    unsent_trials,
)
from sweeper.tracking.tracker import RunInfo, Tracker
from sweeper.tracking.view import VIEW_TAG, runs_view
from sweeper.tracking.workspace import StudyFiles, Workspace, read_json, write_json

__all__ = ["SweepOptions", "connect_tracker", "drive", "open_store", "prepare", "sync_study"]

FLUSH_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """How a sweep is run on this machine; nothing of it changes what is searched."""

    launcher: str = "local"
    """`local` (processes) or `inline` (this process)."""
    slots: tuple[WorkerSlot, ...]
    """Places for workers; `inline` uses the first."""
    checkpoint_seconds: float = 10.0
    """Seconds between the checkpoints of a trial."""


def open_store(workspace: Workspace, *, create: bool = False) -> StudyStore:
    """Optuna's database of a workspace.

    Raises:
        NotFoundError: There is none yet and it is not to be created.
    """
    return StudyStore(workspace.storage_url, lock_path=workspace.storage_lock, create=create)


def prepare(workspace: Workspace, study: Study, *, more_trials: int | None = None) -> str:
    """Store a study, or find that it is stored already, and set its budget.

    Args:
        workspace: Where.
        study: The study.
        more_trials: Trials to add to those that there are; default: the study's budget is the total.

    Returns:
        The study's name.

    Raises:
        StudyExistsError: A study of that name with other contents is stored.
        OwnedError: The budget would change, but a driver that lives owns the study.
    """
    store = open_store(workspace, create=True)
    with FileLock(workspace.storage_lock):
        try:
            stored = store.read(study.name)
        except NotFoundError:
            store.create(study, n_trials=more_trials or study.n_trials)
            return study.name
    difference = _difference(stored.study, study)
    if difference:
        raise StudyExistsError(
            f"the study {study.name!r} is stored with other contents:\n{difference}\n"
            f"give the changed study another name (`--set name={study.name}-2`), go on with the stored one "
            f"(`sweeper resume {study.name}`), or delete it (`sweeper delete {study.name}`)"
        )
    n_trials = max(stored.n_trials, study.n_trials)
    if more_trials is not None:
        n_trials = len(stored.trials) + more_trials
    if n_trials != stored.n_trials:
        with own(workspace.study_files(study.name, stored.uuid), study.name):
            store.set_n_trials(study.name, n_trials)
    return study.name


def _difference(stored: Study, given: Study) -> str:
    """Lines that say in which fields two studies differ, budget and words apart."""
    before, after = (
        flatten(study.model_dump(mode="json", exclude={"budget", "description", "keep_models"}))
        for study in (stored, given)
    )
    missing = object()
    return "\n".join(
        f"  {field}: stored {before.get(field, 'nothing')!r}, given {after.get(field, 'nothing')!r}"
        for field in sorted(before.keys() | after.keys())
        if before.get(field, missing) != after.get(field, missing)
    )


def drive(
    workspace: Workspace,
    name: str,
    *,
    options: SweepOptions,
    view: View,
    on_driver: Callable[[Driver], None] = lambda driver: None,
    connect: Callable[[], Tracker] | None = None,
) -> SweepResult:
    """Own a stored study and run its sweep to the end of its budget.

    Args:
        workspace: Where it is stored.
        name: Its name.
        options: Where its trials run.
        view: Shows progress.
        on_driver: Given the driver before it runs, to be able to stop it.
        connect: Makes the tracker; default: MLflow's at the workspace's tracking URI.

    Raises:
        OwnedError: Another driver owns the study.
    """
    store = open_store(workspace)
    stored = store.read(name)
    files = workspace.study_files(name, stored.uuid)
    with own(files, name):
        optimizer = Optimizer(store, name)
        tags = provenance_tags(workspace.root)
        ledger = Ledger(optimizer, files, tags)
        recorder = Recorder(
            connect or (lambda: connect_tracker(workspace)),
            files,
            _study_info(files, stored, tags),
            on_problem=lambda problem: view.message(
                f"tracking is held up, training goes on: {problem}" if problem else "tracking works again"
            ),
        )
        optimizer.on_problem(
            lambda problem: view.message(
                f"Optuna's database is held up, training goes on: {problem}" if problem else "the database works again"
            )
        )
        recorder.start()
        for number in ledger.recover():
            recorder.note(number)
        for trial in unsent_trials(files):
            recorder.note(int(trial.folder.name))
        had_ended = optimizer.exhausted
        if not had_ended:
            recorder.set_study_status("RUNNING", None)
        try:
            with _clock(files) as elapsed_seconds:
                driver = Driver(
                    optimizer=optimizer,
                    launcher=_build_launcher(workspace, files, options),
                    recorder=recorder,
                    files=files,
                    ledger=ledger,
                    view=view,
                    options=DriverOptions(
                        checkpoint_seconds=options.checkpoint_seconds,
                        timeout_seconds=_seconds_left(optimizer.study, elapsed_seconds),
                        may_ask_ahead=options.launcher != "inline",
                    ),
                )
                on_driver(driver)
                result = driver.run()
        finally:
            for number in ledger.publish_models():
                recorder.note(number)
            if not had_ended or study_status(files) != "FINISHED":
                recorder.set_study_status(*_status_now(ended=optimizer.exhausted))
            if not recorder.flush(FLUSH_SECONDS):
                view.message(
                    f"some rows are not yet tracked ({recorder.problem or 'the tracker is slow'}); "
                    f"they are safe on disk, send them with `sweeper sync {name}`"
                )
            recorder.close()
            optimizer.close()
    return result


def _status_now(*, ended: bool) -> tuple[str, int | None]:
    """Status and end of the parent run of a study that nobody drives any more."""
    return ("FINISHED", time.time_ns() // 1_000_000) if ended else ("SCHEDULED", None)


def _seconds_left(study: Study, elapsed_seconds: float) -> float | None:
    timeout = study.budget.timeout_seconds
    return None if timeout is None else max(timeout - elapsed_seconds, 1e-3)


@contextmanager
def _clock(files: StudyFiles) -> Iterator[float]:
    """The seconds that all starts of a study have taken so far; adds those of the block."""
    path = files.folder / files.uuid / "elapsed.json"
    elapsed = float((read_json(path) or {}).get("seconds", 0.0))
    start = time.monotonic()
    try:
        yield elapsed
    finally:
        write_json(path, {"seconds": elapsed + time.monotonic() - start})


def _build_launcher(workspace: Workspace, files: StudyFiles, options: SweepOptions) -> Launcher:
    if options.launcher == "inline":
        from sweeper.launch.inline import InlineLauncher  # imports torch, which the local launcher's driver need not

        return InlineLauncher(
            device=options.slots[0].device, cache_dir=workspace.cache_dir, data_dir=workspace.data_dir
        )
    if options.launcher == "local":
        from sweeper.launch.local import LocalLauncher

        return LocalLauncher(
            options.slots,
            cache_dir=workspace.cache_dir,
            data_dir=workspace.data_dir,
            log_dir=files.folder / "workers",
        )
    raise InputError(f"--launcher: given {options.launcher!r}; allowed: local, inline")


def connect_tracker(workspace: Workspace) -> Tracker:
    """MLflow's tracker of a workspace.

    Raises:
        TrackingError: It cannot be reached.
    """
    from sweeper.tracking.mlflow import MlflowTracker  # 1.7 s; meanwhile the workers start

    return MlflowTracker(
        workspace.tracking_uri, artifact_root=workspace.artifact_root if workspace.own_tracking else None
    )


def _study_info(files: StudyFiles, stored: StoredStudy, tags: Mapping[str, str]) -> StudyInfo:
    study = stored.study
    as_file = study.to_json_dict()
    path = files.folder / stored.uuid / "study.json"
    write_json(path, as_file)
    key_tags = {"sweeper.study": study.name, "sweeper.study_uuid": stored.uuid}
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
            "mlflow.note.content": study.description or _summary(study),
            "mlflow.experimentKind": "custom_model_development",  # MLflow's UI opens the runs, not the traces
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
        TrackingError: The tracker refused or cannot be reached.
    """
    stored = open_store(workspace).read(name)
    files = workspace.study_files(name, stored.uuid)
    with own(files, name):
        waiting = unsent_trials(files)
        ended = stored.count("COMPLETE", "PRUNED", "FAIL") >= stored.n_trials
        status, end_time_ms = _status_now(ended=ended)
        if not waiting and study_status(files) == status:
            return 0
        tracker = (connect or (lambda: connect_tracker(workspace)))()
        parent = record_study(tracker, files, _study_info(files, stored, provenance_tags(workspace.root)))
        for trial in waiting:
            record_trial(tracker, trial, parent)
        record_study_status(tracker, files, parent, status, end_time_ms)
        return len(waiting)
