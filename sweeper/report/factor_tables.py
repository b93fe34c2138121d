"""The comparison of the values of a factor as a table and as plain data. Imports no Plotly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from sweeper.report.comparison import Verdict
from sweeper.report.factor import Factor
from sweeper.report.factor_words import VERDICTS, describe_factor
from sweeper.report.statistics import Interval

__all__ = ["PARTS", "factor_dict", "gather_factor"]

PARTS: tuple[tuple[str, bool], ...] = (("val", False), ("val", True), ("test", False), ("test", True))
"""Parts and whether labels are the true ones, in the order of the tables."""


def gather_factor(factor: Factor) -> pd.DataFrame:
    """A row a value of the factor, in the order of `Factor.ranked`.

    Columns: value, words (the value in full, where it is cut), n_trials, n_complete, n_tests, mean, sd, low, high (95 %
    interval of the mean), then the difference to the first: difference, difference_low, difference_high, n_pairs,
    n_better (pairs in which it is better than the first), p (of the paired t test), p_holm (corrected), verdict
    (`first`, `worse`, `better in pairs`, `not distinguishable`, `–` where nothing can be said); then each metric as its
    mean, and its standard deviation over the runs as `<metric> sd`. Accuracies are fractions.
    """
    metrics = [metric for part, true in PARTS for metric in factor.measures(part, true=true).values()]
    rows: list[dict[str, Any]] = []
    for value, difference in zip(factor.ranked, factor.differences, strict=True):
        own, interval = factor.sample(value, factor.metric), difference.interval
        assert own is not None
        row: dict[str, Any] = {
            "value": value.label,
            "words": value.words or None,
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
    columns = ["value", "words", "n_trials", "n_complete", "n_tests", "mean", "sd", "low", "high"]
    columns += ["difference", "difference_low", "difference_high", "n_pairs", "n_better", "p", "p_holm", "verdict"]
    columns += [column for metric in metrics for column in (metric, f"{metric} sd")]
    frame = pd.DataFrame(rows, columns=columns, dtype=object)
    return frame.where(frame.notna(), None)


def _count_better(factor: Factor, rank: int) -> int:
    sign = 1.0 if factor.maximize else -1.0
    best, own = (factor.numbers(factor.ranked[i], factor.metric) for i in (0, rank))
    return sum(sign * (own[pair] - best[pair]) > 0.0 for pair in own if pair in best)


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
                "value": value.value,
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
