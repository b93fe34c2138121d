"""What a comparison of the values of a factor says in words, and how its numbers are shown. Imports no Plotly."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from sweeper.report.comparison import Verdict
from sweeper.report.factor import Factor
from sweeper.report.format import aligned, number, percent, percent_decimals, plural
from sweeper.report.shares import is_share
from sweeper.report.statistics import NO_DEVIATION

__all__ = ["VERDICTS", "describe_factor", "difference_text", "value_shows"]

VERDICTS: dict[Verdict, str] = {
    "first": "first",
    "worse": "worse",
    "better": "better in pairs",
    "alike": "not distinguishable",
    "unknown": "–",
}


_PHRASES = (
    ("worse", "Worse than FIRST", "are worse than"),
    ("better in pairs", "Better than FIRST in the trainings that can be paired", "are, in pairs, better than"),
    ("not distinguishable", "Not distinguishable from FIRST", "cannot be told apart from"),
    (VERDICTS["unknown"], "Nothing can be said of the difference to FIRST", "cannot be compared with"),
)
"""Verdict, and how a sentence begins that spells out each value, or that counts them."""
_N_SPELLED = 3
"""More values of one verdict than this are counted; the table has each."""
_N_LETTERS = 80
_NUMBERS = re.compile(r"[-\d.e]+( to [-\d.e]+)?")


def value_shows(factor: Factor, metric: str) -> Callable[[Any], str]:
    """How values of a metric are shown: accuracies in percent, without the sign; losses with equal decimals."""
    if not is_share(metric):
        return aligned(sample.mean for value in factor.ranked if (sample := factor.sample(value, metric)) is not None)
    # A mean over trainings is finer than one picture.
    decimals = max(percent_decimals(factor.data.n_pictures(metric.partition("/")[0])), 1)
    return lambda value: percent(value, decimals)


def difference_text(factor: Factor, value: Any) -> str:
    """A difference with its sign: of accuracies in points. With the decimals of the values, if they show any of it."""
    shown = value_shows(factor, factor.metric)(value).removeprefix("-")
    if value is None or not shown.strip("0."):
        if not value or is_share(factor.metric):
            return shown
        shown = number(abs(value), 2)
    return f"{'−' if value < 0.0 else '+'}{shown}"


def describe_factor(factor: Factor, frame: pd.DataFrame) -> list[str]:
    """What the numbers say, and what they do not, a sentence each.

    Args:
        factor: The factor.
        frame: From `gather_factor`.
    """
    show = value_shows(factor, factor.metric)
    unit = " %" if is_share(factor.metric) else ""
    first, rest = frame.iloc[0], frame.iloc[1:]
    name = _quoted(first["value"])
    n = len(factor.numbers(factor.ranked[0], factor.metric))
    over = f" in the mean over {plural(n, 'training')}" if n > 1 else ""
    place = f"{name} is first of {len(frame)} values of {factor.label}"
    tied = [row["value"] for _, row in rest.iterrows() if abs(row["mean"] - first["mean"]) < NO_DEVIATION]
    if tied:
        place += f", level with {_listed_or_counted(tied)}"
    sentences = [f"By {factor.metric_text()}, {place}, with {show(first['mean'])}{unit}{over}."]
    for verdict, words, predicate in _PHRASES:
        found = rest[rest["verdict"] == verdict]
        if len(found) > _N_SPELLED:
            sentences.append(_grouped(factor, found, len(rest), f"{predicate} {name}"))
        elif len(found):
            each = "; ".join(_difference(factor, row) for _, row in found.iterrows())
            sentences.append(f"{words.replace('FIRST', name)}: {each}.")
    return [*sentences, *_describe_method(factor, frame), *_describe_lacks(factor)]


def _grouped(factor: Factor, found: pd.DataFrame, n_others: int, predicate: str) -> str:
    """Many values of one verdict in a sentence: `None of the 7 others can be told apart from none: …`."""
    n = len(found)
    if predicate.startswith("cannot ") and n == n_others:
        subject, predicate = f"None of the {n} others", predicate.replace("cannot", "can", 1)
    else:
        subject = f"All {n} others" if n == n_others else f"{n} of the {n_others} others"
    differences = sorted(row for row in found["difference"] if row is not None)
    unit = " points" if is_share(factor.metric) else ""
    spread = ""
    if differences:
        ends = [difference_text(factor, value) for value in (differences[0], differences[-1])]
        spread = f"differences of {' to '.join(dict.fromkeys(ends))}{unit}"
    names = _listed(found["value"].tolist())
    told = [names] if n < n_others and len(names) <= _N_LETTERS else []
    return f"{subject} {predicate}{': ' if told or spread else ''}{', with '.join([*told, *filter(None, [spread])])}."


def _quoted(label: str) -> str:
    """A value as it stands in a sentence: words in quotes, since `loss`, `none` and `both` would be read as words."""
    return label if _NUMBERS.fullmatch(label) else f"“{label}”"


def _difference(factor: Factor, row: pd.Series) -> str:
    unit = " points" if is_share(factor.metric) else ""
    difference = f"{difference_text(factor, row['difference'])}{unit}"
    if row["difference_low"] is not None:
        low, high = (difference_text(factor, row[key]) for key in ("difference_low", "difference_high"))
        words = f"{difference}, {low} to {high}"
    elif not row["n_pairs"]:
        words = "no training has a partner"
    elif row["n_pairs"] == 1:
        words = f"{difference} in one pair, which tells nothing of other seeds"
    elif row["verdict"] == VERDICTS["alike"]:
        words = f"equal in all {row['n_pairs']} pairs"
    else:
        words = f"{difference} in all {row['n_pairs']} pairs, too alike to tell how much chance there is"
    return f"{_quoted(row['value'])} ({words})"


def _describe_method(factor: Factor, frame: pd.DataFrame) -> list[str]:
    others = ", ".join(factor.data.labels[path] for path in factor.others)
    n = factor.n_comparisons
    if n == 0:
        return []
    few = ["With two pairs of a difference, its interval is rarely short enough to tell anything."]
    few = few if frame["n_pairs"].dropna().eq(2).any() and not frame["n_pairs"].dropna().gt(2).any() else []
    if frame["p"].isna().all():
        correction = f", after Bonferroni's correction for {_pairs(factor)}" if n > 1 else ""
        return [
            f"With one training a value, the intervals are Wilson's and Newcombe's, over the pictures{correction}.",
            "They say nothing about other seeds, which may differ by more.",
        ]
    correction = ""
    if n > 1:
        correction = f", after Holm's correction for {_pairs(factor)}, since chance may have chosen the first"
    shared = f"seed, {others}" if others else "seed"
    student = f"their intervals are Student's, at 95 % or more{correction}"
    if not others:
        return [f"Differences are paired by {shared}; {student}.", *few]
    if factor.has_seeds:
        return [
            f"Differences are paired by {shared}, and averaged for each seed; {student}.",
            f"They hold for the settings of {others} that were tried, and say nothing about others.",
            *few,
        ]
    return [
        f"Differences are paired by {shared}; {student}.",
        f"With one seed, they say how much the difference depends on {others}, and nothing about other seeds.",
        *few,
    ]


def _pairs(factor: Factor) -> str:
    n, n_values = factor.n_comparisons, len(factor.ranked)
    is_all = n == n_values * (n_values - 1) // 2
    return f"all {n} pairs of values" if is_all else f"the {n} pairs of values that can be compared"


def _describe_lacks(factor: Factor) -> list[str]:
    sentences = []
    ranked = factor.ranked
    diverged = [v.label for v in factor.values if v not in ranked and v.n_diverged == v.n_trials]
    if diverged:
        sentences.append(f"Every training diverged: {_listed_or_counted(diverged)}.")
    absent = [v.label for v in factor.values if v not in ranked and v.label not in diverged] + factor.unfinished
    if absent:
        what = "test" if factor.metric.startswith("test/") else "complete trial"
        sentences.append(f"No {what} yet: {_listed_or_counted(absent)}.")
    lacking = [
        f"{_quoted(v.label)} ({len(v.runs)} of {v.n_trials}{f', {v.n_diverged} diverged' if v.n_diverged else ''})"
        for v in ranked
        if len(v.runs) < v.n_trials
    ]
    if lacking:
        sentences.append(
            f"Not all trials are complete; those that are not do not count, and their values come last: "
            f"{'; '.join(lacking)}."
        )
    n_pruned = sum(value.n_pruned for value in factor.values)
    if n_pruned:
        sentences.append(f"Pruning ended {plural(n_pruned, 'trial')}, so that those left are the better ones.")
    return sentences


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(map(_quoted, labels))


def _listed_or_counted(labels: Sequence[str]) -> str:
    """Values in a sentence; of many with long names their number alone, since the table of all trials has them."""
    listed = _listed(labels)
    return listed if len(labels) <= _N_SPELLED or len(listed) <= _N_LETTERS else f"{len(labels)} other values"
