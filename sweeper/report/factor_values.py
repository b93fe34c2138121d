"""The values of one factor with their trials and tests, and which of these are partners."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sweeper.report.configurations import SEED
from sweeper.report.divergence import has_diverged
from sweeper.report.levels import CONFIGURATION, levels_of, value_of
from sweeper.report.parameters import identity
from sweeper.report.study_data import StudyData
from sweeper.tracking.final import FINAL_OF_TAG, source_of
from sweeper.tracking.records import RunRecord

__all__ = ["FactorValue", "Pair", "factor_values", "have_partners", "other_parameters"]

Pair: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""What trials share that are partners: the seed, and every other parameter that varied."""


@dataclass(frozen=True, kw_only=True)
class FactorValue:
    """A value of a factor and what was trained with it."""

    label: str
    """As it is shown: numbers with three significant digits, long words cut."""
    words: str
    """The label in full, where it is cut, or stands for trials; else empty."""
    value: Any
    """As it is in the configuration; of a branch, and of all that varied together, the label."""
    runs: Mapping[Pair, RunRecord]
    """Complete trials. Of several that are alike in everything the first."""
    tests: Mapping[Pair, RunRecord]
    """Complete runs on test, by the configuration that they train again and their own seed; of a study of tests its
    runs."""
    n_trials: int
    """Trials of any state, without those that repeat another."""
    n_pruned: int
    n_diverged: int

    def of(self, metric: str) -> Mapping[Pair, RunRecord]:
        """The runs that a metric is measured of: the tests where it is one of test."""
        return self.tests if metric.startswith("test/") else self.runs


def other_parameters(data: StudyData, path: str) -> list[str]:
    """The other parameters that varied, which partners share: none that a value of the factor sets, such as the
    learning rate that comes with an optimizer."""
    if path == CONFIGURATION:
        return []
    own = path.removesuffix("name") if path.endswith(".name") else f"{path}."
    return [p for p in data.factors if p not in (path, SEED) and (p in data.searched or not p.startswith(own))]


def factor_values(data: StudyData, path: str) -> tuple[list[FactorValue], list[str]]:
    """The values with a complete or diverged trial, in their order, and the others as text.

    Args:
        data: The study.
        path: The factor, one of `data.factors`, or `configuration` for all of them together.
    """
    others = other_parameters(data, path)
    tested: dict[int | None, list[RunRecord]] = {}
    for run in [] if data.final is None else data.final.judged_runs:
        tested.setdefault(source_of(run), []).append(run)
    trials: dict[str, list[RunRecord]] = {}
    label_of: dict[str, str] = {}
    for run in data.runs:
        if (value := value_of(data, path, run)) is not None:
            key = value[0] if value[1] is None else repr(value[1])
            trials.setdefault(key, []).append(run)
            label_of[run.run_id] = key

    def pair(run: RunRecord, test: RunRecord | None = None) -> Pair:
        params = data.params[run.run_id]
        seed = params.get(SEED) if test is None else test.params.get(SEED)
        return identity(seed), tuple((p, identity(params[p])) for p in others if p in params)

    found = []
    for level in levels_of(data, path, n_most=10**9):
        own = trials.pop(label_of[level.runs[0].run_id])
        # From the last to the first, so that the first of equal ones stays.
        complete = [run for run in reversed(level.runs) if run.state == "COMPLETE"]
        value = data.params[own[0].run_id].get(path)
        runs = {pair(run): run for run in complete}
        tests = {pair(run, test): test for run in complete for test in tested.get(run.number, ())}
        found.append(
            FactorValue(
                label=level.label,
                words=level.words,
                value=(level.words or level.label) if path == CONFIGURATION or isinstance(value, str) else value,
                runs=runs,
                tests=runs if FINAL_OF_TAG in data.record.tags else tests,
                n_trials=len({pair(run) for run in own}),
                n_pruned=sum(run.state == "PRUNED" for run in own),
                n_diverged=sum(map(has_diverged, own)),
            )
        )
    return found, list(trials)


def have_partners(values: Sequence[FactorValue], metric: str) -> bool:
    """Whether runs of different values that a metric is measured of share all else."""
    partners = Counter(pair for value in values for pair in value.of(metric))
    return max(partners.values(), default=0) > 1
