"""Adversarial perturbations of pictures: one step along the sign of the gradient, or several."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch.nn import functional

from sweeper.analysis.choices import Method

__all__ = ["STEP_SHARE", "Scores", "perturb"]

Scores: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""Pictures, float (N, C, H, W) from 0 to 1, to logits or log-probabilities, (N, K), differentiable."""

STEP_SHARE = 2.5
"""Size of a step of `bim` and `pgd`, times ε by the number of steps: from any place within ±ε, the far end can be
reached (Madry et al. 2018)."""


def perturb(
    scores: Scores,
    images_NCHW: torch.Tensor,
    labels_N: torch.Tensor,
    *,
    epsilon: float,
    method: Method = "fgsm",
    targeted: bool = False,
    n_steps: int = 10,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Change pictures by at most `epsilon` a pixel so that they are classified wrongly.

    The loss J is the cross entropy of the model in evaluation mode. All pictures stay within 0 to 1.

    Args:
        scores: The model.
        images_NCHW: float (N, C, H, W), 0 to 1.
        labels_N: int64 (N,): the classes to be led away from; with `targeted`, those to be led to.
        epsilon: Largest change of a pixel, 0 to 1.
        method: How.
        targeted: Whether J is made small instead of large.
        n_steps: Steps of `bim` and `pgd`, at least 1.
        generator: Where `pgd` begins is drawn from this CPU generator, or from torch's global one.

    Returns:
        The changed pictures, float (N, C, H, W).
    """
    sign = -1.0 if targeted else 1.0
    if epsilon == 0.0:
        return images_NCHW.clone()
    if method == "fgsm":
        step = epsilon * _gradient_sign(scores, images_NCHW, labels_N)
        return (images_NCHW + sign * step).clamp(0.0, 1.0)
    low_NCHW, high_NCHW = (images_NCHW - epsilon).clamp(min=0.0), (images_NCHW + epsilon).clamp(max=1.0)
    changed_NCHW = images_NCHW.clone()
    if method == "pgd":
        drawn_NCHW = torch.rand(images_NCHW.shape, generator=generator, dtype=images_NCHW.dtype).to(images_NCHW.device)
        changed_NCHW = torch.clamp(changed_NCHW + (2.0 * drawn_NCHW - 1.0) * epsilon, low_NCHW, high_NCHW)
    size = min(epsilon, STEP_SHARE * epsilon / n_steps)
    for _ in range(n_steps):
        step = size * _gradient_sign(scores, changed_NCHW, labels_N)
        changed_NCHW = torch.clamp(changed_NCHW + sign * step, low_NCHW, high_NCHW)
    return changed_NCHW


def _gradient_sign(scores: Scores, images_NCHW: torch.Tensor, labels_N: torch.Tensor) -> torch.Tensor:
    """Sign of the gradient of each picture's own loss with respect to its pixels."""
    inputs_NCHW = images_NCHW.detach().requires_grad_(True)
    loss = functional.cross_entropy(scores(inputs_NCHW), labels_N, reduction="sum")
    (gradient_NCHW,) = torch.autograd.grad(loss, inputs_NCHW)
    return gradient_NCHW.sign()
