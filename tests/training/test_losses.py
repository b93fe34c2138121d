"""Losses: weights and smoothing by hand, NLL against cross entropy, weights that do not fit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from sklearn.utils.class_weight import compute_class_weight

from sweeper.errors import DataError, InputError
from sweeper.models.networks import build_model
from sweeper.study.config import LossConfig, MLPConfig
from sweeper.training.losses import ClassLoss, build_loss, class_weights, needs_log_probabilities

CPU = torch.device("cpu")
NAMES = ("car", "truck", "cat")
COUNTS = (4949, 449, 227)
LABELS_B = torch.tensor([0, 0, 1, 2])
LOGITS_BK = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 1.0, 1.0], [0.5, 0.0, 4.0]])


def build(raw: dict[str, Any]) -> ClassLoss:
    config = TypeAdapter(LossConfig).validate_python(raw)
    loss = build_loss(config, class_names=NAMES, class_counts=COUNTS, device=CPU)
    assert isinstance(loss, ClassLoss)
    return loss


def by_hand(weights: list[float], smoothing: float) -> float:
    """Sum over pictures and classes, in plain Python."""
    total = weight = 0.0
    for logits, label in zip(LOGITS_BK.tolist(), LABELS_B.tolist(), strict=True):
        log_sum = math.log(sum(math.exp(logit) for logit in logits))
        for k, logit in enumerate(logits):
            target = (1 - smoothing) * (k == label) + smoothing / 3
            total -= weights[k] * target * (logit - log_sum)
        weight += weights[label]
    return total / weight


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, [1.0, 5.0, 0.5], [0.0, 1.0, 2.0]])
def test_cross_entropy_by_hand(weights: list[float] | None, smoothing: float) -> None:
    loss = build({"name": "cross_entropy", "class_weights": weights, "label_smoothing": smoothing})
    expected = by_hand(weights or [1.0, 1.0, 1.0], smoothing)
    assert float(loss(LOGITS_BK, LABELS_B)) == pytest.approx(expected, rel=1e-6)
    log_probabilities_BK = LOGITS_BK.log_softmax(1)
    assert loss.over(log_probabilities_BK, LABELS_B, smoothing=True) == pytest.approx(expected, rel=1e-6)
    unsmoothed = by_hand(weights or [1.0, 1.0, 1.0], 0.0)
    assert loss.over(log_probabilities_BK, LABELS_B, smoothing=False) == pytest.approx(unsmoothed, rel=1e-6)


@pytest.mark.parametrize("raw", [{"name": "nll"}, {"name": "cross_entropy", "label_smoothing": 0.1}])
def test_a_batch_of_classes_without_weight_has_no_loss_and_no_gradient(raw: dict[str, Any]) -> None:
    loss = build(raw | {"class_weights": [0.0, 1.0, 1.0]})
    outputs_BK = LOGITS_BK.log_softmax(1).requires_grad_()
    value = loss(outputs_BK[:2], LABELS_B[:2])
    value.backward()
    assert value == 0.0
    assert outputs_BK.grad is not None
    assert torch.equal(outputs_BK.grad, torch.zeros(4, 3))
    assert loss.over(outputs_BK[:2], LABELS_B[:2], smoothing=False) == 0.0


@pytest.mark.parametrize("weights", [None, "balanced"])
def test_nll_on_its_head_is_cross_entropy_on_logits(weights: str | None) -> None:
    images_BCHW = torch.rand(4, 1, 6, 6)
    losses, gradients = [], []
    for name in ("cross_entropy", "nll"):
        torch.manual_seed(0)
        loss = build({"name": name, "class_weights": weights})
        head = needs_log_probabilities(TypeAdapter(LossConfig).validate_python({"name": name}))
        model = build_model(MLPConfig(hidden=(16,)), input_shape=(1, 6, 6), n_outputs=3, log_probabilities=head)
        value = loss(model(images_BCHW), LABELS_B)
        value.backward()
        losses.append(value.item())
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=1e-5)


def test_balanced_weights_are_scikit_learns() -> None:
    labels = [k for k, count in enumerate(COUNTS) for _ in range(count)]
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert class_weights("balanced", class_names=NAMES, class_counts=COUNTS) == pytest.approx(expected)


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"has 2 values for 3 classes \(car, truck, cat\)"):
        build({"name": "nll", "class_weights": [1.0, 2.0]})
    with pytest.raises(InputError, match="are all 0"):
        build({"name": "nll", "class_weights": [0.0, 0.0, 0.0]})
    with pytest.raises(DataError, match="there are none of truck"):
        class_weights("balanced", class_names=NAMES, class_counts=(10, 0, 5))
