"""Losses from their configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch.nn import functional

from sweeper.errors import DataError, InputError
from sweeper.study.config import CrossEntropyConfig, LossConfig, MSEConfig, registration_of

__all__ = ["ClassLoss", "CustomLoss", "Loss", "SquaredError", "build_loss", "class_weights", "needs_log_probabilities"]


class Loss(Protocol):
    """Called with the outputs of one step, it gives what is minimized."""

    def __call__(
        self, outputs: torch.Tensor, learnt: torch.Tensor, /, *, scale: torch.Tensor | float | None = None
    ) -> torch.Tensor:
        """The loss of one step, a scalar that can be differentiated.

        With `scale`, from the `scale` method for a whole batch, the part of a piece in the loss of that batch.
        """
        ...

    def scale(self, learnt: torch.Tensor, /) -> torch.Tensor | float:
        """What the sum over a whole batch is multiplied by."""
        ...


@dataclass(frozen=True)
class SquaredError:
    """Mean of the squared errors of all outputs. Implements `Loss`."""

    def __call__(
        self, outputs: torch.Tensor, learnt: torch.Tensor, *, scale: torch.Tensor | float | None = None
    ) -> torch.Tensor:
        if scale is None:
            return functional.mse_loss(outputs, learnt)
        return functional.mse_loss(outputs, learnt, reduction="sum") * scale

    def scale(self, learnt: torch.Tensor) -> torch.Tensor | float:
        return 1.0 / learnt.numel()


@dataclass(frozen=True, kw_only=True)
class ClassLoss:
    """Weighted mean of the pictures' losses, cross entropy or NLL. Implements `Loss`."""

    log_probabilities: bool
    """Whether outputs are log-probabilities (NLL) or logits (cross entropy)."""
    label_smoothing: float
    """Share of the target spread evenly over all classes, 0 to 1."""
    weights_K: torch.Tensor | None
    """float32, (K,): weight of each class, at least 0."""

    def __call__(
        self, outputs_BK: torch.Tensor, labels_B: torch.Tensor, *, scale: torch.Tensor | float | None = None
    ) -> torch.Tensor:
        if scale is None and self.weights_K is not None:
            scale = self.scale(labels_B)
        reduction = "mean" if scale is None else "sum"
        if self.log_probabilities:
            loss = functional.nll_loss(outputs_BK, labels_B, weight=self.weights_K, reduction=reduction)
        else:
            loss = functional.cross_entropy(
                outputs_BK, labels_B, weight=self.weights_K, reduction=reduction, label_smoothing=self.label_smoothing
            )
        return loss if scale is None else loss * scale

    def scale(self, labels_B: torch.Tensor) -> torch.Tensor | float:
        """1 by the weight of all pictures of a batch; 0 if that is 0, where torch's own weighted mean is NaN."""
        if self.weights_K is None:
            return 1.0 / len(labels_B)
        total = self.weights_K[labels_B].sum()
        return torch.where(total > 0.0, total.reciprocal(), 0.0)

    def over(
        self,
        log_probabilities_NK: torch.Tensor,
        labels_N: torch.Tensor,
        *,
        smoothing: bool,
        outputs_NK: torch.Tensor | None = None,
    ) -> float:
        """The loss over many pictures at once, summed in double precision.

        Args:
            log_probabilities_NK: (N, K), log-probability of each class.
            labels_N: int64, (N,).
            smoothing: Whether targets are smoothed, as in training. Without it, losses of trials with different
                smoothing can be compared.
            outputs_NK: (N, K), what the network gave, for a loss that does not follow from log-probabilities.
        """
        amount = self.label_smoothing if smoothing else 0.0
        losses_N = log_probabilities_NK.gather(1, labels_N[:, None]).squeeze(1).neg()
        if self.weights_K is not None:
            losses_N = losses_N * self.weights_K[labels_N]
        if amount > 0.0:
            spread_NK = log_probabilities_NK if self.weights_K is None else log_probabilities_NK * self.weights_K
            losses_N = (1.0 - amount) * losses_N - amount * spread_NK.mean(1)
        weight = len(labels_N) if self.weights_K is None else float(self.weights_K[labels_N].sum(dtype=torch.float64))
        return float(losses_N.sum(dtype=torch.float64)) / weight if weight else 0.0


@dataclass(frozen=True, kw_only=True)
class CustomLoss(ClassLoss):
    """Weighted mean of the pictures' losses, which a plugin computes. Implements `Loss`."""

    name: str
    losses: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """From logits (B, K) and labels (B,) to losses (B,)."""

    def __call__(
        self, outputs_BK: torch.Tensor, labels_B: torch.Tensor, *, scale: torch.Tensor | float | None = None
    ) -> torch.Tensor:
        scale = self.scale(labels_B) if scale is None else scale
        return self._weighted(outputs_BK, labels_B).sum() * scale

    def over(
        self,
        log_probabilities_NK: torch.Tensor,
        labels_N: torch.Tensor,
        *,
        smoothing: bool,
        outputs_NK: torch.Tensor | None = None,
    ) -> float:
        outputs_NK = log_probabilities_NK if outputs_NK is None else outputs_NK
        weight = len(labels_N) if self.weights_K is None else float(self.weights_K[labels_N].sum(dtype=torch.float64))
        return float(self._weighted(outputs_NK, labels_N).sum(dtype=torch.float64)) / weight if weight else 0.0

    def _weighted(self, outputs_BK: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
        losses_B = self.losses(outputs_BK, labels_B)
        if losses_B.shape != labels_B.shape:
            raise InputError(
                f"loss {self.name} gives {tuple(losses_B.shape)} for {len(labels_B)} pictures; needed: "
                f"({len(labels_B)},), one a picture"
            )
        return losses_B if self.weights_K is None else losses_B * self.weights_K[labels_B]


def needs_log_probabilities(config: LossConfig) -> bool:
    """Whether the model's head must end in a log-softmax for this loss."""
    return config.name == "nll"


def build_loss(
    config: LossConfig,
    *,
    balanced: bool = False,
    class_names: Sequence[str],
    class_counts: Sequence[int],
    device: torch.device,
) -> Loss:
    """Build a loss.

    Args:
        config: The loss.
        balanced: Weight classes as with `class_weights: balanced`.
        class_names: Names of the classes, in the order of the outputs.
        class_counts: Number of training pictures of each class.
        device: Where the outputs lie.

    Raises:
        InputError: The class weights do not fit the classes.
        DataError: Balanced weights for a class without training pictures.
    """
    if isinstance(config, MSEConfig):
        return SquaredError()
    given = "balanced" if balanced else getattr(config, "class_weights", None)
    weights = class_weights(given, class_names=class_names, class_counts=class_counts)
    custom = registration_of(config)
    if custom is not None:
        return CustomLoss(
            log_probabilities=False,
            label_smoothing=0.0,
            weights_K=None if weights is None else torch.tensor(weights, dtype=torch.float32, device=device),
            name=config.name,
            losses=partial(custom.call, config),
        )
    return ClassLoss(
        log_probabilities=needs_log_probabilities(config),
        label_smoothing=config.label_smoothing if isinstance(config, CrossEntropyConfig) else 0.0,
        weights_K=None if weights is None else torch.tensor(weights, dtype=torch.float32, device=device),
    )


def class_weights(
    given: Sequence[float] | str | None, *, class_names: Sequence[str], class_counts: Sequence[int]
) -> list[float] | None:
    """Weight of each class: `given`, or for `balanced` n / (k · count) as in scikit-learn (King and Zeng 2001).

    Raises:
        InputError: Not one weight a class, or none above 0.
        DataError: Balanced weights for a class without training pictures.
    """
    if given is None:
        return None
    if isinstance(given, str):
        empty = [name for name, count in zip(class_names, class_counts, strict=True) if count == 0]
        if empty:
            raise DataError(
                "balanced class weights (training.balance, training.loss.class_weights) need training pictures of "
                f"every class; there are none of {', '.join(empty)}"
            )
        return [sum(class_counts) / (len(class_counts) * count) for count in class_counts]
    if len(given) != len(class_names):
        raise InputError(
            f"training.loss.class_weights has {len(given)} values for {len(class_names)} classes "
            f"({', '.join(class_names)}); give one a class, in this order"
        )
    if not any(given):
        raise InputError("training.loss.class_weights are all 0; give at least one class a weight above 0")
    return list(given)
