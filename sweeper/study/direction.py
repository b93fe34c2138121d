"""Which way a metric is better. Plain functions, so that listing the best runs needs no model of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

__all__ = ["DEFAULT_METRIC", "default_direction", "is_maximized"]

DEFAULT_METRIC = "val/accuracy"
"""What trials are compared by where a study does not say."""


def default_direction(metric: str) -> Literal["minimize", "maximize"]:
    """The direction in which `metric` is better: losses and seconds down, all else up."""
    is_loss = metric.partition("/")[2].partition("/")[0] == "loss"
    return "minimize" if is_loss or metric == "seconds" else "maximize"


def is_maximized(objective: Mapping[str, Any]) -> bool:
    """Whether a higher value is better, by the `objective` of a study in the form of a study file."""
    direction = objective.get("direction") or default_direction(objective.get("metric", DEFAULT_METRIC))
    return bool(direction == "maximize")
