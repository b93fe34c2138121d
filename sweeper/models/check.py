"""Whether a model can be built: shapes computed in plain Python, without torch, so that checking a space is instant."""

from __future__ import annotations

from sweeper.models.backbone_table import NETWORKS
from sweeper.study.config import BlockConfig, CNNConfig, MLPConfig, ModelConfig, TorchvisionConfig
from sweeper.study.words import nearest

__all__ = ["Shape", "block_shape", "feature_shape", "model_fault", "network_fault"]

Shape = tuple[int, int, int]
"""(channels, height, width)."""


def model_fault(config: ModelConfig, input_shape: Shape, *, batch_size: int | None = None) -> str | None:
    """Why a model cannot be built or trained on pictures of `input_shape`, in words; None if it can.

    Args:
        config: The model.
        input_shape: (channels, height, width) of a picture.
        batch_size: Pictures in a step, if known. Batch norm needs two values of each channel, so that a batch of one
            picture is refused where nothing but the picture itself is left to average over.
    """
    try:
        feature_shape(config, input_shape)
    except ValueError as error:
        return str(error)
    if isinstance(config, TorchvisionConfig):
        fault = _backbone_fault(config, input_shape)
        if fault is not None:
            return fault
    if batch_size != 1:
        return None
    if isinstance(config, MLPConfig | TorchvisionConfig) and config.batch_norm not in (
        False,
        (False,) * len(config.hidden),
    ):
        return "a batch size of 1 leaves batch norm one value of each unit, and it needs two"
    if isinstance(config, CNNConfig) and config.batch_norm:
        shape = input_shape
        for number, block in enumerate(config.blocks, start=1):
            convolved, shape = block_shape(block, shape)
            if convolved[1:] == (1, 1):
                return (
                    f"block {number}: a batch size of 1 leaves batch norm one value of each channel, and it needs two"
                )
    return None


def network_fault(config: TorchvisionConfig) -> str | None:
    """Why torchvision has no such network, in words; None if it has."""
    if config.network in NETWORKS:
        return None
    near = nearest(config.network, NETWORKS) or ";"
    return (
        f"torchvision has no network {config.network!r}{near} allowed: its classification networks, such as "
        "mobilenet_v2, resnet152 or convnext_large"
    )


def _backbone_fault(config: TorchvisionConfig, input_shape: Shape) -> str | None:
    fault = network_fault(config)
    if fault is not None:
        return fault
    channels, height, width = input_shape
    if channels != 3 and (channels != 1 or config.weights != "none"):
        return f"{config.network} with weights {config.weights} takes pictures of 3 channels, not {channels}"
    if config.input_size is not None:
        height = width = config.input_size
    network = NETWORKS[config.network]
    if network.is_only_size and (height, width) != (network.smallest, network.smallest):
        return (
            f"{config.network} takes pictures of {network.smallest}×{network.smallest}, not {height}×{width}; "
            f"set model.input_size to {network.smallest}"
        )
    if min(height, width) < network.smallest:
        return (
            f"{config.network} takes pictures of at least {network.smallest}×{network.smallest}, not {height}×{width}; "
            f"set model.input_size to {network.smallest} or more"
        )
    return None


def feature_shape(config: ModelConfig, input_shape: Shape) -> Shape:
    """Shape of what the first linear layer gets, before it is flattened.

    Raises:
        ValueError: A picture is smaller than a kernel or a pooling window; the message names the block.
    """
    if not isinstance(config, CNNConfig):
        return input_shape
    shape = input_shape
    for number, block in enumerate(config.blocks, start=1):
        try:
            _, shape = block_shape(block, shape)
        except ValueError as error:
            raise ValueError(f"block {number}: {error}") from None
    return shape


def block_shape(block: BlockConfig, shape: Shape) -> tuple[Shape, Shape]:
    """Shapes after a block's convolution and after its pooling, for pictures of `shape`.

    Raises:
        ValueError: The picture is smaller than the kernel or the pooling window.
    """
    _, height, width = shape
    padded = height + 2 * block.padding, width + 2 * block.padding
    if min(padded) < block.kernel:
        padding = f" with its padding of {block.padding}" if block.padding else ""
        raise ValueError(f"a picture of {height}×{width}{padding} is smaller than the kernel of {block.kernel}")
    height, width = padded[0] - block.kernel + 1, padded[1] - block.kernel + 1
    if min(height, width) < block.pool:
        raise ValueError(f"a picture of {height}×{width} is smaller than the pooling window of {block.pool}")
    return (block.channels, height, width), (block.channels, height // block.pool, width // block.pool)
