"""How several studies stand: what each reached on test, else in validation, and what that took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import pandas as pd

from sweeper.report.format import as_float
from sweeper.report.sections.head import run_seconds
from sweeper.report.shares import possible
from sweeper.report.statistics import Interval, accuracy_interval, describe_sample
from sweeper.report.study_data import StudyData
from sweeper.tracking.records import RunRecord

__all__ = ["Standing", "choose_criterion", "gather_overview", "gather_standings", "rank_studies"]

_MEASURES = ("val_accuracy", "train_accuracy", "val_loss", "test_accuracy", "test_loss")


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a study is ranked by: of a finalized one what its chosen configuration reaches on test, else what its best
    trial reaches in validation."""

    part: str
    """`test` or `val`."""
    trial: int
    """Number of the trial that found the configuration."""
    runs: Sequence[RunRecord]
    """Those that were measured, one a seed: on test those that were trained for it, in validation the trials."""
    value: float
    """Mean over the runs."""
    interval: Interval | None
    """At 95 %: Student's over the seeds, of a single run Wilson's over the pictures, where it is an accuracy."""


def choose_criterion(studies: Sequence[StudyData]) -> tuple[str, bool]:
    """What studies are ranked by, and whether higher is better: their objective's quantity if they share one, else
    accuracy."""
    objectives = {(s.objective.metric, s.objective.maximize, s.objective.at) for s in studies}
    if len(objectives) != 1:
        return "accuracy", True
    metric, maximize, _ = next(iter(objectives))
    return metric.partition("/")[2], maximize


def _standing(data: StudyData, quantity: str) -> Standing | None:
    final = data.final
    if final is not None and final.chosen is not None:
        sample = final.sample(final.chosen, f"test/{quantity}")
        if sample is not None:
            return Standing(
                part="test",
                trial=final.chosen.source,
                runs=final.chosen.complete,
                value=sample.mean,
                interval=sample.interval,
            )
    if data.best is None:
        return None
    metric, runs = f"val/{quantity}", data.configurations[0].runs
    own = data.objective.metric == metric
    values = [as_float(run.value) if own else data.at_epoch(run, metric) for run in runs]
    sample = describe_sample([value for value in values if value is not None])
    if sample is None:
        return None
    interval = possible(sample.interval, metric)
    if sample.n == 1 and quantity == "accuracy":
        interval = accuracy_interval(sample.mean, data.n_pictures("val"))
    return Standing(part="val", trial=data.best.number, runs=runs, value=sample.mean, interval=interval)


def gather_standings(studies: Sequence[StudyData]) -> list[Standing | None]:
    """What each study is ranked by; None for one without."""
    quantity, _ = choose_criterion(studies)
    return [_standing(data, quantity) for data in studies]


def rank_studies(studies: Sequence[StudyData]) -> list[StudyData]:
    """The studies, best first; those without a best trial last, by name."""
    sign = -1.0 if choose_criterion(studies)[1] else 1.0

    def key(pair: tuple[StudyData, Standing | None]) -> tuple[Any, ...]:
        data, standing = pair
        value = 0.0 if standing is None else sign * standing.value
        return (standing is None, value, data.record.name, data.record.experiment_id)

    return [data for data, _ in sorted(zip(studies, gather_standings(studies), strict=True), key=key)]


def gather_overview(studies: Sequence[StudyData]) -> pd.DataFrame:
    """One row a study in the given order.

    Columns: study, trial (that found the configuration), part (`test` or `val`, from which it is ranked), n_seeds,
    value, low, high (95 % interval); val_accuracy, train_accuracy, gap (fractions) and val_loss of the best
    configuration, means over its seeds, of a finalized study over those of the chosen one; test_accuracy, test_loss;
    n_parameters, best_seconds (time of a training, median over the seeds), n_trials, n_complete, total_seconds (of the
    search).
    """
    rows = [_row(data, standing) for data, standing in zip(studies, gather_standings(studies), strict=True)]
    columns = ["study", "trial", "part", "n_seeds", "value", "low", "high", "val_accuracy", "train_accuracy", "gap"]
    columns += ["val_loss", "test_accuracy", "test_loss", "n_parameters", "best_seconds", "n_trials", "n_complete"]
    frame = pd.DataFrame(rows, columns=[*columns, "total_seconds"], dtype=object)
    return frame.where(frame.notna(), None)


def _row(data: StudyData, standing: Standing | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "study": data.record.name,
        "n_trials": len(data.runs),
        "n_complete": len(data.complete),
        "total_seconds": sum(s for run in data.runs if (s := run_seconds(run)) is not None),
    }
    if standing is None:
        return row
    seconds = [s for run in standing.runs if (s := run_seconds(run)) is not None]
    n_parameters = standing.runs[0].tags.get("sweeper.n_parameters", "")
    metrics = {name: _measure(data, standing, name.replace("_", "/", 1)) for name in _MEASURES}
    train, val = metrics["train_accuracy"], metrics["val_accuracy"]
    row |= metrics | {
        "trial": standing.trial,
        "part": standing.part,
        "n_seeds": len(standing.runs),
        "value": standing.value,
        "gap": train - val if train is not None and val is not None else None,
        "n_parameters": int(n_parameters) if n_parameters.isdecimal() else None,
        "best_seconds": median(seconds) if seconds else None,
    }
    if standing.interval is not None:
        row |= {"low": standing.interval.low, "high": standing.interval.high}
    return row


def _measure(data: StudyData, standing: Standing, metric: str) -> float | None:
    if standing.part == "test" and data.final is not None and data.final.chosen is not None:
        sample = data.final.sample(data.final.chosen, metric)
        return None if sample is None else sample.mean
    if metric.startswith("test/"):
        return None
    sample = describe_sample([x for run in standing.runs if (x := data.at_epoch(run, metric)) is not None])
    return None if sample is None else sample.mean
