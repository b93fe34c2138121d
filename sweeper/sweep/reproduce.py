"""Training a tracked run again, from what is tracked alone: its configuration, data, device and number of threads.

The training is a trial of a study of its own, `NAME.reproduced`; see `sweeper.sweep.derived`. MLflow has all that it
needs: the study itself need not be in Optuna's database, nor in the workspace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeper.errors import InputError, NotFoundError, StudyError, TrackingError
from sweeper.launch.devices import choose_devices, plan_slots
from sweeper.launch.launcher import WorkerSlot
from sweeper.search.storage import Queued, StoredStudy, StudyStore
from sweeper.study.config import TrialConfig
from sweeper.study.study import Study
from sweeper.sweep.derived import Plan, Planned, create_derived, extend
from sweeper.sweep.store import open_store
from sweeper.tracking.agreement import Agreement, Change, changed_tags, compare_runs
from sweeper.tracking.derived import CONTINUED_TAG, source_tags
from sweeper.tracking.provenance import provenance_tags
from sweeper.tracking.recording import is_recorded
from sweeper.tracking.records import RunRecord, StudyRecord
from sweeper.tracking.subject import Subject, config_of, find_run, open_pictures
from sweeper.tracking.workspace import StudyFiles, Workspace

__all__ = ["Reproduction", "conclude", "prepare_reproduction"]

_REPRODUCIBLE = ("COMPLETE", "PRUNED")


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A run that is to be trained again."""

    subject: Subject
    """The run."""
    config: TrialConfig
    study: str
    """Name of the study that the training is in."""
    number: int
    """Of the training, there."""
    slot: WorkerSlot
    """Where it runs: the device and the number of threads that the run had."""
    changes: Sequence[Change]
    """What is not as it was: commit, packages, machine."""
    is_new: bool
    """False where a training that was begun before goes on."""

    @property
    def name(self) -> str:
        """`STUDY/NUMBER` of the training."""
        return f"{self.study}/{self.number}"


def prepare_reproduction(workspace: Workspace, name: str, *, device: str | None = None) -> Reproduction:
    """Store the training that reproduces a run; one that was begun and has not ended is gone on with.

    Args:
        workspace: Where the run is tracked.
        name: Of the run: `STUDY` (its best trial), `STUDY/NUMBER` or MLflow's id.
        device: Where to train. Default: on a device as the run had.

    Raises:
        NotFoundError: There is no such run.
        InputError: It has not ended, or failed; it was trained on a device that is not here; or another reproduction of
            the study waits.
        DataError: Its pictures are missing, or have changed.
        OwnedError: Another reproduction of the study runs.
    """
    subject = find_run(workspace, name)
    run = subject.run
    if run.state not in _REPRODUCIBLE:
        raise InputError(f"{subject.name} is {run.state}; allowed: runs that are {' or '.join(_REPRODUCIBLE)}")
    config = config_of(run, subject.reader)
    continued, schedule = run.tags.get(CONTINUED_TAG, "0"), config.training.schedule.name
    if continued != "0" and schedule in ("cosine", "one_cycle"):
        raise InputError(
            f"{subject.name} was continued after epoch {continued}, the schedule {schedule} spread anew over all; "
            "from the start it would be another training; allowed: runs that were trained in one go"
        )
    slot = _slot(run, device)
    open_pictures(workspace, run, config)
    store = open_store(workspace, create=True)
    study = create_derived(workspace, store, _study(subject.study), _uuid(subject.study), "reproduced")

    def queue(files: StudyFiles, plan: Plan, missing: Sequence[Planned]) -> Iterator[Queued]:
        params = _params(store, subject)
        for each in missing:
            tags = source_tags(each.number, run.run_id)
            yield Queued(params=params, seed_offset=0, tags=tags, config=config.model_dump(mode="json"))

    def want(stored: StoredStudy, plan: Plan) -> list[tuple[int, int]]:
        return [_next(stored, workspace.study_files(study, stored.uuid), plan, run.number)]

    wanted, n_new = extend(workspace, store, study, want, queue)
    plan = store.read(study).derived
    assert plan is not None
    return Reproduction(
        subject=subject,
        config=config,
        study=study,
        number=_pairs(plan).index(wanted[0]),
        slot=slot,
        changes=changed_tags(run.tags, provenance_tags(workspace.root)),
        is_new=n_new > 0,
    )


def _slot(run: RunRecord, device: str | None) -> WorkerSlot:
    was_on = run.tags.get("sweeper.device", "cpu")
    try:
        devices = choose_devices([device or was_on])
    except InputError as error:
        if device is not None:
            raise
        raise InputError(f"{run.name} was trained on {was_on}; {error}; --device cpu trains it elsewhere") from error
    n_threads = int(run.tags.get("sweeper.n_threads", "1"))
    return plan_slots(devices, n_workers=1, n_cpus=n_threads)[0]


def _study(record: StudyRecord) -> Study:
    try:
        return Study.model_validate(record.study)
    except StudyError as error:
        raise InputError(
            f"this version of sweeper cannot read study.json of {record.name}: {error.faults[0]}"
        ) from error


def _uuid(record: StudyRecord) -> str:
    return record.tags["sweeper.study_uuid"]


def _params(store: StudyStore, subject: Subject) -> Mapping[str, Any]:
    """What was drawn for the run, where Optuna's database still knows; what is trained is its configuration."""
    try:
        stored = store.read(subject.study.name)
    except NotFoundError:
        return {}
    if stored.uuid != _uuid(subject.study) or subject.run.number >= len(stored.trials):
        return {}
    return stored.trials[subject.run.number].params


def _pairs(plan: Plan) -> list[tuple[int, int]]:
    return [(number, count) for each in plan["rounds"] for number, count in each["trials"]]


def _next(stored: StoredStudy, files: StudyFiles, plan: Plan, number: int) -> tuple[int, int]:
    """The training that is to be done: of the trial's number, and the how manieth of it. One that was stopped, or is
    not tracked in full, comes before a new one."""
    pairs = _pairs(plan)
    is_done = {t.number for t in stored.trials if t.finished and is_recorded(files.trial(t.number))}
    left = [pair for index, pair in enumerate(pairs) if index not in is_done]
    if left and left[0][0] != number:  # it may want another device or number of threads
        of = f"{plan['of']}/{left[0][0]}"
        raise InputError(f"the reproduction of {of} was stopped; go on with it first: sweeper reproduce {of}")
    return left[0] if left else (number, sum(n == number for n, _ in pairs))


def conclude(workspace: Workspace, reproduction: Reproduction) -> Agreement:
    """Hold the training, which has ended, against the run, and tag it with what was found.

    Raises:
        TrackingError: MLflow has not got it, or cannot be reached.
    """
    from sweeper.tracking.analyses import connect

    subject = reproduction.subject
    record = subject.reader.read_study(reproduction.study)
    again = next((run for run in record.runs if run.number == reproduction.number), None)
    if again is None or again.state not in ("COMPLETE", "FAIL"):
        raise TrackingError(
            f"{reproduction.name} is trained, and MLflow has not got all of it yet; when MLflow answers again, "
            f"`sweeper reproduce {subject.name}` sends it and compares"
        )
    agreement = compare_runs(subject.reader, subject.run, again)
    connect(workspace).log_batch(again.run_id, tags={"sweeper.agrees": "true" if agreement.is_identical else "false"})
    return agreement
