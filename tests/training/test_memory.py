"""Gradients in pieces, with a model that pretends to run out of memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from sweeper.data.dataset import Dataset
from sweeper.errors import InfeasibleError
from sweeper.study.config import TrialConfig
from sweeper.training.loop import Training
from sweeper.training.losses import ClassLoss, Loss, SquaredError
from sweeper.training.memory import GradientAccumulation

CPU = torch.device("cpu")


def limit_memory(model: nn.Module, n_pictures: int) -> list[int]:
    """Let `model` train at most `n_pictures` at once. Returns the sizes that it was given, as they come."""
    sizes: list[int] = []

    def refuse(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        sizes.append(len(inputs[0]))
        if len(inputs[0]) > n_pictures and module.training:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore.")

    model.register_forward_pre_hook(refuse)
    return sizes


def gradient_in_pieces(limit: int, loss: Loss, n_pictures: int = 13) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images_BCHW = torch.rand(n_pictures, 1, 3, 3, generator=generator)
    labels_B = torch.randint(0, 3, (n_pictures,), generator=generator)
    learnt = labels_B if isinstance(loss, ClassLoss) else torch.rand(n_pictures, 3, generator=generator)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 3))
    limit_memory(model, limit)
    outputs_BK, value = GradientAccumulation(model, loss).backward(images_BCHW, learnt)
    gradients = [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
    return torch.cat(gradients), outputs_BK, value


@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 5.0]])
@pytest.mark.parametrize("limit", [12, 6, 5, 1])
def test_pieces_give_the_gradient_of_the_whole(limit: int, weights: list[float] | None) -> None:
    weights_K = None if weights is None else torch.tensor(weights)
    loss = ClassLoss(log_probabilities=False, label_smoothing=0.1, weights_K=weights_K)
    for whole, pieces in zip(gradient_in_pieces(100, loss), gradient_in_pieces(limit, loss), strict=True):
        torch.testing.assert_close(pieces, whole)


@pytest.mark.parametrize("limit", [12, 5, 1])
def test_pieces_give_the_gradient_of_a_squared_error(limit: int) -> None:
    loss = SquaredError()
    for whole, pieces in zip(gradient_in_pieces(100, loss), gradient_in_pieces(limit, loss), strict=True):
        torch.testing.assert_close(pieces, whole)


def test_sizes_are_halved_and_kept(digits: Dataset, make_config: Callable[..., TrialConfig]) -> None:
    training = Training(config=make_config(epochs=2), dataset=digits, device=CPU)
    sizes = limit_memory(training.model, 10)
    epochs = training.epochs()
    next(epochs)
    assert sizes[:7] == [32, 16, 8, 8, 8, 8, 8]
    assert training.state_dict()["learner"]["max_pictures"] == 8
    other = Training(config=make_config(epochs=2), dataset=digits, device=CPU)
    other.load_state_dict(training.state_dict())
    sizes = limit_memory(other.model, 10)
    next(other.epochs())
    assert sizes[0] == 8


def test_batch_norm_gets_two_pictures(digits: Dataset, make_config: Callable[..., TrialConfig]) -> None:
    config = make_config(epochs=1, batch_size=3, model={"name": "mlp", "hidden": [4], "batch_norm": True})
    training = Training(config=config, dataset=digits, device=CPU)
    limit_memory(training.model, 2)
    with pytest.raises(InfeasibleError):
        list(training.epochs())


@pytest.mark.parametrize("model", [{"name": "logistic"}, {"name": "mlp", "hidden": [4], "batch_norm": True}])
def test_what_does_not_fit_in_any_piece_is_infeasible(
    digits: Dataset, make_config: Callable[..., TrialConfig], model: dict[str, Any]
) -> None:
    training = Training(config=make_config(model=model), dataset=digits, device=CPU)
    limit_memory(training.model, 0)
    with pytest.raises(InfeasibleError, match=r"smaller model .*\(CUDA out of memory. Tried to allocate 2.00 GiB.\)"):
        list(training.epochs())
