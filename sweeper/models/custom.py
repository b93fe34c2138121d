"""Models of plugins."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from sweeper.errors import InputError
from sweeper.models.check import Shape
from sweeper.study.config import CustomModelConfig, registration_of

__all__ = ["build_custom"]


def build_custom(
    config: CustomModelConfig, *, input_shape: Shape, n_outputs: int, log_probabilities: bool
) -> nn.Module:
    """Call the function of a model, and see by one forward pass that what it makes fits.

    Args:
        config: The model.
        input_shape: (C, H, W) of a picture.
        n_outputs: Number of classes, or of numbers to be predicted.
        log_probabilities: Put a log-softmax after it.

    Raises:
        InputError: It makes no module, or one whose outputs are not (N, n_outputs). What its function raises is passed
            on as it is: it is a failure of the trial.
    """
    custom = registration_of(config)
    assert custom is not None
    network = custom.call(
        config,
        input_shape=input_shape,
        n_channels=input_shape[0],
        in_channels=input_shape[0],
        n_outputs=n_outputs,
        num_classes=n_outputs,
    )
    if not isinstance(network, nn.Module):
        raise InputError(
            f"model {config.name}: its function returned {type(network).__name__}; needed: a torch.nn.Module"
        )
    network.eval()
    with torch.no_grad():  # not inference mode, in which lazy modules would make parameters that cannot be trained
        outputs = network(torch.zeros(2, *input_shape))
    shape = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
    if shape != (2, n_outputs):
        raise InputError(
            f"model {config.name} makes {shape} of 2 pictures of {input_shape}; needed: (2, {n_outputs}), one number a "
            "class"
        )
    network.train()
    if not log_probabilities:
        return network
    return nn.Sequential(OrderedDict(network=network, log_softmax=nn.LogSoftmax(dim=1)))
