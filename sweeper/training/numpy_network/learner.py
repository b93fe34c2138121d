"""A learner that needs PyTorch for no number: it is given tensors and gives tensors back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from sweeper.errors import InputError
from sweeper.study.config import OptimizerConfig
from sweeper.training.losses import ClassLoss
from sweeper.training.numpy_network.layers import Array, LinearLayers
from sweeper.training.numpy_network.losses import SoftmaxCrossEntropy, log_softmax
from sweeper.training.numpy_network.optimizers import build_step

__all__ = ["NumpyLearner"]


class NumpyLearner:
    """Linear layers and ReLU, trained with NumPy from the weights of a PyTorch network. Implements `Learner`.

    The same weights and batches give the same numbers as that network under PyTorch, to floating-point precision.
    Computes in the type of the weights, on the CPU; outputs appear on the device of the pictures.

    Args:
        model: As `build_model` gives it for `logistic`, or for `mlp` without batch norm and dropout. Its weights become
            views of NumPy's, so that it always is the network as trained so far.
        loss: What is minimized: cross entropy, or NLL where the model ends in a log-softmax.
        optimizer: SGD or Adam.

    Raises:
        InputError: A layer or an optimizer that NumPy's side does not have.
    """

    def __init__(self, model: nn.Module, loss: ClassLoss, optimizer: OptimizerConfig) -> None:
        linear = _linear_layers(model)
        self._layers = LinearLayers(
            [layer.weight.numpy(force=True) for layer in linear], [layer.bias.numpy(force=True) for layer in linear]
        )
        parameters = [parameter for layer in linear for parameter in (layer.weight, layer.bias)]
        for parameter, view in zip(parameters, self._layers.views, strict=True):
            parameter.data = torch.from_numpy(view)
        self._model = model
        self._loss = SoftmaxCrossEntropy(loss, self._layers.parameters_P.dtype)
        self._gives_log_probabilities = loss.log_probabilities
        self._step = build_step(optimizer, self._layers.parameters_P)

    @property
    def model(self) -> nn.Module:
        return self._model

    @property
    def micro_batch(self) -> int | None:
        return None

    def begin_epoch(self, epoch: int) -> None:
        """Nothing differs between epochs."""

    # Numbers that overflow are the training loop's to find, in the loss.
    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def train_step(self, inputs: torch.Tensor, learnt: torch.Tensor, *, lr: float) -> tuple[torch.Tensor, torch.Tensor]:
        logits_BK = self._layers.forward(self._flat(inputs))
        log_probabilities_BK = log_softmax(logits_BK)
        loss, slopes_BK = self._loss(log_probabilities_BK, learnt.numpy(force=True))
        self._layers.backward(slopes_BK)
        self._step(self._layers.parameters_P, self._layers.gradients_P, lr=lr)
        outputs_BK = log_probabilities_BK if self._gives_log_probabilities else logits_BK
        return torch.from_numpy(outputs_BK).to(inputs.device), torch.as_tensor(loss, device=inputs.device)

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def evaluate(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs_BK = self._layers.forward(self._flat(inputs))
        if self._gives_log_probabilities:
            outputs_BK = log_softmax(outputs_BK)
        return torch.from_numpy(outputs_BK).to(inputs.device)

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self._model.state_dict(),
            "n_steps": self._step.n_steps,
            "averages": {name: torch.from_numpy(average_P) for name, average_P in self._step.averages.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._model.load_state_dict(state["model"])  # copies into NumPy's memory
        self._step.n_steps = state["n_steps"]
        for name, average_P in self._step.averages.items():
            np.copyto(average_P, state["averages"][name].numpy(force=True))

    def _flat(self, inputs: torch.Tensor) -> Array:
        """(B, C·H·W), without a copy where type and device are right."""
        flat_BI: Array = inputs.flatten(1).numpy(force=True)
        return flat_BI.astype(self._layers.parameters_P.dtype, copy=False)


def _linear_layers(model: nn.Module) -> list[nn.Linear]:
    """The linear layers, input side first; ReLU lies between them."""
    linear: list[nn.Linear] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            linear.append(module)
        elif not isinstance(module, nn.Sequential | nn.Flatten | nn.ReLU | nn.LogSoftmax):
            raise InputError(
                f"the NumPy backend has no {type(module).__name__} (layer {name}); allowed: linear layers with ReLU "
                "between them. Use training.backend: torch"
            )
    return linear
