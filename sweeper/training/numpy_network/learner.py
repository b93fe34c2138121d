"""A learner that needs PyTorch for no number: it is given tensors and gives tensors back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from sweeper.errors import InputError
from sweeper.study.config import OptimizerConfig
from sweeper.training.losses import Loss
from sweeper.training.numpy_network.layers import Array, LinearLayers
from sweeper.training.numpy_network.losses import SoftmaxCrossEntropy, log_softmax
from sweeper.training.numpy_network.optimizers import build_step

__all__ = ["NumpyLearner"]


class NumpyLearner:
    """Linear layers and ReLU, trained with NumPy from the weights of a PyTorch network. Implements `Learner`.

    The same weights and batches give the same numbers as that network under PyTorch, to floating-point precision.
    Computes in the type of the weights, on the CPU; outputs appear on the device of the pictures.

    Args:
        model: As `build_model` gives it for `logistic`, or for `mlp` without batch norm and dropout. It is left as it
            is.
        loss: What is minimized: cross entropy, or NLL where the model ends in a log-softmax.
        optimizer: SGD or Adam.

    Raises:
        InputError: A layer or an optimizer that NumPy's side does not have.
    """

    def __init__(self, model: nn.Module, loss: Loss, optimizer: OptimizerConfig) -> None:
        linear = _linear_layers(model)
        self._names = [f"{name}.{what}" for name in linear for what in ("weight", "bias")]
        self._layers = LinearLayers(
            [layer.weight.numpy(force=True) for layer in linear.values()],
            [layer.bias.numpy(force=True) for layer in linear.values()],
        )
        self._loss = SoftmaxCrossEntropy(loss, self._layers.parameters_P.dtype)
        self._gives_log_probabilities = loss.log_probabilities
        self._step = build_step(optimizer, self._layers.parameters_P)

    @property
    def n_parameters(self) -> int:
        return len(self._layers.parameters_P)

    @property
    def micro_batch(self) -> int | None:
        return None

    def begin_epoch(self, epoch: int) -> None:
        """Nothing differs between epochs."""

    # Numbers that overflow are the training loop's to find, in the loss.
    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def train_step(
        self, images_BCHW: torch.Tensor, targets_B: torch.Tensor, *, lr: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits_BK = self._layers.forward(self._flat(images_BCHW))
        log_probabilities_BK = log_softmax(logits_BK)
        loss, slopes_BK = self._loss(log_probabilities_BK, targets_B.numpy(force=True))
        self._layers.backward(slopes_BK)
        self._step(self._layers.parameters_P, self._layers.gradients_P, lr=lr)
        outputs_BK = log_probabilities_BK if self._gives_log_probabilities else logits_BK
        return torch.from_numpy(outputs_BK).to(images_BCHW.device), torch.as_tensor(loss, device=images_BCHW.device)

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def evaluate(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        outputs_BK = self._layers.forward(self._flat(images_BCHW))
        if self._gives_log_probabilities:
            outputs_BK = log_softmax(outputs_BK)
        return torch.from_numpy(outputs_BK).to(images_BCHW.device)

    def model_state_dict(self) -> dict[str, torch.Tensor]:
        return {name: torch.tensor(view) for name, view in zip(self._names, self._layers.views, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self.model_state_dict(),
            "n_steps": self._step.n_steps,
            "averages": {name: torch.from_numpy(average_P) for name, average_P in self._step.averages.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, view in zip(self._names, self._layers.views, strict=True):
            np.copyto(view, state["model"][name].numpy(force=True))
        self._step.n_steps = state["n_steps"]
        for name, average_P in self._step.averages.items():
            np.copyto(average_P, state["averages"][name].numpy(force=True))

    def _flat(self, images_BCHW: torch.Tensor) -> Array:
        """(B, C·H·W), without a copy where type and device are right."""
        flat_BI: Array = images_BCHW.flatten(1).numpy(force=True)
        return flat_BI.astype(self._layers.parameters_P.dtype, copy=False)


def _linear_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """The linear layers by their names, input side first; ReLU lies between them."""
    linear: dict[str, nn.Linear] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            linear[name] = module
        elif not isinstance(module, nn.Sequential | nn.Flatten | nn.ReLU | nn.LogSoftmax):
            raise InputError(
                f"the NumPy backend has no {type(module).__name__} (layer {name}); allowed: linear layers with ReLU "
                "between them. Use training.backend: torch"
            )
    return linear
