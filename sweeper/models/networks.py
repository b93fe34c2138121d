"""Networks built from their configuration. Modules are named, so that keys of a state dict can be read:
`hidden1.linear.weight`, `block2.convolution.weight`, `head.linear.bias`."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TypeVar

from torch import nn

from sweeper.errors import InputError
from sweeper.models.check import Shape, feature_shape, model_fault
from sweeper.study.config import BlockConfig, CNNConfig, LinearConfig, LogisticConfig, MLPConfig, ModelConfig

__all__ = ["build_model", "n_parameters"]

T = TypeVar("T")


def build_model(config: ModelConfig, *, input_shape: Shape, n_classes: int, log_probabilities: bool) -> nn.Module:
    """Build a network that maps pictures, float (N, C, H, W), to one output a class, float (N, n_classes).

    Weights are drawn from torch's global generator, with torch's own initialization of each layer.

    Args:
        config: The model.
        input_shape: (C, H, W) of a picture.
        n_classes: Number of classes.
        log_probabilities: End the head in a log-softmax, for a loss on log-probabilities; otherwise it gives logits.

    Raises:
        InputError: The pictures are too small for the network.
    """
    fault = model_fault(config, input_shape)
    if fault is not None:
        raise InputError(f"model {config.name} cannot be built: {fault}")
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    if isinstance(config, CNNConfig):
        channels = input_shape[0]
        for number, block in enumerate(config.blocks, start=1):
            modules[f"block{number}"] = _convolutional_block(channels, block, config)
            channels = block.channels
    modules["flatten"] = nn.Flatten()
    features = math.prod(feature_shape(config, input_shape))
    if not isinstance(config, LogisticConfig | LinearConfig):
        n_hidden = len(config.hidden)
        batch_norms = _per_layer(config.batch_norm if isinstance(config, MLPConfig) else False, n_hidden)
        dropouts = _per_layer(config.dropout, n_hidden)
        for number, (width, batch_norm, dropout) in enumerate(
            zip(config.hidden, batch_norms, dropouts, strict=True), start=1
        ):
            modules[f"hidden{number}"] = _hidden_layer(features, width, batch_norm=batch_norm, dropout=dropout)
            features = width
    modules["head"] = _head(features, n_classes, log_probabilities=log_probabilities)
    return nn.Sequential(modules)


def n_parameters(model: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def _convolutional_block(in_channels: int, block: BlockConfig, config: CNNConfig) -> nn.Sequential:
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    modules["convolution"] = nn.Conv2d(in_channels, block.channels, block.kernel, padding=block.padding)
    if config.batch_norm:
        modules["batch_norm"] = nn.BatchNorm2d(block.channels)
    modules["relu"] = nn.ReLU()
    if block.pool > 1:
        modules["pool"] = nn.MaxPool2d(block.pool) if config.pooling == "max" else nn.AvgPool2d(block.pool)
    return nn.Sequential(modules)


def _hidden_layer(in_features: int, width: int, *, batch_norm: bool, dropout: float) -> nn.Sequential:
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    modules["linear"] = nn.Linear(in_features, width)
    if batch_norm:
        modules["batch_norm"] = nn.BatchNorm1d(width)
    modules["relu"] = nn.ReLU()
    if dropout > 0.0:
        modules["dropout"] = nn.Dropout(dropout)
    return nn.Sequential(modules)


def _head(in_features: int, n_classes: int, *, log_probabilities: bool) -> nn.Sequential:
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    modules["linear"] = nn.Linear(in_features, n_classes)
    if log_probabilities:
        modules["log_softmax"] = nn.LogSoftmax(dim=1)
    return nn.Sequential(modules)


def _per_layer(value: T | tuple[T, ...], n_layers: int) -> tuple[T, ...]:
    return value if isinstance(value, tuple) else (value,) * n_layers
