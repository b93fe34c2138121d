"""In which numbers a network computes: full single precision, or fewer digits where the device is faster so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import nn

from sweeper.errors import TrialError

__all__ = ["Forward", "Precision", "forward_in", "has_bfloat16", "use_precision"]

Precision: TypeAlias = Literal["float32", "tf32", "bfloat16"]
Forward: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 itself, and not by float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return True


def use_precision(
    precision: Precision, device: torch.device, *, has: Callable[[torch.device], bool] = has_bfloat16
) -> None:
    """Have this process multiply matrices so. Settings of a training before are undone.

    Args:
        precision: Of float32 matrices: `tf32` rounds their factors to 10 bits of mantissa on GPUs that can.
        device: Where it will be.
        has: Whether a device has bfloat16.

    Raises:
        TrialError: The device has no bfloat16.
    """
    if precision == "bfloat16" and not has(device):
        raise TrialError(
            f"given training.precision bfloat16 on {device}, which computes it by float32; allowed there: float32, tf32"
        )
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")


def forward_in(model: nn.Module, precision: Precision) -> Forward:
    """The forward pass of a network: inputs to outputs in float32.

    In `bfloat16`, layers that stay sound so compute in it (convolutions, matrix products), and others, such as
    normalization and softmax, in float32, as PyTorch's autocast decides. Weights and gradients are float32, and the
    range of bfloat16 is that of float32, so that no loss has to be scaled.
    """
    if precision != "bfloat16":
        return model

    def forward(inputs: torch.Tensor) -> torch.Tensor:
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16):
            outputs: torch.Tensor = model(inputs)
        return outputs.float()

    return forward
