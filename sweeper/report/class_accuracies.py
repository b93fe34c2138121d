"""Accuracies of configurations: overall, mean of the classes and each class, with intervals and comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from sweeper.report.comparison import compare_with_first
from sweeper.report.configurations import Configuration
from sweeper.report.shares import possible, possible_difference
from sweeper.report.statistics import Interval, describe_sample, mean_share_interval, wilson_interval
from sweeper.report.study_data import StudyData
from sweeper.tracking.records import RunRecord

__all__ = ["gather_class_accuracies", "gather_comparison", "gather_parts", "interval_over_pictures", "is_compared"]


def _quantity(part: str, *, true: bool, balanced: bool = False) -> str:
    return f"{part}/{'true_' if true else ''}{'balanced_' if balanced else ''}accuracy"


def _measured(data: StudyData, run: RunRecord, part: str, *, true: bool) -> dict[str, float]:
    """Accuracies of a run, by their key in the tables: overall, avg, `class:<name>`."""
    quantity = _quantity(part, true=true)
    classes = {f"class:{name}": data.at_epoch(run, f"{quantity}/{name}") for name in data.class_names}
    known = {key: value for key, value in classes.items() if value is not None}
    overall = data.at_epoch(run, quantity)
    avg = (
        sum(known.values()) / len(known)
        if known and len(known) == len(classes)
        else data.at_epoch(run, _quantity(part, true=true, balanced=True))
    )
    return {k: v for k, v in {"overall": overall, "avg": avg, **known}.items() if v is not None}


def interval_over_pictures(
    data: StudyData, measured: Mapping[str, float], key: str, part: str, *, true: bool, confidence: float = 0.95
) -> Interval | None:
    """Interval of an accuracy of a single trial over the pictures of a part; None where these are not known.

    Args:
        data: The study.
        measured: Accuracies of the trial, 0 to 1: overall, avg, `class:<name>`.
        key: Which of them. Wilson's interval; of avg that of `mean_share_interval`.
        part: `train`, `val` or `test`.
        true: Against true labels.
        confidence: Nominal coverage, above 0 and below 1.
    """
    if key not in measured:
        return None
    if key == "overall":
        n = data.n_pictures(part)
        return wilson_interval(measured[key], n, confidence) if n else None
    counts = data.class_counts(part, true=true)
    if counts is None or not all(counts):
        return None
    if key != "avg":
        n_of_class = dict(zip(data.class_names, counts, strict=True))[key.removeprefix("class:")]
        return wilson_interval(measured[key], n_of_class, confidence)
    known = [share for name in data.class_names if (share := measured.get(f"class:{name}")) is not None]
    return mean_share_interval(known, counts, confidence) if len(known) == len(counts) else None


def gather_class_accuracies(data: StudyData, part: str, *, true: bool = False) -> pd.DataFrame:
    """Accuracies of the shown configurations in a part (`train` or `val`), as fractions, at the epoch that each trial
    is judged by; with seeds, their means.

    Columns: trial (with seeds the typical one), trials, n_seeds, n_trials, one a parameter that varied, overall, low,
    high, avg (mean of the classes), avg_low, avg_high, then one a class as `class:<name>`; and of each measure its
    standard deviation over the seeds as `<measure>:sd`. Intervals at 95 %: Student's over the seeds; of a single trial
    those over the pictures, Wilson's and, of `avg`, that of `mean_share_interval`. They are missing
    where the numbers of pictures are, and on `train`, where the pictures were fitted.

    Args:
        data: The study.
        part: `train` or `val`.
        true: Against true labels, where some were made wrong on purpose.
    """
    rows = [_row(data, configuration, part, true=true) for configuration in data.shown]
    measures = ["overall", "avg", *(f"class:{name}" for name in data.class_names)]
    columns = ["trial", "trials", "n_seeds", "n_trials", *data.factors, "overall", "low", "high", "avg"]
    columns += ["avg_low", "avg_high", *measures[2:], *(f"{measure}:sd" for measure in measures)]
    frame = pd.DataFrame(rows, columns=columns, dtype=object)
    return frame.where(frame.notna(), None)


def _row(data: StudyData, configuration: Configuration, part: str, *, true: bool) -> dict[str, Any]:
    each = [_measured(data, run, part, true=true) for run in configuration.runs]
    row: dict[str, Any] = {path: data.params[configuration.typical.run_id].get(path) for path in data.factors}
    row |= {
        "trial": configuration.typical.number,
        "trials": ", ".join(str(run.number) for run in configuration.runs),
        "n_seeds": len(configuration.runs),
        "n_trials": configuration.n_trials,
    }
    for key in each[0]:
        sample = describe_sample([measured[key] for measured in each if key in measured])
        assert sample is not None
        row |= {key: sample.mean, f"{key}:sd": sample.deviation}
        if part == "val" and key in ("overall", "avg"):
            interval = sample.interval if sample.n > 1 else interval_over_pictures(data, each[0], key, part, true=true)
            low, high = ("low", "high") if key == "overall" else ("avg_low", "avg_high")
            interval = possible(interval, "val/accuracy")
            if interval is not None:
                row |= {low: interval.low, high: interval.high}
    return row


def is_compared(data: StudyData, part: str, *, true: bool) -> bool:
    """Whether the accuracies of a part, against given or true labels, hold what the study is judged by."""
    return data.objective.metric in (_quantity(part, true=true), _quantity(part, true=true, balanced=True))


def gather_comparison(data: StudyData) -> pd.DataFrame:
    """Each shown configuration against the first by the objective: columns low, high (of the difference), verdict."""
    metric = data.objective.metric
    true = "/true_" in metric
    key = {
        _quantity("val", true=true): "overall",
        _quantity("val", true=true, balanced=True): "avg",
    }.get(metric)

    def interval_of(configuration: Configuration, confidence: float) -> Interval | None:
        if key is None:
            return None
        measured = _measured(data, configuration.typical, "val", true=true)
        return interval_over_pictures(data, measured, key, "val", true=true, confidence=confidence)

    comparisons = compare_with_first(data.shown, interval_of, maximize=data.objective.maximize)
    intervals = [possible_difference(c.interval, metric) for c in comparisons]
    rows = [
        (None, None, c.verdict) if interval is None else (interval.low, interval.high, c.verdict)
        for c, interval in zip(comparisons, intervals, strict=True)
    ]
    return pd.DataFrame(rows, columns=["low", "high", "verdict"], dtype=object)


def gather_parts(data: StudyData) -> pd.DataFrame:
    """The best configuration in each part, against given and true labels: columns part, true, then overall, low, high,
    avg, avg_low, avg_high, `class:<name>` and standard deviations as of `gather_class_accuracies`."""
    frames = []
    for part in ("train", "val"):
        for true in (False, True):
            first = gather_class_accuracies(data, part, true=true).head(1)
            if not first.empty and first["overall"].notna().all():
                frames.append(first.assign(part=part, true=true))
    if not frames:
        return pd.DataFrame(columns=["part", "true"])
    every = pd.concat(frames, ignore_index=True)
    dropped = ["trial", "trials", "n_seeds", "n_trials", *data.factors]
    columns = ["part", "true", *(c for c in every.columns if c not in ("part", "true", *dropped))]
    return every[columns]
