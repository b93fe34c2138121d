"""The values of one factor with their trials and tests, and which of these are partners."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from sweeper.report.configurations import SEED
from sweeper.report.effect import CONFIGURATION, levels_of, value_of
from sweeper.report.parameters import identity
from sweeper.report.study_data import StudyData
from sweeper.tracking.final import source_of
from sweeper.tracking.records import RunRecord

__all__ = ["FactorValue", "Pair", "factor_values", "have_partners", "other_parameters"]

Pair: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""What trials share that are partners: the seed, and every other parameter that varied."""


@dataclass(frozen=True, kw_only=True)
class FactorValue:
    """A value of a factor and what was trained with it."""

    label: str
    runs: Mapping[Pair, RunRecord]
    """Complete trials. Of several that are alike in everything the first."""
    tests: Mapping[Pair, RunRecord]
    """Complete runs on test, by the configuration that they train again and their own seed."""
    n_trials: int
    """Trials of any state."""
    n_pruned: int

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


def factor_values(data: StudyData, path: str) -> list[FactorValue]:
    """The values with a complete or diverged trial, in their order.

    Args:
        data: The study.
        path: The factor, one of `data.factors`, or `configuration` for all of them together.
    """
    others = other_parameters(data, path)
    tested: dict[int | None, list[RunRecord]] = {}
    for run in [] if data.final is None else data.final.judged_runs:
        tested.setdefault(source_of(run), []).append(run)
    n_trials = Counter(_key(data, path, run) for run in data.runs)
    n_pruned = Counter(_key(data, path, run) for run in data.runs if run.state == "PRUNED")

    def pair(run: RunRecord, seed: Any) -> Pair:
        params = data.params[run.run_id]
        return identity(seed), tuple((p, identity(params[p])) for p in others if p in params)

    found = []
    for level in levels_of(data, path, n_most=10**9):
        key = _key(data, path, level.runs[0])
        # From the last to the first, so that the first of equal ones stays.
        complete = [run for run in reversed(level.runs) if run.state == "COMPLETE"]
        tests = {pair(run, t.params.get(SEED)): t for run in complete for t in tested.get(run.number, ())}
        found.append(
            FactorValue(
                label=level.label,
                runs={pair(run, data.params[run.run_id].get(SEED)): run for run in complete},
                tests=tests,
                n_trials=n_trials[key],
                n_pruned=n_pruned[key],
            )
        )
    return found


def _key(data: StudyData, path: str, run: RunRecord) -> str | None:
    value = value_of(data, path, run)
    return None if value is None else value[0] if value[1] is None else repr(value[1])


def have_partners(values: list[FactorValue]) -> bool:
    """Whether complete trials of different values share all else."""
    partners = Counter(pair for value in values for pair in value.runs)
    return max(partners.values(), default=0) > 1
