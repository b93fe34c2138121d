"""The comparison of the values of a factor as a table, as sentences and as plain data. Imports no Plotly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from sweeper.report.comparison import Verdict
from sweeper.report.factor import Factor, is_share
from sweeper.report.format import number, percent, percent_decimals, plural
from sweeper.report.statistics import Interval

__all__ = [
    "PARTS",
    "VERDICTS",
    "describe_factor",
    "difference_text",
    "factor_dict",
    "gather_factor",
    "interval_text",
    "value_shows",
]

PARTS: tuple[tuple[str, bool], ...] = (("val", False), ("val", True), ("test", False), ("test", True))
"""Parts and whether labels are the true ones, in the order of the tables."""
VERDICTS: dict[Verdict, str] = {
    "first": "best",
    "worse": "worse",
    "better": "better in pairs",
    "alike": "not distinguishable",
    "unknown": "–",
}


def gather_factor(factor: Factor) -> pd.DataFrame:
    """A row a value of the factor, the best first.

    Columns: value, n_trials, n_complete, n_tests, mean, sd, low, high (95 % interval of the mean), then the difference
    to the best: difference, difference_low, difference_high, n_pairs, n_better (pairs in which it is better than the
    best), p (of the paired t test), p_holm (corrected), verdict (`best`, `worse`, `better in pairs`, `not
    distinguishable`, `–` where nothing can be said); then each metric as its mean, and its standard deviation over the
    runs as `<metric> sd`. Accuracies are fractions.
    """
    metrics = [metric for part, true in PARTS for metric in factor.measures(part, true=true).values()]
    rows: list[dict[str, Any]] = []
    for value, difference in zip(factor.ranked, factor.differences, strict=True):
        own, interval = factor.sample(value, factor.metric), difference.interval
        assert own is not None
        row: dict[str, Any] = {
            "value": value.label,
            "n_trials": value.n_trials,
            "n_complete": len(value.runs),
            "n_tests": len(value.tests),
            "mean": own.mean,
            "sd": own.deviation,
            "low": own.interval.low if own.interval else None,
            "high": own.interval.high if own.interval else None,
        }
        if rows:
            row |= {
                "difference": difference.mean,
                "difference_low": interval.low if interval else None,
                "difference_high": interval.high if interval else None,
                "n_pairs": difference.n_pairs,
                "n_better": _count_better(factor, len(rows)),
                "p": difference.p,
                "p_holm": difference.adjusted_p,
            }
        verdict: Verdict = difference.verdict(maximize=factor.maximize) if rows else "first"
        row["verdict"] = VERDICTS[verdict]
        for metric in metrics:
            sample = factor.sample(value, metric)
            row |= {metric: sample.mean, f"{metric} sd": sample.deviation} if sample else {}
        rows.append(row)
    columns = ["value", "n_trials", "n_complete", "n_tests", "mean", "sd", "low", "high"]
    columns += ["difference", "difference_low", "difference_high", "n_pairs", "n_better", "p", "p_holm", "verdict"]
    columns += [column for metric in metrics for column in (metric, f"{metric} sd")]
    frame = pd.DataFrame(rows, columns=columns, dtype=object)
    return frame.where(frame.notna(), None)


def _count_better(factor: Factor, rank: int) -> int:
    sign = 1.0 if factor.maximize else -1.0
    best, own = (factor.numbers(factor.ranked[i], factor.metric) for i in (0, rank))
    return sum(sign * (own[pair] - best[pair]) > 0.0 for pair in own if pair in best)


# --- texts --------------------------------------------------------------------------------------------------------


def value_shows(factor: Factor, metric: str) -> Callable[[Any], str]:
    """How values of a metric are shown: accuracies in percent, without the sign."""
    if not is_share(metric):
        return number
    # A mean over trainings is finer than one picture.
    decimals = max(percent_decimals(factor.data.n_pictures(metric.partition("/")[0])), 1)
    return lambda value: percent(value, decimals)


def difference_text(factor: Factor, value: Any) -> str:
    """A difference with its sign: of accuracies in points, with the decimals of these."""
    shown = value_shows(factor, factor.metric)(value).removeprefix("-")
    if value is None or not shown.strip("0."):
        return shown
    return f"{'−' if value < 0.0 else '+'}{shown}"


def interval_text(show: Callable[[Any], str], low: Any, high: Any) -> str:
    """`78.1 to 80.2`; an en dash where it is not known."""
    return "–" if low is None else f"{show(low)} to {show(high)}"


def describe_factor(factor: Factor, frame: pd.DataFrame) -> list[str]:
    """What the numbers say, and what they do not, a sentence each.

    Args:
        factor: The factor.
        frame: From `gather_factor`.
    """
    show = value_shows(factor, factor.metric)
    unit = " %" if is_share(factor.metric) else ""
    best, rest = frame.iloc[0], frame.iloc[1:]
    n = len(factor.numbers(factor.ranked[0], factor.metric))
    over = f" in the mean over {plural(n, 'training')}" if n > 1 else ""
    first = f"{best['value']} is first of {len(frame)} values of {factor.label}"
    sentences = [f"By {factor.metric_text()}, {first}, with {show(best['mean'])}{unit}{over}."]
    for verdict, words in (
        ("worse", f"Worse than {best['value']}"),
        ("better in pairs", f"Better than {best['value']} in the trainings that can be paired"),
        ("not distinguishable", f"Not distinguishable from {best['value']}"),
    ):
        found = [_difference(factor, row) for _, row in rest[rest["verdict"] == verdict].iterrows()]
        if found:
            sentences.append(f"{words}: {'; '.join(found)}.")
    unknown = rest[rest["verdict"] == VERDICTS["unknown"]]["value"].tolist()
    if unknown:
        sentences.append(f"Of {', '.join(unknown)} nothing can be said: too few trainings can be paired.")
    return [*sentences, *_describe_method(factor, frame), *_describe_lacks(factor, frame)]


def _difference(factor: Factor, row: pd.Series) -> str:
    if row["difference_low"] is None:
        return f"{row['value']} (equal in all {row['n_pairs']} pairs)"
    unit = " points" if is_share(factor.metric) else ""
    low, high = (difference_text(factor, row[key]) for key in ("difference_low", "difference_high"))
    return f"{row['value']} ({difference_text(factor, row['difference'])}{unit}, {low} to {high})"


def _describe_method(factor: Factor, frame: pd.DataFrame) -> list[str]:
    shared = ", ".join(["seed", *(factor.data.labels[path] for path in factor.others)])
    n, correction = factor.n_comparisons, ""
    if frame["p"].notna().any():
        if n > 1:
            correction = f", after Holm's correction for all {n} pairs of values, since chance may have chosen the best"
        sentences = [f"Differences are paired by {shared}; their intervals are Student's, at 95 % or more{correction}."]
        if factor.others:
            sentences.append("They hold for the other settings that were tried, and say nothing about more.")
        return sentences
    if n > 1:
        correction = f", after Bonferroni's correction for all {n} pairs of values"
    return [
        f"With one training a value, the intervals are Wilson's and Newcombe's, over the pictures{correction}.",
        "They say nothing about other seeds, which may differ by more.",
    ]


def _describe_lacks(factor: Factor, frame: pd.DataFrame) -> list[str]:
    sentences = []
    absent = [value.label for value in factor.values if value.label not in frame["value"].tolist()]
    if absent:
        sentences.append(f"No training of {', '.join(absent)} has a value.")
    lacking = [f"{v.label} ({len(v.runs)} of {v.n_trials})" for v in factor.ranked if len(v.runs) < v.n_trials]
    if lacking:
        sentences.append(f"Not all trials are complete, and the others do not count: {', '.join(lacking)}.")
    n_pruned = sum(value.n_pruned for value in factor.values)
    if n_pruned:
        sentences.append(f"Pruning ended {plural(n_pruned, 'trial')}, so that those left are the better ones.")
    return sentences


# --- plain data ---------------------------------------------------------------------------------------------------


def factor_dict(factor: Factor, frame: pd.DataFrame) -> dict[str, Any]:
    """All of it as plain data.

    Args:
        factor: The factor.
        frame: From `gather_factor`.
    """
    keys = ["difference", "difference_low", "difference_high", "n_pairs", "n_better", "p", "p_holm"]
    metrics: Sequence[str] = [metric for part, true in PARTS for metric in factor.measures(part, true=true).values()]
    values = []
    for value, (_, row) in zip(factor.ranked, frame.iterrows(), strict=True):
        samples = {m: factor.sample(value, m) for m in dict.fromkeys([factor.metric, *metrics])}
        values.append(
            {
                "value": value.label,
                "trials": sorted(run.number for run in value.runs.values()),
                "n_trials": value.n_trials,
                "n_tests": len(value.tests),
                "metrics": {
                    m: {"mean": s.mean, "deviation": s.deviation, "n": s.n, **_ends(s.interval)}
                    for m, s in samples.items()
                    if s is not None
                },
                **{key: row[key] for key in keys},
                "verdict": row["verdict"],
            }
        )
    return {
        "study": factor.data.record.name,
        "factor": factor.path,
        "metric": factor.metric,
        "direction": "maximize" if factor.maximize else "minimize",
        "paired_by": ["seed", *factor.others],
        "n_comparisons": factor.n_comparisons,
        "values": values,
        "sentences": describe_factor(factor, frame),
    }


def _ends(interval: Interval | None) -> dict[str, float | None]:
    return {"low": interval.low if interval else None, "high": interval.high if interval else None}
