"""What is trained: `trial.model`."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from sweeper.study.config.base import Config, FieldError, Rate, Width, Widths, count_of, to_tuple
from sweeper.study.config.custom import CustomModelConfig, Extensible

__all__ = [
    "AutoencoderConfig",
    "BlockConfig",
    "CNNConfig",
    "LinearConfig",
    "LogisticConfig",
    "MLPConfig",
    "ModelConfig",
    "TorchvisionConfig",
    "UnfreezingConfig",
]

Dropout: TypeAlias = Rate | Annotated[tuple[Rate, ...], BeforeValidator(to_tuple)]
BatchNorm: TypeAlias = bool | Annotated[tuple[bool, ...], BeforeValidator(to_tuple)]


def _check_per_layer(field: str, value: float | tuple[float, ...], hidden: tuple[int, ...]) -> None:
    if isinstance(value, tuple) and len(value) != len(hidden):
        raise FieldError(
            f"given {count_of(len(value), 'value')} for {count_of(len(hidden), 'hidden layer')}; "
            "allowed: one value, or a list with one for each hidden layer",
            field,
        )


class LogisticConfig(Config):
    """One linear layer on the flattened picture: logistic regression."""

    name: Literal["logistic"] = "logistic"


class LinearConfig(Config):
    """The same layer under the name that it has in a regression: with a loss of `mse`, linear regression."""

    name: Literal["linear"] = "linear"


class MLPConfig(Config):
    """Multilayer perceptron: linear, batch norm (optional), ReLU, dropout for each hidden layer; then a linear head."""

    name: Literal["mlp"] = "mlp"
    hidden: Widths = Field(min_length=1)
    """Widths of the hidden layers, input side first."""
    dropout: Dropout = 0.0
    """Dropout rate after each hidden layer: one for all, or a list with one a layer."""
    batch_norm: BatchNorm = False
    """Batch normalization after each hidden linear layer: one for all, or a list with one a layer."""

    @model_validator(mode="after")
    def _check(self) -> MLPConfig:
        _check_per_layer("dropout", self.dropout, self.hidden)
        _check_per_layer("batch_norm", self.batch_norm, self.hidden)
        return self


class BlockConfig(Config):
    """One block of a CNN: convolution, batch norm (optional), ReLU, pooling."""

    channels: Width
    """Output channels of the convolution."""
    kernel: int = Field(default=3, ge=1, le=31)
    """Kernel size in pixels."""
    padding: int = Field(default=0, ge=0, le=15)
    """Zero padding in pixels on each side."""
    pool: int = Field(default=2, ge=1, le=32)
    """Size and stride of the pooling window in pixels; 1 is no pooling."""


class CNNConfig(Config):
    """Convolutional network: blocks of convolution and pooling, then hidden linear layers and a linear head."""

    name: Literal["cnn"] = "cnn"
    blocks: Annotated[tuple[BlockConfig, ...], BeforeValidator(to_tuple)] = Field(min_length=1)
    """The convolutional blocks, input side first."""
    pooling: Literal["max", "average"] = "max"
    """Kind of pooling in every block."""
    batch_norm: bool = True
    """Batch normalization after each convolution."""
    hidden: Widths = ()
    """Widths of the hidden linear layers between the last block and the head."""
    dropout: Dropout = 0.0
    """Dropout rate after each hidden linear layer: one for all, or a list with one a layer."""

    @model_validator(mode="after")
    def _check(self) -> CNNConfig:
        _check_per_layer("dropout", self.dropout, self.hidden)
        return self


class AutoencoderConfig(Config):
    """Autoencoder of linear layers with ReLU between them: from the picture through `hidden` to the bottleneck, and
    back the same way. Trained to give the picture back, with a loss of `mse`."""

    name: Literal["autoencoder"] = "autoencoder"
    hidden: Widths = (512, 128, 32)
    """Widths of the hidden layers of the encoder, input side first. The decoder has them in the opposite order."""
    bottleneck: int = Field(default=2, ge=1, le=100_000)
    """Units of the bottleneck."""
    bottleneck_relu: bool = False
    """ReLU on the bottleneck, which leaves only values of at least 0."""


class UnfreezingConfig(Config):
    """Gradual unfreezing (Howard and Ruder 2018): the backbone's stages are trained one after another, from the top."""

    first: int = Field(default=1, ge=1)
    """Epochs in which only the head is trained."""
    every: int = Field(default=1, ge=1)
    """Epochs between one stage and the next."""


class TorchvisionConfig(Config):
    """A classification network of torchvision with a head of its own: hidden linear layers and a linear output."""

    name: Literal["torchvision"] = "torchvision"
    network: str
    """Its name in torchvision, such as `mobilenet_v2`, `resnet152` or `convnext_large`."""
    weights: str = "imagenet"
    """`imagenet`: torchvision's weights, looked for as `weights/<network>.pth` in `SWEEPER_DATA` and in torch's own
    cache, else downloaded; `none`: drawn at random; else a file with a state dict, relative to `SWEEPER_DATA` if that
    is set, else to the working directory."""
    frozen: bool = True
    """Train the head only. The backbone then stays in evaluation mode, and its outputs are computed once for the whole
    study. With `false`, all is trained; see `training.backbone_lr_factor`."""
    unfreezing: UnfreezingConfig | None = None
    """Begin with a frozen backbone and unfreeze it step by step; with `frozen: false` only."""
    head_on: Literal["features", "outputs"] = "features"
    """What the head gets: the last features, or the network's own outputs (1000 for ImageNet) with their last layer."""
    hidden: Widths = ()
    """Widths of the head's hidden linear layers, input side first."""
    dropout: Dropout = 0.0
    """Dropout rate after each hidden linear layer: one for all, or a list with one a layer."""
    batch_norm: BatchNorm = False
    """Batch normalization after each hidden linear layer: one for all, or a list with one a layer."""
    input_size: int | None = Field(default=None, ge=8, le=2048)
    """Height and width in pixels to which each batch is resized before the backbone. Default: as the pictures are."""
    views: int = Field(default=4, ge=0, le=1000)
    """With `frozen` and augmentations: how many augmented views of each training picture are cached, of which each
    epoch draws one. With 0, nothing is cached and the backbone runs in each epoch."""

    @model_validator(mode="after")
    def _check(self) -> TorchvisionConfig:
        _check_per_layer("dropout", self.dropout, self.hidden)
        _check_per_layer("batch_norm", self.batch_norm, self.hidden)
        if self.frozen and self.unfreezing is not None:
            raise FieldError("given with frozen: true; allowed: with frozen: false", "unfreezing")
        if self.frozen and self.weights == "none":
            raise FieldError("given true with weights: none, which would never be trained; allowed: false", "frozen")
        return self


ModelConfig: TypeAlias = Annotated[
    LogisticConfig | LinearConfig | MLPConfig | CNNConfig | AutoencoderConfig | TorchvisionConfig | CustomModelConfig,
    Extensible("model"),
]
