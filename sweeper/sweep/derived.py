"""Studies that draw no trials of their own: what a search has found is trained again, for some purpose.

They are named after the study that they are of, and a driver runs them as it runs any sweep: each training once,
through stops and crashes. What was asked for, the plan, is stored before the first of its trials, trials are stored in
the order of the plan, and asking again for what is planned adds nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeper.errors import InputError, OwnedError
from sweeper.failpoints import failpoint
from sweeper.search.storage import Queued, StoredStudy, StudyStore
from sweeper.study.names import check_name
from sweeper.study.study import MAX_MODELS, Budget, NoPrunerConfig, RandomSamplerConfig, Study
from sweeper.sweep.owner import own, read_owner
from sweeper.sweep.record import check_access, check_tracker
from sweeper.sweep.store import open_store
from sweeper.tracking.derived import derived_name
from sweeper.tracking.plugins import known_plugins, load_plugins_of, remember_plugins
from sweeper.tracking.reading import open_reader
from sweeper.tracking.recording import study_status, unsent_trials
from sweeper.tracking.workspace import StudyFiles, Workspace, read_json

__all__ = ["KINDS", "Kind", "Plan", "Planned", "create_derived", "extend", "is_done", "open_ended", "run_ids"]

Plan = Mapping[str, Any]
"""As it is stored: `kind`, `of` and `uuid` of the study, `rounds` with `time_ms` and `trials` of each, and more."""
Pair = tuple[int, int]
"""Number of the trial that a training is of, and what tells it from others of the same: see the kinds."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What such a study is for."""

    what: str
    """What it holds, in the plural."""
    command: str
    """By which it is added to; `{of}` is the study."""
    description: str
    """Of the study; `{of}` is the study that it is of."""
    keeps_models: bool = False
    """Whether all trainings keep their models, and not only the best of them."""


KINDS = {
    "final": Kind(
        what="tests",
        command="finalize {of} --top K --seeds N",
        description="The best configurations of {of}, trained again and measured on the test part.",
    ),
    "promoted": Kind(
        what="continued trials",
        command="promote {of} --top K --epochs N",
        description="The best trials of {of}, continued from their last epoch.",
    ),
    "reproduced": Kind(
        what="reproduced runs",
        command="reproduce {of}/NUMBER",
        description="Runs of {of}, trained again as they were tracked.",
        keeps_models=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A training that is planned and not stored yet."""

    index: int
    """Number that its trial will have."""
    number: int
    """Of the trial that it is of."""
    detail: int
    """The second of its pair."""
    round_number: int
    """Which request it was asked for by, from 1."""
    time_ms: int
    """When that was."""


def open_ended(workspace: Workspace, name: str, *, why: str) -> tuple[StoredStudy, StudyFiles]:
    """A study that nobody drives, and its files.

    Raises:
        NotFoundError: There is none of that name.
        InputError: It draws no trials of its own, or is tracked elsewhere.
        PluginError: It needs a plugin that nobody has named here.
        AccessError: This user may only read it.
        OwnedError: It runs; `why` says what speaks against that.
    """
    stored = open_store(workspace).read(name)
    if stored.derived is not None:
        of = stored.derived["of"]
        command = "finalize" if stored.kind == "final" else KINDS[stored.kind].command.partition(" ")[0]
        raise InputError(f"{name} holds the {KINDS[stored.kind].what} of {of}; give that: `sweeper {command} {of}`")
    files = workspace.study_files(name, stored.uuid)
    owner = read_owner(files)
    if owner is not None:
        raise OwnedError(
            f"{name} is running, by {owner}, and {why}; wait until it has ended, or end it with `sweeper stop {name}`"
        )
    check_tracker(workspace, files, name)
    check_access(workspace, name)
    load_plugins_of(workspace, name, stored.study.plugins)
    return stored, files


def create_derived(workspace: Workspace, store: StudyStore, study: Study, uuid: str, kind: str, **more: Any) -> str:
    """See that there is a study of a kind for a study. Returns its name.

    Args:
        workspace: Where.
        store: Its database.
        study: The study that it is of.
        uuid: Its id.
        kind: A key of `KINDS`.
        more: Further parts of the plan, where it is new.

    Raises:
        AccessError: The tracker would not take its runs; nothing is stored then.
        InputError: A study of its name is there already, and is something else.
    """
    name = _name_of(study.name, kind)
    check_access(workspace, name)
    with store.locked():
        if not store.exists(name):
            plan = {"kind": kind, "of": study.name, "uuid": uuid, "rounds": [], **more}
            store.create(_study_of(study, name, kind), n_trials=0, derived=plan)
            failpoint("derived.created")
    found, what = store.read(name), KINDS[kind].what
    if found.derived is None or found.kind != kind:
        raise InputError(
            f"the {what} of {study.name} would be stored as {name}, and a study of that name is there already"
        )
    if found.derived["uuid"] != uuid:
        raise InputError(
            f"{name} holds the {what} of an earlier study {study.name}; `sweeper delete {name}` deletes it"
        )
    return name


def extend(
    workspace: Workspace,
    store: StudyStore,
    name: str,
    want: Callable[[StoredStudy, Plan], Sequence[Pair]],
    queue: Callable[[StudyFiles, Plan, Sequence[Planned]], Iterator[Queued]],
) -> tuple[list[Pair], int]:
    """Store the trainings that are asked for; those that are stored stay.

    Args:
        workspace: Where.
        store: Optuna's database.
        name: Of the study that `create_derived` made.
        want: What is asked for, given the study and its plan.
        queue: Makes what is planned and not stored ready, and says how it is stored. Called again after a crash.

    Returns:
        All that is asked for, and the number of those that are new.

    Raises:
        OwnedError: The study runs.
    """
    uuid = store.read(name).uuid
    files = workspace.study_files(name, uuid)
    with own(files, name):
        stored = store.read(name)
        assert stored.derived is not None
        plan = dict(stored.derived)
        remember_plugins(workspace, name, known_plugins(workspace, plan["of"]))
        wanted = list(want(stored, plan))
        planned = {tuple(pair) for each in plan["rounds"] for pair in each["trials"]}
        new = [pair for pair in wanted if pair not in planned]
        if new:
            plan["rounds"] = [*plan["rounds"], {"time_ms": time.time_ns() // 1_000_000, "trials": new}]
            store.set_derived(name, plan)
            failpoint("derived.planned")
        missing = _planned(plan)[len(stored.trials) :]  # they are stored in the order of the plan
        if missing:
            store.enqueue(name, list(queue(files, plan, missing)))
            n_trials = len(stored.trials) + len(missing)
            budget = Budget(trials=n_trials)
            store.set_budget(name, stored.study.model_copy(update={"budget": budget}), n_trials=n_trials)
    return wanted, len(new)


def _planned(plan: Plan) -> list[Planned]:
    flat = [
        (number, detail, round_number, each["time_ms"])
        for round_number, each in enumerate(plan["rounds"], start=1)
        for number, detail in each["trials"]
    ]
    return [
        Planned(index=index, number=number, detail=detail, round_number=round_number, time_ms=time_ms)
        for index, (number, detail, round_number, time_ms) in enumerate(flat)
    ]


def is_done(workspace: Workspace, name: str) -> bool:
    """Whether all trainings of such a study have ended, and the tracker has all of them."""
    stored = open_store(workspace).read(name)
    files = workspace.study_files(name, stored.uuid)
    has_ended = stored.count("COMPLETE", "PRUNED", "FAIL") == len(stored.trials)
    return has_ended and study_status(files) == "FINISHED" and not unsent_trials(files)


def run_ids(workspace: Workspace, stored: StoredStudy, files: StudyFiles, numbers: set[int]) -> dict[int, str]:
    """The runs of some trials: from their files, or from the tracker where they were trained elsewhere."""
    tracked = {number: read_json(files.trial(number).tracked) or {} for number in numbers}
    found = {number: str(each["run_id"]) for number, each in tracked.items() if "run_id" in each}
    if numbers - found.keys():
        record = open_reader(workspace.tracking_uri).read_study(stored.study.name)
        found |= {run.number: run.run_id for run in record.runs if run.number in numbers}
    return found


def _name_of(name: str, kind: str) -> str:
    try:
        return check_name(derived_name(name, kind))
    except ValueError as error:
        what = KINDS[kind].what
        raise InputError(f"the {what} of {name!r} make up a study of their own, whose name would be: {error}") from None


def _study_of(study: Study, name: str, kind: str) -> Study:
    """The study as it is stored: the same space, so that parameters mean the same, but nothing is searched."""
    return study.model_copy(
        update={
            "name": name,
            "description": KINDS[kind].description.format(of=study.name),
            "sampler": RandomSamplerConfig(name="random", seed=0),
            "pruner": NoPrunerConfig(name="none"),
            "budget": Budget(trials=1),
            "keep_models": MAX_MODELS if KINDS[kind].keeps_models else study.keep_models,
        }
    )
