"""What one parameter did: which one, its values, and the trials that had each."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from sweeper.report.format import as_float, param_text, short_names
from sweeper.report.parameters import expand_lists, identity, tree_order, varied_params
from sweeper.report.study_data import StudyData
from sweeper.tracking.records import RunRecord

__all__ = [
    "CONFIGURATION",
    "Effect",
    "Level",
    "blew_up",
    "candidates",
    "choose_parameter",
    "gather_explained",
    "has_diverged",
    "is_log",
    "last_losses",
    "levels_of",
    "loss_of_constant",
    "resolve_parameter",
    "value_of",
]

CONFIGURATION = "configuration"
"""In the place of a parameter: all that varied, taken together."""
_N_CONFIGURATIONS = 12
_COMMON = 0.6
"""A value that more than this share of the trials has goes without saying."""
_N_LETTERS = 36
"""Configurations of which one needs more letters than this are called by their trials."""
_N_BINS = 6
_N_LEVELS = 40
"""Values of the only parameter that varied which are told apart; beside others, chance would hide what each did."""
_N_LEVELS_BESIDE_OTHERS = 12
_N_LINES = 12
"""More curves than this cannot be told apart in one figure."""
_N_CLASSES = 12
_LOG_RATIO = 30.0
"""Listed numbers over a wider range than this are drawn on a logarithmic axis."""
_GEOMETRIC_STEP = 1.5
_GEOMETRIC_RANGE = 8.0
_MISSING = object()
_BLOWN_FACTOR = 2.0
_BLOWN_FACTOR_OF_START = 10.0


@dataclass(frozen=True, kw_only=True)
class Level:
    """A value of the parameter, or a range of values, and its trials."""

    label: str
    x: float | None
    """The value, of a range the median; None for what is no number."""
    runs: tuple[RunRecord, ...]
    """Complete and diverged trials, by number."""
    words: str = ""
    """What the label stands for, where it is a trial's number."""


def has_diverged(run: RunRecord) -> bool:
    """Whether a trial failed because a loss became NaN or infinite."""
    return run.state == "FAIL" and run.tags.get("sweeper.reason", "").lower().startswith("diverged")


def _counted(data: StudyData) -> list[RunRecord]:
    """Trials that say what a parameter did: complete ones, and those that diverged. Pruned ones were cut short."""
    return [run for run in data.runs if run.state == "COMPLETE" or has_diverged(run)]


# --- which parameter ----------------------------------------------------------------------------------------------


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


def choose_parameter(data: StudyData) -> str | None:
    """The parameter that trials are compared by: the one that was asked for, else the only one that was searched, else
    all of them as `configuration` where there are few of these, else the one that explains most of the values. None
    where nothing varied, or not what was asked for."""
    if data.by is not None:
        return resolve_parameter(data, data.by)
    searched = [path for path in data.factors if path in data.searched]
    if len(data.factors) == 1 or (len(searched) == 1 and Effect(data, searched[0]).is_only):
        return (searched or data.factors)[0]
    if data.factors and len({_configuration_words(data, run) for run in data.runs}) <= _N_CONFIGURATIONS:
        return CONFIGURATION
    explained = gather_explained(data)
    return None if explained.empty else str(explained["parameter"].iloc[0])


def gather_explained(data: StudyData) -> pd.DataFrame:
    """How much of the order of the trials each parameter explains by itself, most first: columns parameter, explained,
    n_trials, n_groups.

    `explained` is epsilon squared of the Kruskal-Wallis test: the share of the variance of the ranks of the values that
    lies between groups of trials with equal values of the parameter (of numbers with many values: up to six ranges with
    as many trials each), less what chance would give; 0 to 1. Diverged trials have the last rank. Lists count
    item by item. Parameters with fewer than two groups, or fewer than four trials more than groups, are left out.
    """
    runs = [run for run in _counted(data) if has_diverged(run) or as_float(run.value) is not None]
    sign = -1.0 if data.objective.maximize else 1.0
    worst = math.inf
    scores = {run.run_id: worst if has_diverged(run) else sign * (run.value or 0.0) for run in runs}
    rows = []
    for path in candidates(data):
        own = [run for run in runs if _value(data.params[run.run_id], path) not in (_MISSING, [])]
        if any(isinstance(_value(data.params[run.run_id], path), list | tuple) for run in own):
            continue
        # Few trials in each of many groups would fit any order.
        groups = _groups(data, path, own, min(max(len(own) // 4, 2), _N_BINS), all_words=True)
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


# --- its values ---------------------------------------------------------------------------------------------------


def value_of(data: StudyData, path: str, run: RunRecord) -> tuple[str, float | None] | None:
    """The value of a parameter in a trial, as text and, if it is one, as number; None where the trial has none.

    For the name of a branch, settings are added that differ between branches of that name: `step (every 5)`.
    """
    params = data.params[run.run_id]
    if path == CONFIGURATION:
        return _configuration_words(data, run), None
    value = _value(params, path)
    if value is _MISSING:
        return None
    text = param_text(value)
    if path.endswith(".name"):
        prefix = path.removesuffix("name")
        words = [
            f"{setting.removeprefix(prefix).replace('_', ' ')} {param_text(params[setting])}"
            for setting in data.telling.get(path, {}).get(str(value), ())
            if setting in params
        ]
        text += f" ({', '.join(words)})" if words else ""
    return text, as_float(value)


def _value(params: Mapping[str, Any], path: str) -> Any:
    """The value at a path, which may be an item of a list, or its length as `<path>.repeat`; `_MISSING` without one."""
    if path in params:
        return params[path]
    whole = path.rpartition(".")[0]
    items = params.get(whole)
    return expand_lists({whole: items}).get(path, _MISSING) if isinstance(items, list | tuple) else _MISSING


def _configuration_words(data: StudyData, run: RunRecord) -> str:
    """What varied, in this trial; but for values that most trials have."""
    params = data.params[run.run_id]
    words = []
    for path in data.factors:
        if path not in params:
            continue
        name = data.labels[path].replace("_", " ")
        if data.value_counts[path][identity(params[path])] <= _COMMON * len(data.runs):
            text = param_text(params[path])
            words.append(text if isinstance(params[path], str) and not text.isnumeric() else f"{name} {text}")
    return ", ".join(words) or "as most"


def is_log(data: StudyData, path: str, xs: Sequence[float]) -> bool:
    """Whether the axis of a numeric parameter is logarithmic: where the space was; of listed values where they are
    far apart, or grow by factors as batch sizes do."""
    if not xs or min(xs) <= 0.0:
        return False
    searched = data.searched.get(path)
    if searched is not None and not searched.choice:
        return searched.log
    ratios = [high / low for low, high in itertools.pairwise(sorted(set(xs)))]
    is_geometric = len(ratios) > 1 and min(ratios) >= _GEOMETRIC_STEP and max(xs) >= _GEOMETRIC_RANGE * min(xs)
    return is_geometric or max(xs) > _LOG_RATIO * min(xs)


def levels_of(data: StudyData, path: str, *, n_most: int) -> list[Level]:
    """The values of a parameter in order, with the trials that count for each.

    Numbers with more than `n_most` values are put together in ranges with about as many trials each; of other values
    those of the most trials are kept.
    """
    runs = [r for r in _counted(data) if path == CONFIGURATION or _value(data.params[r.run_id], path) is not _MISSING]
    return _groups(data, path, runs, n_most)


def _groups(
    data: StudyData, path: str, runs: Sequence[RunRecord], n_most: int, *, all_words: bool = False
) -> list[Level]:
    found: dict[str, tuple[float | None, list[RunRecord]]] = {}
    for run in runs:
        value = value_of(data, path, run)
        if value is not None:
            text, x = value
            key = text if x is None else repr(x)
            found.setdefault(key, (x, []))[1].append(run)
    # Numbers first, in their order; words in that of the study file, then of the alphabet.
    searched = data.searched.get(path)
    order = {text: i for i, text in enumerate(searched.order)} if searched else {}

    def place(item: tuple[str, tuple[float | None, list[RunRecord]]]) -> tuple[Any, ...]:
        text, (x, _) = item
        return (x is None, x or 0.0, order.get(text.partition(" (")[0], order.get(text, len(order))), _natural(text))

    ordered = sorted(found.items(), key=place)
    if path == CONFIGURATION and len(ordered) <= n_most and any(len(key) > _N_LETTERS for key in found):
        return [Level(label=_numbers(own), x=None, runs=tuple(own), words=key) for key, (_, own) in ordered]
    if len(ordered) <= n_most:
        return [Level(label=_label(key, x), x=x, runs=tuple(own)) for key, (x, own) in ordered]
    if any(x is None for _, (x, _) in ordered):
        kept = sorted(ordered, key=lambda item: -len(item[1][1]))  # of equal ones the first
        chosen = {key for key, _ in (kept if all_words else kept[:n_most])}
        return [Level(label=key, x=x, runs=tuple(own)) for key, (x, own) in ordered if key in chosen]
    pairs = [(x, run) for _, (x, own) in ordered for run in own]
    return _ranges([(x, run) for x, run in pairs if x is not None], min(n_most, _N_BINS))


def _numbers(runs: Sequence[RunRecord]) -> str:
    return f"trial{'' if len(runs) == 1 else 's'} {', '.join(str(run.number) for run in runs)}"


def _natural(text: str) -> list[tuple[int, str]]:
    """Sort key of text with its numbers by size: `every 5` before `every 10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]


def _label(key: str, x: float | None) -> str:
    return key if x is None else param_text(int(x) if x.is_integer() and abs(x) < 1e6 else x)


def _ranges(pairs: Sequence[tuple[float, RunRecord]], n_bins: int) -> list[Level]:
    """Ranges of about as many trials each; equal values stay together. `pairs` are in order."""
    levels: list[Level] = []
    start = 0
    for index in range(1, n_bins + 1):
        end = max(round(index * len(pairs) / n_bins), start)
        while 0 < end < len(pairs) and pairs[end][0] == pairs[end - 1][0]:
            end += 1
        if end == start:
            continue
        own = pairs[start:end]
        low, high = _label("", own[0][0]), _label("", own[-1][0])
        middle = own[(len(own) - 1) // 2][0]
        runs = tuple(sorted((run for _, run in own), key=lambda run: run.number))
        levels.append(Level(label=low if low == high else f"{low} to {high}", x=middle, runs=runs))
        start = end
    return levels


# --- divergence ---------------------------------------------------------------------------------------------------


def last_losses(data: StudyData) -> pd.DataFrame:
    """The last finite loss of each run that recorded one: index run_id, columns train, val."""
    losses = data.epochs[["train/loss", "val/loss"]]
    finite = losses.where(losses.abs() < math.inf)
    return finite.groupby(level="run_id").last().set_axis(["train", "val"], axis="columns")


def loss_of_constant(data: StudyData) -> float | None:
    """The loss of predicting each class with the same probability, whatever the picture: ln K. None without classes."""
    n_classes = len(data.class_names)
    return math.log(n_classes) if data.task == "classification" and n_classes > 1 else None


def blew_up(data: StudyData) -> set[str]:
    """Ids of complete runs that ended with a training loss which no useful training has, though a finite one.

    With classes: above twice that of a constant prediction. Else: above ten times the median of the losses after the
    first epoch, over all runs; with fewer than three runs none can be told.
    """
    last = last_losses(data)["train"].dropna()
    constant = loss_of_constant(data)
    if constant is not None:
        limit = _BLOWN_FACTOR * constant
    else:
        first = (
            data.epochs["train/loss"].where(data.epochs["train/loss"].abs() < math.inf).groupby(level="run_id").first()
        )
        if first.notna().sum() < 3:
            return set()
        limit = _BLOWN_FACTOR_OF_START * float(first.median())
    complete = {run.run_id for run in data.runs if run.state == "COMPLETE"}
    return {str(run_id) for run_id, loss in last.items() if loss > limit and run_id in complete}


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
        return levels_of(self.data, self.path, n_most=min(max(n_runs // 3, 2), _N_BINS))

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
