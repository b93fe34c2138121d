"""Perturbations, against gradients worked out by hand on a linear model."""

from __future__ import annotations

import pytest
import torch

from sweeper.analysis.choices import METHODS, Method
from sweeper.analysis.perturb import perturb

WEIGHTS_KP = torch.tensor([[2.0, -1.0, 0.5, 0.0], [-1.0, 1.0, 0.5, 3.0], [0.0, 0.5, -2.0, -1.0]])
IMAGES_NCHW = torch.tensor([[[[0.5, 0.2], [0.7, 0.01]]], [[[0.95, 0.99], [0.3, 0.4]]]])
LABELS_N = torch.tensor([0, 2])


def scores(images_NCHW: torch.Tensor) -> torch.Tensor:
    return images_NCHW.flatten(1) @ WEIGHTS_KP.T


def gradient_by_hand(images_NCHW: torch.Tensor, labels_N: torch.Tensor) -> torch.Tensor:
    """Of the cross entropy of softmax(W x): Wᵀ (p - y)."""
    p_NK = torch.exp(scores(images_NCHW))
    p_NK = p_NK / p_NK.sum(1, keepdim=True)
    y_NK = torch.eye(3)[labels_N]
    return ((p_NK - y_NK) @ WEIGHTS_KP).reshape(images_NCHW.shape)


def test_fgsm_is_a_step_along_the_sign_of_the_gradient() -> None:
    changed_NCHW = perturb(scores, IMAGES_NCHW, LABELS_N, epsilon=0.1)
    expected_NCHW = (IMAGES_NCHW + 0.1 * gradient_by_hand(IMAGES_NCHW, LABELS_N).sign()).clamp(0.0, 1.0)
    assert torch.allclose(changed_NCHW, expected_NCHW)
    assert changed_NCHW.max() == 1.0  # 0.95 + 0.1 is no pixel
    assert not torch.allclose(changed_NCHW, IMAGES_NCHW)


def test_targeted_fgsm_goes_against_the_gradient_towards_the_target() -> None:
    target_N = torch.tensor([1, 1])
    changed_NCHW = perturb(scores, IMAGES_NCHW, target_N, epsilon=0.1, targeted=True)
    expected_NCHW = (IMAGES_NCHW - 0.1 * gradient_by_hand(IMAGES_NCHW, target_N).sign()).clamp(0.0, 1.0)
    assert torch.allclose(changed_NCHW, expected_NCHW)
    before, after = scores(IMAGES_NCHW).softmax(1)[:, 1], scores(changed_NCHW).softmax(1)[:, 1]
    assert (after > before).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("targeted", [False, True])
def test_pictures_stay_near_and_within_their_range(method: Method, targeted: bool) -> None:
    changed_NCHW = perturb(scores, IMAGES_NCHW, LABELS_N, epsilon=0.05, method=method, targeted=targeted, n_steps=3)
    assert (changed_NCHW - IMAGES_NCHW).abs().max() <= 0.05 + 1e-6
    assert changed_NCHW.min() >= 0.0
    assert changed_NCHW.max() <= 1.0
    assert torch.equal(
        perturb(scores, IMAGES_NCHW, LABELS_N, epsilon=0.0, method=method, targeted=targeted), IMAGES_NCHW
    )


def curved(images_NCHW: torch.Tensor) -> torch.Tensor:
    """A model whose gradient turns on the way, so that one step is not the best."""
    x_N = images_NCHW.flatten(1)
    return torch.stack((torch.cos(40.0 * x_N).sum(1), torch.sin(30.0 * x_N).sum(1)), dim=1)


def loss_of(images_NCHW: torch.Tensor, labels_N: torch.Tensor) -> float:
    return float(torch.nn.functional.cross_entropy(curved(images_NCHW), labels_N))


def test_several_steps_find_more_than_one() -> None:
    images_NCHW = torch.rand((32, 1, 3, 3), generator=torch.Generator().manual_seed(1)) * 0.8 + 0.1
    labels_N = torch.arange(32) % 2
    loss = {
        method: loss_of(perturb(curved, images_NCHW, labels_N, epsilon=0.1, method=method, n_steps=20), labels_N)
        for method in ("fgsm", "bim")
    }
    assert loss["bim"] > loss["fgsm"] > loss_of(images_NCHW, labels_N) * 0.5
    assert loss["bim"] > loss_of(images_NCHW, labels_N)


def test_where_pgd_begins_is_drawn_from_its_generator() -> None:
    drawn = [
        perturb(
            curved,
            IMAGES_NCHW,
            LABELS_N % 2,
            epsilon=0.05,
            method="pgd",
            n_steps=1,
            generator=torch.Generator().manual_seed(seed),
        )
        for seed in (1, 1, 2)
    ]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
