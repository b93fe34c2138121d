"""Testing the best configurations of a study: trained again, with seeds that the search did not use, and measured on
the test part.

The trainings are the trials of a study of their own, `NAME.final`; see `sweeper.sweep.derived`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeper.errors import InputError
from sweeper.search.attributes import REPLICATE_OF_ATTR, SEED_OFFSET_ATTR
from sweeper.search.storage import Queued, StoredStudy, TrialRecord
from sweeper.sweep.derived import Plan, Planned, create_derived, extend, open_ended, run_ids
from sweeper.sweep.store import open_store
from sweeper.tracking.final import final_tags
from sweeper.tracking.workspace import StudyFiles, Workspace, read_json

__all__ = ["Configuration", "Tests", "choose", "prepare_tests", "rank_configurations"]


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
    """The best configurations, or those of some trials.

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
    stored, files = open_ended(workspace, name, why="its best configurations may change")
    chosen = choose(stored, top=top, trials=trials)
    _check_test_part(workspace, stored, files, chosen)
    store = open_store(workspace)
    offsets = [trial.attrs.get(SEED_OFFSET_ATTR, 0) for trial in stored.trials]
    # The value that a configuration was chosen for is a lucky one; its seeds would not be a fair sample.
    first_offset = max(stored.study.budget.seeds, max(offsets) + 1)
    final = create_derived(workspace, store, stored.study, stored.uuid, "final", first_offset=first_offset)

    def want(tests: StoredStudy, plan: Plan) -> list[tuple[int, int]]:
        tested = {number for each in plan["rounds"] for number, _ in each["trials"]}
        # A configuration is known by its first trial that was tested: it may have got trials before that since.
        numbers = [min(c.numbers & tested, default=c.number) for c in chosen]
        return [(number, plan["first_offset"] + i) for number in numbers for i in range(seeds)]

    def queue(files_of_tests: StudyFiles, plan: Plan, missing: Sequence[Planned]) -> Iterator[Queued]:
        of_runs = run_ids(workspace, stored, files, {each.number for each in missing})
        for each in missing:
            tags = final_tags(
                source_trial=each.number,
                source_run_id=of_runs.get(each.number),
                round_number=each.round_number,
                time_ms=each.time_ms,
            )
            yield Queued(params=stored.trials[each.number].params, seed_offset=each.detail, tags=tags)

    wanted, n_new = extend(workspace, store, final, want, queue)
    return Tests(
        name=final,
        configurations=list(dict.fromkeys(number for number, _ in wanted)),
        n_seeds=seeds,
        n_new=n_new,
        notes=[*_notes(stored, chosen, top=len(trials) or top)],
    )


def _check_test_part(
    workspace: Workspace, stored: StoredStudy, files: StudyFiles, chosen: Sequence[Configuration]
) -> None:
    for configuration in chosen:
        data = read_json(files.trial(configuration.number).artifacts / "data.json") or {}
        counts = data.get("counts", {}).get("test")
        if counts is not None and not sum(counts):
            raise InputError(f"{data.get('name')} has no test part, on which {stored.study.name} could be tested")


def _notes(stored: StoredStudy, chosen: Sequence[Configuration], *, top: int) -> Iterator[str]:
    name, n_left = stored.study.name, stored.n_trials - stored.count("COMPLETE", "PRUNED", "FAIL")
    if n_left > 0:
        yield f"{name} has {n_left} trials left; what they would find is not among what is tested"
    if len(chosen) < top:
        yield f"{len(chosen)} instead of {top}: {name} has no more complete configurations"
