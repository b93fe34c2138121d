"""What one epoch of training gives, and what measuring one part gives."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["EpochMetrics", "Evaluation"]


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """What was measured in one epoch."""

    epoch: int
    """Counted from 1."""
    values: dict[str, float]
    """By name. The values of an `Evaluation` under `train/` and `val/` (and `test/` for `sweeper finalize`); `lr`, the
    learning rate of the epoch's last step; `seconds`, the duration of the epoch with its evaluation;
    `pictures_per_second`, training pictures by the seconds spent on training steps."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was measured on one part of a data set."""

    values: dict[str, float]
    """By name: `loss`. With classes `accuracy`, `accuracy/<class>` (not for a class without pictures), their mean
    `balanced_accuracy`, and `auc` (not where fewer than two classes have pictures), all from 0 to 1; where labels were
    made wrong on purpose, `true_accuracy`, `true_accuracy/<class>` and `true_balanced_accuracy` against the true ones.
    For a regression `loss/<output>`, whose mean is `loss`."""
    confusion_KK: torch.Tensor | None = None
    """int64, (K, K), on the CPU: rows are the given classes, columns what was predicted. None without classes."""
    true_confusion_KK: torch.Tensor | None = None
    """The same with true classes as rows; None where they are not known beside the given ones."""
    log_probabilities_NK: torch.Tensor | None = None
    """(N, K), on the device of the training: log-probability of each class. None without classes."""
