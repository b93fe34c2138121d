"""What one epoch of training gives."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Confusion", "EpochMetrics"]


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """What was measured in one epoch."""

    epoch: int
    """Counted from 1."""
    values: dict[str, float]
    """By name. `train/` and `val/`, each with `loss`, `accuracy`, `accuracy/<class>` (not for a class without pictures
    in that part), `balanced_accuracy` and `auc` (not where fewer than two classes have pictures), all but the loss from
    0 to 1; `lr`, the learning rate of the epoch's last step; `seconds`, the duration of the epoch with its evaluation;
    `pictures_per_second`, training pictures by the seconds spent on training steps."""


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Confusion matrices of one epoch: int64, (K, K), on the CPU; rows are the truth, columns what was predicted."""

    train: torch.Tensor
    validation: torch.Tensor
