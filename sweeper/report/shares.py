"""Metrics that are shares of pictures: shown in percent, and with intervals from 0 to 1."""

from __future__ import annotations

import math

from sweeper.report.statistics import Interval

__all__ = ["is_share", "possible", "possible_difference"]

_SHARES = ("accuracy", "balanced_accuracy")


def _quantity(metric: str) -> str:
    return metric.partition("/")[2].partition("/")[0].removeprefix("true_")


def is_share(metric: str) -> bool:
    """Whether a metric, such as `val/true_accuracy/cat`, is an accuracy: a fraction that is shown in percent."""
    return _quantity(metric) in _SHARES


def possible(interval: Interval | None, metric: str) -> Interval | None:
    """The part of an interval in which the mean of a metric can lie: no loss is below 0, no share above 1. Student's
    interval of a few seeds does not know that."""
    if interval is None:
        return None
    high = 1.0 if is_share(metric) or _quantity(metric) == "auc" else math.inf
    return Interval(low=max(interval.low, 0.0), high=min(interval.high, high))


def possible_difference(interval: Interval | None, metric: str) -> Interval | None:
    """The part of an interval in which the difference of two means of a metric can lie: no two shares are more than 1
    apart. Student's interval of two pairs may be twenty times as wide."""
    if interval is None or not is_share(metric):
        return interval
    return Interval(low=max(interval.low, -1.0), high=min(interval.high, 1.0))
