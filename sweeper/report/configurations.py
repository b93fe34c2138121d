"""Configurations: trials that differ in nothing but their seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeper.report.format import as_float
from sweeper.report.parameters import identity
from sweeper.study.study import Objective
from sweeper.tracking.records import RunRecord

__all__ = ["SEED", "Configuration", "group_configurations"]

SEED = "seed"


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One configuration with its trials, one a seed."""

    runs: tuple[RunRecord, ...]
    """Complete trials with a finite value, one a seed, by number; at least one."""
    n_trials: int
    """Trials of any state, one a seed."""
    typical: RunRecord
    """The trial with the median value; of an even number, the worse of the two in the middle."""

    @property
    def value(self) -> float:
        """Mean of the objective over the seeds."""
        return math.fsum(run.value or 0.0 for run in self.runs) / len(self.runs)

    @property
    def typical_words(self) -> str:
        """What the value of the typical trial is among those of its seeds."""
        n = len(self.runs)
        return "the median value" if n % 2 else "the worse value" if n == 2 else "the worse of the two middle values"

    @property
    def seeds(self) -> dict[Any, RunRecord]:
        """Trials by their seed."""
        return {run.params.get(SEED): run for run in self.runs}

    @property
    def name(self) -> str:
        """`trial 7`, or `trials 7, 12, 13`."""
        numbers = ", ".join(str(run.number) for run in self.runs)
        return f"trial{'s' if len(self.runs) > 1 else ''} {numbers}"


def group_configurations(
    runs: Sequence[RunRecord], params: Mapping[str, Mapping[str, Any]], objective: Objective
) -> list[Configuration]:
    """Configurations with a complete trial, the best by the mean over their seeds first.

    Those of which not every seed is complete come after the others: a mean over those that survived is no fair one.
    A trial that repeats another, seed included, is left out. Where no two trials differ in their seed alone, each
    complete trial is a configuration of its own.

    Args:
        runs: All trials of a study, by number.
        params: Their parameters by run id.
        objective: What they are judged by.
    """
    groups: dict[tuple[tuple[str, str], ...], dict[str, list[RunRecord]]] = {}
    for run in runs:
        own = params[run.run_id]
        key = tuple(sorted((path, identity(value)) for path, value in own.items() if path != SEED))
        groups.setdefault(key, {}).setdefault(identity(own.get(SEED)), []).append(run)
    complete = [[[r for r in same if _is_complete(r)] for same in seeds.values()] for seeds in groups.values()]
    if not any(sum(bool(same) for same in seeds) > 1 for seeds in complete):
        found = [_configuration([run], 1, objective) for run in runs if _is_complete(run)]
    else:
        found = [
            _configuration([same[0] for same in seeds if same], len(seeds), objective)
            for seeds in complete
            if any(seeds)
        ]
    sign = -1.0 if objective.maximize else 1.0
    return sorted(found, key=lambda c: (len(c.runs) < c.n_trials, sign * c.value, c.runs[0].number, c.runs[0].run_id))


def _is_complete(run: RunRecord) -> bool:
    return run.state == "COMPLETE" and as_float(run.value) is not None


def _configuration(runs: Sequence[RunRecord], n_trials: int, objective: Objective) -> Configuration:
    sign = 1.0 if objective.maximize else -1.0
    ranked = sorted(runs, key=lambda run: (sign * (run.value or 0.0), -run.number))
    return Configuration(
        runs=tuple(sorted(runs, key=lambda run: (run.number, run.run_id))),
        n_trials=n_trials,
        typical=ranked[(len(ranked) - 1) // 2],
    )
