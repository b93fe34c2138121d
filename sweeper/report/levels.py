"""Values of one parameter, or ranges of them, and the trials that had each."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeper.report.divergence import has_diverged
from sweeper.report.format import as_float, cut_middle, param_text
from sweeper.report.parameters import expand_lists, identity
from sweeper.report.study_data import StudyData
from sweeper.tracking.records import RunRecord

__all__ = [
    "CONFIGURATION",
    "MISSING",
    "N_BINS",
    "Level",
    "configuration_words",
    "counted",
    "group_runs",
    "in_full",
    "is_log",
    "levels_of",
    "value_at",
    "value_of",
]

CONFIGURATION = "configuration"
"""In the place of a parameter: all that varied, taken together."""
_COMMON = 0.6
"""A value that more than this share of the trials has goes without saying."""
_N_LETTERS = 36
"""Of values of which one needs more letters than this, the long ones are cut."""
_N_CUT = 28
_NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:e-?\d+)?)")
_N_HEAD = 10
_ELLIPSIS = "…"
N_BINS = 6
"""At most so many ranges of numbers."""
_LOG_RATIO = 30.0
"""Listed numbers over a wider range than this are drawn on a logarithmic axis."""
_GEOMETRIC_STEP = 1.5
_GEOMETRIC_RANGE = 8.0
MISSING = object()
"""What a trial has that does not have a parameter; None is a value of some."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """A value of the parameter, or a range of values, and its trials."""

    label: str
    x: float | None
    """The value, of a range the median; None for what is no number."""
    runs: tuple[RunRecord, ...]
    """Complete and diverged trials, by number."""
    words: str = ""
    """What the label stands for, where it is cut, or a trial's number."""


def counted(data: StudyData) -> list[RunRecord]:
    """Trials that say what a parameter did: complete ones, and those that diverged. Pruned ones were cut short."""
    return [run for run in data.runs if run.state == "COMPLETE" or has_diverged(run)]


def value_of(data: StudyData, path: str, run: RunRecord) -> tuple[str, float | None] | None:
    """The value of a parameter in a trial, as text and, if it is one, as number; None where the trial has none.

    For the name of a branch, settings are added that differ between branches of that name: `step (every 5)`.
    """
    params = data.params[run.run_id]
    if path == CONFIGURATION:
        return configuration_words(data, run), None
    value = value_at(params, path)
    if value is MISSING:
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


def value_at(params: Mapping[str, Any], path: str) -> Any:
    """The value at a path, which may be an item of a list, or its length as `<path>.repeat`; `MISSING` without one."""
    if path in params:
        return params[path]
    whole = path.rpartition(".")[0]
    items = params.get(whole)
    return expand_lists({whole: items}).get(path, MISSING) if isinstance(items, list | tuple) else MISSING


def configuration_words(data: StudyData, run: RunRecord) -> str:
    """What varied, in this trial; but for values that most trials have, and for what follows from another parameter."""
    return ", ".join(_configuration_parts(data, run)) or "as most"


def _configuration_parts(data: StudyData, run: RunRecord) -> list[str]:
    params = data.params[run.run_id]
    words = []
    for path in data.factors:
        if path not in params or path in data.determined:
            continue
        name = data.labels[path].replace("_", " ")
        if data.value_counts[path][identity(params[path])] <= _COMMON * len(data.runs):
            text = param_text(params[path])
            # A word such as `adam` says what it is of; a number does not, nor does `none`.
            is_plain = isinstance(params[path], str) and not text.isnumeric() and text != "none"
            words.append(text if is_plain else f"{name} {text}")
    return words


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
    runs = [r for r in counted(data) if path == CONFIGURATION or value_at(data.params[r.run_id], path) is not MISSING]
    return group_runs(data, path, runs, n_most)


def group_runs(
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
    if len(ordered) <= n_most and any(x is None and len(key) > _N_LETTERS for key, (x, _) in ordered):
        names = _cut_apart([key for key, _ in ordered])
        # Of several parameters, a cut would hide that the last ones differ.
        is_long = path == CONFIGURATION and any(
            name != key and len(_configuration_parts(data, own[0])) > 1
            for name, (key, (_, own)) in zip(names, ordered, strict=True)
        )
        if is_long or len(set(names)) < len(names):
            names = [_numbers(own) for _, (_, own) in ordered]
        return [
            Level(label=name, x=x, runs=tuple(own), words=key if name != key else "")
            for name, (key, (x, own)) in zip(names, ordered, strict=True)
        ]
    if len(ordered) <= n_most:
        return [Level(label=_label(key, x), x=x, runs=tuple(own)) for key, (x, own) in ordered]
    if any(x is None for _, (x, _) in ordered):
        kept = sorted(ordered, key=lambda item: -len(item[1][1]))  # of equal ones the first
        chosen = {key for key, _ in (kept if all_words else kept[:n_most])}
        return [Level(label=key, x=x, runs=tuple(own)) for key, (x, own) in ordered if key in chosen]
    pairs = [(x, run) for _, (x, own) in ordered for run in own]
    return _ranges([(x, run) for x, run in pairs if x is not None], min(n_most, N_BINS))


def in_full(label: str, words: str | None) -> tuple[str, str]:
    """A label as a table has room for, and what else it needs to be understood: the name of trials stays beside what
    they had, and a cut value is given whole."""
    return (words, "") if words and _ELLIPSIS in label else (label, words or "")


def _cut_apart(texts: Sequence[str]) -> list[str]:
    """Long values cut at their end, or in the middle where several begin alike."""
    names = [_cut(text) for text in texts]
    return [cut_middle(text, _N_CUT, _N_HEAD) if names.count(_cut(text)) > 1 else _cut(text) for text in texts]


def _cut(text: str) -> str:
    """The first words of a long value."""
    if len(text) <= _N_CUT:
        return text
    return f"{text[: _N_CUT - 1].rpartition(' ')[0] or text[: _N_CUT - 1]} {_ELLIPSIS}"


def _numbers(runs: Sequence[RunRecord]) -> str:
    return f"trial{'' if len(runs) == 1 else 's'} {', '.join(str(run.number) for run in runs)}"


def _natural(text: str) -> list[tuple[float, str]]:
    """Sort key of text with its numbers by size: `every 5` before `every 10`, 0.07 before 0.2."""
    return [(float(part), "") if index % 2 else (-1.0, part) for index, part in enumerate(_NUMBER.split(text))]


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
