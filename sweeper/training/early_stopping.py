"""Ends a training that has stopped improving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeper.errors import InputError
from sweeper.study.config import EarlyStoppingConfig
from sweeper.study.direction import default_direction

__all__ = ["EarlyStopping"]


class EarlyStopping:
    """Counts the epochs in which a metric has not improved by more than `min_delta` on its best."""

    def __init__(self, config: EarlyStoppingConfig) -> None:
        self.best: float | None = None
        self.n_epochs_without_improvement = 0
        self._config = config
        self._sign = 1.0 if default_direction(config.metric) == "maximize" else -1.0

    def update(self, values: Mapping[str, float]) -> bool:
        """Take in the metrics of one more epoch; True when the training should end.

        Raises:
            InputError: The metric is not among them; the message lists those that are.
        """
        metric = self._config.metric
        if metric not in values:
            raise InputError(
                f"training.early_stopping.metric {metric!r} is not measured; measured: {', '.join(values)}"
            )
        if self.best is None or self._sign * (values[metric] - self.best) > self._config.min_delta:
            self.best = values[metric]
            self.n_epochs_without_improvement = 0
        else:
            self.n_epochs_without_improvement += 1
        return self.n_epochs_without_improvement >= self._config.patience

    def state_dict(self) -> dict[str, Any]:
        """Plain data from which `load_state_dict` goes on."""
        return {"best": self.best, "n_epochs_without_improvement": self.n_epochs_without_improvement}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.best = state["best"]
        self.n_epochs_without_improvement = state["n_epochs_without_improvement"]
