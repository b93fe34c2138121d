"""Testing the best configurations of a study: trained again, with seeds that the search did not use, and measured on
the test part.

The trainings are the trials of a study of their own, `NAME.final`, which draws nothing: so a driver runs them as it
runs any sweep, each once, through stops and crashes. What was asked for is stored before the first of its trials, and
asking again for what is there adds nothing.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeper.errors import InputError, OwnedError
from sweeper.failpoints import failpoint
from sweeper.search.attributes import REPLICATE_OF_ATTR, SEED_OFFSET_ATTR
from sweeper.search.storage import Queued, StoredStudy, TrialRecord
from sweeper.study.names import check_name
from sweeper.study.study import Budget, NoPrunerConfig, RandomSamplerConfig, Study
from sweeper.sweep.owner import own, read_owner
from sweeper.sweep.record import check_tracker
from sweeper.sweep.store import open_store
from sweeper.tracking.final import final_name, final_tags
from sweeper.tracking.plugins import known_plugins, load_plugins_of, remember_plugins
from sweeper.tracking.reading import open_reader
from sweeper.tracking.recording import study_status, unsent_trials
from sweeper.tracking.workspace import StudyFiles, Workspace, read_json

__all__ = ["Configuration", "Tests", "choose", "is_done", "prepare_tests", "rank_configurations"]


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One configuration that a search tried, with one seed or several."""

    number: int
    """Of its first trial, or the first that has completed."""
    params: Mapping[str, Any]
    numbers: frozenset[int]
    """Of all its trials."""
    value: float | None
    """Mean of the objective over its seeds; None unless a trial of each has completed."""


@dataclass(frozen=True, kw_only=True)
class Tests:
    """What is to be tested."""

    name: str
    """Of the study of tests."""
    configurations: Sequence[int]
    """Numbers of the trials whose configurations were asked for, in their order."""
    n_seeds: int
    n_new: int
    """Trainings that this request has added."""
    notes: Sequence[str]
    """What the user should know."""


def rank_configurations(stored: StoredStudy) -> list[Configuration]:
    """The configurations of a study, the best first; those that are not complete last, by their first trial.

    Trials of the same parameters, seed apart, are one configuration.
    """
    trials = {trial.number: trial for trial in stored.trials}
    groups: dict[tuple[tuple[str, Any], ...], list[TrialRecord]] = defaultdict(list)
    for trial in stored.trials:
        first = trials.get(trial.attrs.get(REPLICATE_OF_ATTR, trial.number), trial)  # one that waits has no params yet
        if first.state != "WAITING" or first.start is not None:
            key = sorted((name, repr(value)) for name, value in first.params.items() if name != "seed")
            groups[tuple(key)].append(trial)
    sign = -1.0 if stored.study.objective.maximize else 1.0
    found = [_configuration(group) for group in groups.values()]
    return sorted(found, key=lambda c: (c.value is None, sign * (c.value or 0.0), c.number))


def _configuration(trials: Sequence[TrialRecord]) -> Configuration:
    values: dict[tuple[Any, int], float | None] = {}
    for trial in trials:
        seed = (trial.params.get("seed"), trial.attrs.get(SEED_OFFSET_ATTR, 0))
        value = trial.value if trial.state == "COMPLETE" else None
        values[seed] = value if values.get(seed) is None else values[seed]
    known = [value for value in values.values() if value is not None]
    first = next((trial for trial in trials if trial.state == "COMPLETE"), trials[0])
    return Configuration(
        number=first.number,
        params=first.params,
        numbers=frozenset(trial.number for trial in trials),
        value=sum(known) / len(known) if len(known) == len(values) else None,
    )


def choose(stored: StoredStudy, *, top: int, trials: Sequence[int] = ()) -> list[Configuration]:
    """The configurations to be tested.

    Args:
        stored: The study.
        top: How many of the best, where no trials are named.
        trials: Numbers of trials whose configurations are chosen instead.

    Raises:
        InputError: No configuration is complete, or one that was named is not.
    """
    ranked = rank_configurations(stored)
    name = stored.study.name
    if not trials:
        complete = [c for c in ranked if c.value is not None][:top]
        if complete:
            return complete
        ended = {state: stored.count(state) for state in ("COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING")}
        states = ", ".join(f"{n} {state}" for state, n in ended.items() if n) or "none"
        reason = "has no complete trial" if not ended["COMPLETE"] else "has no configuration complete with all seeds"
        raise InputError(f"{name} {reason} (its trials: {states}), and there is nothing to test")
    chosen: dict[int, Configuration] = {}
    for number in trials:
        if not 0 <= number < len(stored.trials):
            raise InputError(
                f"--trial: given {number}; allowed: numbers of trials of {name}, 0 to {len(stored.trials) - 1}"
            )
        trial = stored.trials[number]
        if trial.state != "COMPLETE":
            raise InputError(f"--trial: given {number}, which is {trial.state}; allowed: complete trials of {name}")
        configuration = next(c for c in ranked if number in c.numbers)
        chosen[configuration.number] = configuration
    return list(chosen.values())


def prepare_tests(workspace: Workspace, name: str, *, top: int, seeds: int, trials: Sequence[int] = ()) -> Tests:
    """Store the trainings by which the best configurations of a study are to be tested; those that are stored stay.

    Args:
        workspace: Where the study is stored.
        name: Its name.
        top: How many configurations, the best first.
        seeds: How often each is trained.
        trials: Numbers of trials whose configurations are tested instead of the best.

    Raises:
        NotFoundError: There is no study of that name.
        InputError: Nothing of it can be tested: no complete trial, no test part, or it is a study of tests itself.
        OwnedError: The study still runs, or its tests do.
    """
    store = open_store(workspace)
    stored = store.read(name)
    if stored.final is not None:
        raise InputError(
            f"{name} holds the tests of {stored.final['of']}; give that: `sweeper finalize {stored.final['of']}`"
        )
    files = workspace.study_files(name, stored.uuid)
    owner = read_owner(files)
    if owner is not None:
        raise OwnedError(
            f"{name} is running, by {owner}, and its best configurations may change; wait until it has ended, or end "
            f"it with `sweeper stop {name}`"
        )
    check_tracker(workspace, files, name)
    load_plugins_of(workspace, name, stored.study.plugins)
    remember_plugins(workspace, _name_of_tests(name), known_plugins(workspace, name))
    chosen = choose(stored, top=top, trials=trials)
    _check_test_part(workspace, stored, files, chosen)
    final = _name_of_tests(name)
    with store.locked():
        if not store.exists(final):
            offsets = [trial.attrs.get(SEED_OFFSET_ATTR, 0) for trial in stored.trials]
            # The value that a configuration was chosen for is a lucky one; its seeds would not be a fair sample.
            first_offset = max(stored.study.budget.seeds, max(offsets) + 1)
            plan = {"of": name, "uuid": stored.uuid, "first_offset": first_offset, "rounds": []}
            store.create(_study_of_tests(stored.study, len(chosen) * seeds), n_trials=0, final=plan)
            failpoint("finalize.created")
    tests = store.read(final)
    _check_ours(tests, stored)
    with own(workspace.study_files(final, tests.uuid), final):
        tests = store.read(final)
        assert tests.final is not None
        plan = dict(tests.final)
        planned = {(number, offset) for each in plan["rounds"] for number, offset in each["trials"]}
        tested = {number for number, _ in planned}
        # A configuration is known by its first trial that was tested: it may have got trials before that since.
        numbers = [min(c.numbers & tested, default=c.number) for c in chosen]
        wanted = [(number, plan["first_offset"] + i) for number in numbers for i in range(seeds)]
        new = [pair for pair in wanted if pair not in planned]
        if new:
            plan["rounds"] = [*plan["rounds"], {"time_ms": time.time_ns() // 1_000_000, "trials": new}]
            store.set_final(final, plan)
            failpoint("finalize.planned")
        waiting = list(_missing(workspace, stored, files, tests, plan))
        if waiting:
            store.enqueue(final, waiting)
            n_trials = len(tests.trials) + len(waiting)
            store.set_budget(final, _study_of_tests(stored.study, n_trials), n_trials=n_trials)
    return Tests(
        name=final,
        configurations=numbers,
        n_seeds=seeds,
        n_new=len(new),
        notes=[*_notes(stored, chosen, top=len(trials) or top)],
    )


def is_done(workspace: Workspace, name: str) -> bool:
    """Whether all trainings of a study of tests have ended, and the tracker has all of them."""
    stored = open_store(workspace).read(name)
    files = workspace.study_files(name, stored.uuid)
    has_ended = stored.count("COMPLETE", "PRUNED", "FAIL") == len(stored.trials)
    return has_ended and study_status(files) == "FINISHED" and not unsent_trials(files)


def _name_of_tests(name: str) -> str:
    try:
        return check_name(final_name(name))
    except ValueError as error:
        raise InputError(f"the tests of {name!r} make up a study of their own, whose name would be: {error}") from None


def _study_of_tests(study: Study, n_trials: int) -> Study:
    """The study as its tests are stored: same space, so that parameters mean the same, but nothing is searched."""
    return study.model_copy(
        update={
            "name": _name_of_tests(study.name),
            "description": f"The best configurations of {study.name}, trained again and measured on the test part.",
            "sampler": RandomSamplerConfig(name="random", seed=0),
            "pruner": NoPrunerConfig(name="none"),
            "budget": Budget(trials=max(n_trials, 1)),
        }
    )


def _check_ours(tests: StoredStudy, stored: StoredStudy) -> None:
    name, final = stored.study.name, tests.study.name
    if tests.final is None:
        raise InputError(f"the tests of {name} would be stored as {final}, and a study of that name is there already")
    if tests.final["uuid"] != stored.uuid:
        raise InputError(f"{final} holds the tests of an earlier study {name}; delete it with `sweeper delete {final}`")


def _check_test_part(
    workspace: Workspace, stored: StoredStudy, files: StudyFiles, chosen: Sequence[Configuration]
) -> None:
    for configuration in chosen:
        data = read_json(files.trial(configuration.number).artifacts / "data.json") or {}
        counts = data.get("counts", {}).get("test")
        if counts is not None and not sum(counts):
            raise InputError(f"{data.get('name')} has no test part, on which {stored.study.name} could be tested")


def _missing(
    workspace: Workspace, stored: StoredStudy, files: StudyFiles, tests: StoredStudy, plan: Mapping[str, Any]
) -> Iterator[Queued]:
    """What is planned and not stored: all that is new, and what a crash has kept from being stored."""
    planned = [
        (index, each["time_ms"], number, offset)
        for index, each in enumerate(plan["rounds"], start=1)
        for number, offset in each["trials"]
    ][len(tests.trials) :]  # they are stored in the order of the plan
    run_ids = _run_ids(workspace, stored, files, {number for _, _, number, _ in planned})
    for index, time_ms, number, offset in planned:
        tags = final_tags(source_trial=number, source_run_id=run_ids.get(number), round_number=index, time_ms=time_ms)
        yield Queued(params=stored.trials[number].params, seed_offset=offset, tags=tags)


def _run_ids(workspace: Workspace, stored: StoredStudy, files: StudyFiles, numbers: set[int]) -> dict[int, str]:
    """The runs of some trials: from their files, or from the tracker where they were trained elsewhere."""
    tracked = {number: read_json(files.trial(number).tracked) or {} for number in numbers}
    found = {number: str(each["run_id"]) for number, each in tracked.items() if "run_id" in each}
    if numbers - found.keys():
        record = open_reader(workspace.tracking_uri).read_study(stored.study.name)
        found |= {run.number: run.run_id for run in record.runs if run.number in numbers}
    return found


def _notes(stored: StoredStudy, chosen: Sequence[Configuration], *, top: int) -> Iterator[str]:
    name, n_left = stored.study.name, stored.n_trials - stored.count("COMPLETE", "PRUNED", "FAIL")
    if n_left > 0:
        yield f"{name} has {n_left} trials left; what they would find is not among what is tested"
    if len(chosen) < top:
        yield f"{len(chosen)} instead of {top}: {name} has no more complete configurations"
