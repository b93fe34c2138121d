"""What one parameter did: which one, and what was measured of the trials that had each of its values."""

from __future__ import annotations

import math
from functools import cached_property

import pandas as pd

from sweeper.report.divergence import blew_up, has_diverged, last_losses
from sweeper.report.format import as_float, short_names
from sweeper.report.levels import (
    CONFIGURATION,
    MISSING,
    N_BINS,
    Level,
    configuration_words,
    counted,
    group_runs,
    is_log,
    levels_of,
    value_at,
    value_of,
)
from sweeper.report.parameters import expand_lists, tree_order, varied_params
from sweeper.report.study_data import StudyData, once_per_study
from sweeper.tracking.records import RunRecord

__all__ = ["Effect", "candidates", "choose_parameter", "gather_explained", "resolve_parameter"]

_N_CONFIGURATIONS = 12
_N_LEVELS = 40
"""Values of the only parameter that varied which are told apart; beside others, chance would hide what each did."""
_N_LEVELS_BESIDE_OTHERS = 12
_N_LINES = 12
"""More curves than this cannot be told apart in one figure."""
_N_CLASSES = 12


@once_per_study
def candidates(data: StudyData) -> dict[str, str]:
    """Parameters that may be compared by, with their short names: those that varied, and of lists each item and the
    length."""
    rows = [expand_lists({p: v for p, v in data.params[r.run_id].items() if p in data.factors}) for r in data.runs]
    paths = sorted({*data.factors, *varied_params(rows)}, key=tree_order)
    return short_names(paths)


def resolve_parameter(data: StudyData, name: str) -> str | None:
    """The parameter that varied by a name such as `training.optimizer.lr`, `optimizer` or `lr`; None where none has it
    alone. `configuration` stands for all that varied."""
    if name == CONFIGURATION and data.factors:
        return CONFIGURATION
    labels = candidates(data)
    known = [path for path in labels if path in (name, f"{name}.name")]
    known = known or [path for path in labels if name in (labels[path], data.labels.get(path))]
    known = known or [path for path in labels if path.removesuffix(".name").endswith(f".{name}")]
    return known[0] if len(known) == 1 else None


@once_per_study
def choose_parameter(data: StudyData) -> str | None:
    """The parameter that trials are compared by: the one that was asked for, else the only one that was searched, else
    all of them as `configuration` where there are few of these, else the one that explains most of the values. None
    where nothing varied, or not what was asked for."""
    if data.by is not None:
        return resolve_parameter(data, data.by)
    searched = [path for path in data.factors if path in data.searched]
    if len(data.factors) == 1 or (len(searched) == 1 and Effect(data, searched[0]).is_only):
        return (searched or data.factors)[0]
    if data.factors and len({configuration_words(data, run) for run in data.runs}) <= _N_CONFIGURATIONS:
        return CONFIGURATION
    explained = gather_explained(data)
    return None if explained.empty else str(explained["parameter"].iloc[0])


@once_per_study
def gather_explained(data: StudyData) -> pd.DataFrame:
    """How much of the order of the trials each parameter explains by itself, most first: columns parameter, explained,
    n_trials, n_groups.

    `explained` is epsilon squared of the Kruskal-Wallis test: the share of the variance of the ranks of the values that
    lies between groups of trials with equal values of the parameter (of numbers with many values: up to six ranges with
    as many trials each), less what chance would give; 0 to 1. Diverged trials have the last rank. Lists count
    item by item. Parameters with fewer than two groups, or fewer than four trials more than groups, are left out.
    """
    runs = [run for run in counted(data) if has_diverged(run) or as_float(run.value) is not None]
    sign = -1.0 if data.objective.maximize else 1.0
    worst = math.inf
    scores = {run.run_id: worst if has_diverged(run) else sign * (run.value or 0.0) for run in runs}
    rows = []
    for path in candidates(data):
        own = [run for run in runs if value_at(data.params[run.run_id], path) not in (MISSING, [])]
        if any(isinstance(value_at(data.params[run.run_id], path), list | tuple) for run in own):
            continue
        # Few trials in each of many groups would fit any order.
        groups = group_runs(data, path, own, min(max(len(own) // 4, 2), N_BINS), all_words=True)
        if len(groups) < 2 or len(own) - len(groups) < 4:
            continue
        ranks = pd.Series([scores[run.run_id] for run in own], index=[run.run_id for run in own]).rank()
        total = float(((ranks - ranks.mean()) ** 2).sum())
        if total == 0.0:
            continue
        within = sum(
            float(((r := ranks[[run.run_id for run in level.runs]]) - r.mean()).pow(2).sum()) for level in groups
        )
        explained = 1.0 - (within / total) * (len(own) - 1) / (len(own) - len(groups))
        # What only some trials have explains only those.
        rows.append((path, max(explained, 0.0) * len(own) / len(runs), len(own), len(groups)))
    rows.sort(key=lambda row: -row[1])
    return pd.DataFrame(rows, columns=["parameter", "explained", "n_trials", "n_groups"])


class Effect:
    """One parameter and what was measured of the trials that tell what it did.

    Args:
        data: The study.
        path: The parameter, one of `data.factors`.
    """

    def __init__(self, data: StudyData, path: str) -> None:
        self.data = data
        self.path = path
        self.label = data.labels.get(path) or candidates(data).get(path, path)

    @property
    def value_words(self) -> str:
        """What one of its values is called: `value of lr`, or `configuration`."""
        return CONFIGURATION if self.path == CONFIGURATION else f"value of {self.label}"

    @cached_property
    def is_only(self) -> bool:
        """Whether nothing else varied, but for settings that come with its values."""
        if self.path == CONFIGURATION:
            return True
        prefix = self.path.removesuffix("name")
        return all(p == self.path or (p.startswith(prefix) and p not in self.data.searched) for p in self.data.factors)

    @cached_property
    def levels(self) -> list[Level]:
        """Its values, or ranges of them."""
        return self._levels(_N_LEVELS if self.is_only else _N_LEVELS_BESIDE_OTHERS)

    @cached_property
    def lines(self) -> list[Level]:
        """Its values, or ranges, few enough for one line each."""
        return self._levels(_N_LINES)

    def _levels(self, n_most: int) -> list[Level]:
        """Values, or ranges where there are more than `n_most`, or hardly two trials have one value: beside other
        parameters, a line from trial to trial would show chance."""
        levels = levels_of(self.data, self.path, n_most=n_most)
        n_runs = sum(len(level.runs) for level in levels)
        if self.is_only or 2 * len(levels) <= n_runs or any(level.x is None for level in levels):
            return levels
        return levels_of(self.data, self.path, n_most=min(max(n_runs // 3, 2), N_BINS))

    @cached_property
    def is_numeric(self) -> bool:
        return all(level.x is not None for level in self.levels)

    @cached_property
    def is_log(self) -> bool:
        return is_log(self.data, self.path, [level.x for level in self.levels if level.x is not None])

    @cached_property
    def diverged(self) -> list[tuple[RunRecord, float | str]]:
        """Trials that diverged, each with its place on the axis."""
        found: list[tuple[RunRecord, float | str]] = []
        for level in self.levels:
            for run in filter(has_diverged, level.runs):
                value = value_of(self.data, self.path, run)
                x = value[1] if value is not None and self.is_numeric else None
                found.append((run, level.label if x is None else x))
        return found

    @cached_property
    def blown(self) -> set[str]:
        """Ids of the runs that blew up."""
        return blew_up(self.data)

    @cached_property
    def last_losses(self) -> pd.DataFrame:
        return last_losses(self.data)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The classes that are told apart: all where they are few, else none."""
        names = self.data.class_names if self.data.task == "classification" else ()
        return names if len(names) <= _N_CLASSES else ()

    @cached_property
    def judged(self) -> pd.DataFrame:
        """Metrics of the complete trials at the epoch that each is judged by: a row a run id, a column a metric."""
        metrics = [f"train/{quantity}" for quantity in ("accuracy", "loss")]
        for kind in ("", "true_"):
            metrics += [f"val/{kind}accuracy", f"val/{kind}balanced_accuracy"]
            metrics += [f"val/{kind}accuracy/{name}" for name in self.class_names]
        metrics += ["val/loss", *(f"val/loss/{name}" for name in self.data.output_names)]
        frame = self.data.judged(metrics)
        complete = [run.run_id for run in self.data.runs if run.state == "COMPLETE"]
        return frame.reindex(index=[run_id for run_id in complete if run_id in frame.index])
