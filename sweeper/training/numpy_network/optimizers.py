"""Steps of SGD and Adam on one long array of parameters, in NumPy, as PyTorch takes them."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from sweeper.errors import InputError
from sweeper.study.config import AdamConfig, OptimizerConfig, SGDConfig
from sweeper.training.numpy_network.layers import Array

__all__ = ["Step", "build_step"]

_ADAM_EPSILON = 1e-8  # torch's


class Step(Protocol):
    """Changes parameters by their gradients."""

    n_steps: int
    """Steps taken."""
    averages: dict[str, Array]
    """What is remembered from step to step, each (P,)."""

    def __call__(self, parameters_P: Array, gradients_P: Array, *, lr: float) -> None:
        """Take one step in place. `gradients_P` is used up."""
        ...


def build_step(config: OptimizerConfig, parameters_P: Array) -> Step:
    """The optimizer of `config` for parameters of that size and type.

    Raises:
        InputError: There is no such optimizer here.
    """
    if isinstance(config, SGDConfig):
        return _SGD(config, parameters_P)
    if isinstance(config, AdamConfig):
        return _Adam(config, parameters_P)
    raise InputError(f"the NumPy backend has no optimizer {config.name}; use sgd or adam, or training.backend: torch")


class _SGD:
    def __init__(self, config: SGDConfig, parameters_P: Array) -> None:
        self._config = config
        self._scratch_P = np.empty_like(parameters_P)
        self.n_steps = 0
        self.averages = {"momentum": np.zeros_like(parameters_P)} if config.momentum > 0.0 else {}

    def __call__(self, parameters_P: Array, gradients_P: Array, *, lr: float) -> None:
        config, scratch_P = self._config, self._scratch_P
        self.n_steps += 1
        if config.weight_decay > 0.0:
            gradients_P += np.multiply(parameters_P, config.weight_decay, out=scratch_P)
        move_P = gradients_P
        if config.momentum > 0.0:
            momentum_P = self.averages["momentum"]  # 0 before the first step, after which it is the gradient
            momentum_P *= config.momentum
            momentum_P += gradients_P
            if config.nesterov:
                gradients_P += np.multiply(momentum_P, config.momentum, out=scratch_P)
            else:
                move_P = momentum_P
        parameters_P -= np.multiply(move_P, lr, out=scratch_P)


class _Adam:
    """Kingma and Ba 2015."""

    def __init__(self, config: AdamConfig, parameters_P: Array) -> None:
        self._config = config
        self._scratch_P = np.empty_like(parameters_P)
        self.n_steps = 0
        self.averages = {"gradient": np.zeros_like(parameters_P), "square": np.zeros_like(parameters_P)}

    def __call__(self, parameters_P: Array, gradients_P: Array, *, lr: float) -> None:
        config, scratch_P = self._config, self._scratch_P
        gradient_P, square_P = self.averages["gradient"], self.averages["square"]
        beta1, beta2 = config.betas
        self.n_steps += 1
        if config.weight_decay > 0.0:
            gradients_P += np.multiply(parameters_P, config.weight_decay, out=scratch_P)
        np.subtract(gradients_P, gradient_P, out=scratch_P)
        scratch_P *= 1.0 - beta1
        gradient_P += scratch_P
        gradients_P *= gradients_P
        gradients_P *= 1.0 - beta2
        square_P *= beta2
        square_P += gradients_P
        np.sqrt(square_P, out=scratch_P)
        scratch_P /= math.sqrt(1.0 - beta2**self.n_steps)
        scratch_P += _ADAM_EPSILON
        np.divide(gradient_P, scratch_P, out=scratch_P)
        scratch_P *= lr / (1.0 - beta1**self.n_steps)
        parameters_P -= scratch_P
