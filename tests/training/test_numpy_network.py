"""The network in NumPy gives the numbers of the one in PyTorch, given the same weights and batches."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from sweeper.data.dataset import Dataset
from sweeper.errors import InputError
from sweeper.models.networks import build_model
from sweeper.study.config import ModelConfig, OptimizerConfig, TrialConfig
from sweeper.training.learner import Learner, TorchLearner
from sweeper.training.loop import Training
from sweeper.training.losses import ClassLoss
from sweeper.training.numpy_network import NumpyLearner
from sweeper.training.optimizers import build_optimizer

CPU = torch.device("cpu")
MakeConfig = Callable[..., TrialConfig]
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"name": "sgd", "lr": 0.5},
    "momentum, weight decay": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 1e-2},
    "nesterov": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3},
    "adam": {"name": "adam", "lr": 3e-3},
    "adam, weight decay": {"name": "adam", "lr": 3e-3, "weight_decay": 1e-2, "betas": [0.8, 0.99]},
}
MODELS: dict[str, dict[str, Any]] = {
    "logistic": {"name": "logistic"},
    "one hidden": {"name": "mlp", "hidden": [32]},
    "two hidden": {"name": "mlp", "hidden": [32, 16]},
}
LOSSES: dict[str, dict[str, Any]] = {
    "cross entropy": {"log_probabilities": False, "label_smoothing": 0.0},
    "nll": {"log_probabilities": True, "label_smoothing": 0.0},
    "smoothed": {"log_probabilities": False, "label_smoothing": 0.1},
}


def build_pair(
    model: dict[str, Any], loss: ClassLoss, optimizer: dict[str, Any], dtype: torch.dtype
) -> tuple[TorchLearner, NumpyLearner]:
    torch.manual_seed(0)
    network = build_model(
        TypeAdapter(ModelConfig).validate_python(model),
        input_shape=(1, 8, 8),
        n_outputs=10,
        log_probabilities=loss.log_probabilities,
    ).to(dtype)
    config: OptimizerConfig = TypeAdapter(OptimizerConfig).validate_python(optimizer)
    ours = NumpyLearner(copy.deepcopy(network), loss, config)
    return TorchLearner(network, loss, build_optimizer(config, network.parameters())), ours


def train(learner: Learner, dataset: Dataset, dtype: torch.dtype, *, lr: float, epochs: range) -> list[torch.Tensor]:
    """Outputs and loss of every step, with a learning rate that changes."""
    split, results = dataset.train, []
    images_MCHW = (split.images_NCHW[split.indices_M].to(dtype) / 255 - 0.3) / 0.4
    labels_M = split.labels_N[split.indices_M]
    for epoch in epochs:
        learner.begin_epoch(epoch)
        order_M = torch.randperm(len(split), generator=torch.Generator().manual_seed(epoch))
        for step, rows_B in enumerate(order_M.split(32)):
            results += learner.train_step(images_MCHW[rows_B], labels_M[rows_B], lr=lr / (epoch + step % 3))
    return results


WEIGHTS = [1.0, 0.0, 2.0, 0.5, 1.0, 3.0, 1.0, 1.0, 0.1, 1.0]
STEPS = {
    **{name: (optimizer, LOSSES["cross entropy"], None) for name, optimizer in OPTIMIZERS.items()},
    **{name: (OPTIMIZERS["nesterov"], loss, None) for name, loss in LOSSES.items()},
    **{f"{name}, weighted": (OPTIMIZERS["adam"], loss, WEIGHTS) for name, loss in LOSSES.items()},
}


@pytest.mark.parametrize(("optimizer", "loss", "weights"), STEPS.values(), ids=STEPS.keys())
def test_float64_steps_are_pytorchs(
    digits: Dataset, optimizer: dict[str, Any], loss: dict[str, Any], weights: list[float] | None
) -> None:
    weights_K = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    theirs, ours = build_pair(MODELS["two hidden"], ClassLoss(**loss, weights_K=weights_K), optimizer, torch.float64)
    expected = train(theirs, digits, torch.float64, lr=optimizer["lr"], epochs=range(1, 4))
    assert expected[-1] < 0.7 * expected[1]  # it learns
    for value, expectation in zip(
        train(ours, digits, torch.float64, lr=optimizer["lr"], epochs=range(1, 4)), expected, strict=True
    ):
        torch.testing.assert_close(value, expectation, rtol=1e-10, atol=1e-10)
    for parameter, expectation in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        torch.testing.assert_close(parameter, expectation, rtol=1e-10, atol=1e-10)
    images_NCHW = digits.test.images_NCHW[:50].double()
    torch.testing.assert_close(ours.evaluate(images_NCHW), theirs.evaluate(images_NCHW), rtol=1e-10, atol=1e-10)
    # The network in PyTorch has NumPy's weights.
    torch.testing.assert_close(ours.model(images_NCHW), ours.evaluate(images_NCHW), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_the_same_study_gives_the_same_figures(
    digits: Dataset, make_config: MakeConfig, model: dict[str, Any], optimizer: dict[str, Any]
) -> None:
    """From configuration to metrics, in float32, over all epochs: only rounding differs."""
    trained = {}
    for backend in ("torch", "numpy"):
        config = make_config(model=model, optimizer=optimizer, epochs=5, backend=backend, balance="loss")
        training = Training(config=config, dataset=digits, device=CPU)
        trained[backend] = (list(training.epochs()), training)
    for theirs, ours in zip(trained["torch"][0], trained["numpy"][0], strict=True):
        assert ours.values.keys() == theirs.values.keys()
        for part in ("train", "val"):
            assert ours.values[f"{part}/loss"] == pytest.approx(theirs.values[f"{part}/loss"], rel=1e-4)
            assert ours.values[f"{part}/auc"] == pytest.approx(theirs.values[f"{part}/auc"], rel=1e-4)
            # One of 297 pictures may lie on the border between two classes.
            assert ours.values[f"{part}/accuracy"] == pytest.approx(theirs.values[f"{part}/accuracy"], abs=0.004)
    ours, theirs = (trained[backend][1].model_state_dict() for backend in ("numpy", "torch"))
    assert list(ours) == list(theirs)
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_it_resumes_to_the_same_bits(digits: Dataset, optimizer: dict[str, Any]) -> None:
    loss = ClassLoss(log_probabilities=True, label_smoothing=0.0, weights_K=None)
    learners = [build_pair(MODELS["two hidden"], loss, optimizer, torch.float32)[1] for _ in range(3)]
    whole = train(learners[0], digits, torch.float32, lr=optimizer["lr"], epochs=range(1, 4))
    begun = train(learners[1], digits, torch.float32, lr=optimizer["lr"], epochs=range(1, 2))
    learners[2].load_state_dict(copy.deepcopy(learners[1].state_dict()))
    resumed = begun + train(learners[2], digits, torch.float32, lr=optimizer["lr"], epochs=range(2, 4))
    assert all(torch.equal(value, expected) for value, expected in zip(resumed, whole, strict=True))


def test_outputs_that_overflow_are_a_loss_that_is_not_finite(digits: Dataset) -> None:
    loss = ClassLoss(log_probabilities=False, label_smoothing=0.0, weights_K=None)
    _, ours = build_pair(MODELS["two hidden"], loss, {"name": "sgd", "lr": 1.0}, torch.float32)
    split = digits.train
    images_BCHW, labels_B = split.images_NCHW[:64].float(), split.labels_N[:64]
    losses = [ours.train_step(images_BCHW, labels_B, lr=1e9)[1] for _ in range(20)]
    assert not losses[-1].isfinite()


def test_what_numpy_does_not_have_is_refused() -> None:
    loss = ClassLoss(log_probabilities=False, label_smoothing=0.0, weights_K=None)
    config: OptimizerConfig = TypeAdapter(OptimizerConfig).validate_python({"name": "sgd"})
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(InputError, match=r"no BatchNorm1d \(layer 2\)"):
        NumpyLearner(network, loss, config)
    config = TypeAdapter(OptimizerConfig).validate_python({"name": "rmsprop"})
    with pytest.raises(InputError, match="no optimizer rmsprop; use sgd or adam"):
        NumpyLearner(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), loss, config)
