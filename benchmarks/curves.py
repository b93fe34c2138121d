"""Learning curves that are made up: metrics of an image classifier on four classes."""

from __future__ import annotations

import math

import numpy as np

from sweeper.study.config import TrialConfig

__all__ = ["CLASSES", "N_PICTURES", "make_curves"]

CLASSES = ("airplane", "car", "cat", "ship")
"""Four, so that a run has 20 metrics."""
N_PICTURES = {"train": 340, "val": 60, "test": 800}
"""Of each class."""


def make_curves(config: TrialConfig, n_epochs: int, *, seed: int) -> dict[str, np.ndarray]:
    """Metrics against epoch, in the order in which a training records them: 20 arrays of `n_epochs` numbers."""
    generator = np.random.default_rng(seed)
    optimizer = config.training.optimizer
    centre = {"adam": 1e-3, "sgd": 3e-2, "rmsprop": 5e-4}[optimizer.name]
    skill = 0.75 - 0.09 * abs(math.log10(optimizer.lr / centre)) + generator.normal(0, 0.02)
    epochs_E = np.arange(1, n_epochs + 1)
    columns: dict[str, np.ndarray] = {}
    for part, lift in (("train", 0.1), ("val", 0.0)):
        n = N_PICTURES[part]
        classes = {}
        for index, name in enumerate(CLASSES):
            top = skill + lift + 0.05 * (index - 1.5)
            noisy_E = top * (1 - np.exp(-epochs_E / (3 + index))) + generator.normal(0, 0.01, n_epochs)
            classes[f"{part}/accuracy/{name}"] = np.round(noisy_E.clip(0, 1) * n) / n
        mean_E = np.mean(list(classes.values()), axis=0)
        columns[f"{part}/loss"] = 1.4 * (1 - mean_E) + (0.004 * epochs_E if part == "val" else 0)
        columns[f"{part}/accuracy"] = mean_E
        columns |= classes
        columns[f"{part}/balanced_accuracy"] = mean_E
        columns[f"{part}/auc"] = 0.5 + mean_E / 2
    columns["lr"] = np.full(n_epochs, optimizer.lr)
    columns["pictures_per_second"] = generator.normal(3000, 50, n_epochs)
    best_E = np.maximum.accumulate(columns["val/accuracy"])
    return {"objective": best_E, **columns, "seconds": generator.normal(1.4, 0.02, n_epochs)}
