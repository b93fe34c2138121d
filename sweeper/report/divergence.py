"""Trials whose loss went to infinity, and those whose loss blew up but stayed finite."""

from __future__ import annotations

import math

import pandas as pd

from sweeper.report.study_data import StudyData
from sweeper.tracking.records import RunRecord

__all__ = ["blew_up", "has_diverged", "last_losses", "loss_of_constant"]

_BLOWN_FACTOR = 2.0
_BLOWN_FACTOR_OF_START = 10.0


def has_diverged(run: RunRecord) -> bool:
    """Whether a trial failed because a loss became NaN or infinite."""
    return run.state == "FAIL" and run.tags.get("sweeper.reason", "").lower().startswith("diverged")


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
