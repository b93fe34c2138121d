"""Networks built from their configuration. Modules are named, so that keys of a state dict can be read:
`hidden1.linear.weight`, `block2.convolution.weight`, `head.linear.bias`."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TypeVar

from torch import nn

from sweeper.errors import InputError
from sweeper.models.backbone_table import n_backbone_features
from sweeper.models.backbone_weights import find_weights
from sweeper.models.backbones import build_backbone
from sweeper.models.check import Shape, feature_shape, model_fault
from sweeper.models.custom import build_custom
from sweeper.places import Places
from sweeper.study.config import (
    AutoencoderConfig,
    BlockConfig,
    CNNConfig,
    CustomModelConfig,
    MLPConfig,
    ModelConfig,
    TorchvisionConfig,
)

__all__ = ["build_head", "build_model", "build_trainable", "n_parameters"]

T = TypeVar("T")


def build_model(
    config: ModelConfig,
    *,
    input_shape: Shape,
    n_outputs: int,
    log_probabilities: bool = False,
    places: Places | None = None,
    load_weights: bool = True,
) -> nn.Module:
    """Build a network that maps pictures, float (N, C, H, W), to outputs, float (N, n_outputs); an autoencoder to
    pictures, float (N, C, H, W).

    Weights are drawn from torch's global generator, with torch's own initialization of each layer.

    Args:
        config: The model.
        input_shape: (C, H, W) of a picture.
        n_outputs: Number of classes, or of numbers to be predicted. Without meaning for an autoencoder.
        log_probabilities: End the head in a log-softmax, for a loss on log-probabilities; otherwise it gives logits.
        places: Where pretrained weights are looked for.
        load_weights: Load pretrained weights. Without it they are looked for nowhere, since others are loaded later.

    Raises:
        InputError: The pictures are too small for the network, or the weights do not fit it.
        DataError: Pretrained weights are nowhere.
    """
    fault = model_fault(config, input_shape)
    if fault is not None:
        raise InputError(f"model {config.name} cannot be built: {fault}")
    if isinstance(config, CustomModelConfig):
        return build_custom(config, input_shape=input_shape, n_outputs=n_outputs, log_probabilities=log_probabilities)
    if isinstance(config, AutoencoderConfig):
        return _autoencoder(config, input_shape)
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    if isinstance(config, TorchvisionConfig):
        modules["backbone"] = build_backbone(
            config, weights_path=find_weights(config, places) if load_weights else None
        )
        n_features = n_backbone_features(config)
        modules.update(build_head(config, n_features, n_outputs, log_probabilities=log_probabilities))
        return nn.Sequential(modules)
    if isinstance(config, CNNConfig):
        channels = input_shape[0]
        for number, block in enumerate(config.blocks, start=1):
            modules[f"block{number}"] = _convolutional_block(channels, block, config)
            channels = block.channels
    modules["flatten"] = nn.Flatten()
    features = math.prod(feature_shape(config, input_shape))
    modules.update(build_head(config, features, n_outputs, log_probabilities=log_probabilities))
    return nn.Sequential(modules)


def build_trainable(
    config: ModelConfig,
    *,
    input_shape: tuple[int, ...],
    n_outputs: int,
    log_probabilities: bool = False,
    places: Places | None = None,
) -> nn.Module:
    """Build what a trial trains and saves: the network of `build_model`; of one with a frozen backbone the head alone,
    under the names that it has there, for what the backbone gives, float (N, input_shape[0]).
    """
    if isinstance(config, TorchvisionConfig) and config.frozen:
        return nn.Sequential(build_head(config, input_shape[0], n_outputs, log_probabilities=log_probabilities))
    channels, height, width = input_shape
    return build_model(
        config,
        input_shape=(channels, height, width),
        n_outputs=n_outputs,
        log_probabilities=log_probabilities,
        places=places,
    )


def build_head(
    config: ModelConfig, n_features: int, n_outputs: int, *, log_probabilities: bool
) -> OrderedDict[str, nn.Module]:
    """The layers after the last convolution, by name: hidden linear ones, if the model has them, and a linear output.

    Args:
        config: The model.
        n_features: Width of the flat input.
        n_outputs: Number of outputs.
        log_probabilities: End in a log-softmax.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    if isinstance(config, MLPConfig | CNNConfig | TorchvisionConfig):
        n_hidden = len(config.hidden)
        batch_norms = _per_layer(False if isinstance(config, CNNConfig) else config.batch_norm, n_hidden)
        dropouts = _per_layer(config.dropout, n_hidden)
        for number, (width, batch_norm, dropout) in enumerate(
            zip(config.hidden, batch_norms, dropouts, strict=True), start=1
        ):
            modules[f"hidden{number}"] = _hidden_layer(n_features, width, batch_norm=batch_norm, dropout=dropout)
            n_features = width
    modules["head"] = _output_layer(n_features, n_outputs, log_probabilities=log_probabilities)
    return modules


def n_parameters(model: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def _autoencoder(config: AutoencoderConfig, input_shape: Shape) -> nn.Sequential:
    """Eight linear layers with the default widths: d, 512, 128, 32, 2, 32, 128, 512, d (Hinton and Salakhutdinov 2006,
    with ReLU in the place of their logistic units)."""
    n_pixels = math.prod(input_shape)
    encoder: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    features = n_pixels
    for number, width in enumerate(config.hidden, start=1):
        encoder[f"hidden{number}"] = _hidden_layer(features, width, batch_norm=False, dropout=0.0)
        features = width
    bottleneck: OrderedDict[str, nn.Module] = OrderedDict(linear=nn.Linear(features, config.bottleneck))
    if config.bottleneck_relu:
        bottleneck["relu"] = nn.ReLU()
    encoder["bottleneck"] = nn.Sequential(bottleneck)
    decoder: OrderedDict[str, nn.Module] = OrderedDict()
    features = config.bottleneck
    for number, width in enumerate(reversed(config.hidden), start=1):
        decoder[f"hidden{number}"] = _hidden_layer(features, width, batch_norm=False, dropout=0.0)
        features = width
    decoder["head"] = _output_layer(features, n_pixels, log_probabilities=False)
    decoder["unflatten"] = nn.Unflatten(1, input_shape)
    return nn.Sequential(OrderedDict(encoder=nn.Sequential(encoder), decoder=nn.Sequential(decoder)))


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


def _output_layer(in_features: int, n_outputs: int, *, log_probabilities: bool) -> nn.Sequential:
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    modules["linear"] = nn.Linear(in_features, n_outputs)
    if log_probabilities:
        modules["log_softmax"] = nn.LogSoftmax(dim=1)
    return nn.Sequential(modules)


def _per_layer(value: T | tuple[T, ...], n_layers: int) -> tuple[T, ...]:
    return value if isinstance(value, tuple) else (value,) * n_layers
