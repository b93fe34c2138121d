"""Names of devices, and what is there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from sweeper.errors import InputError

__all__ = [
    "available_devices",
    "limit_memory",
    "peak_memory",
    "place_model",
    "resolve_device",
    "set_threads",
    "synchronize",
]


def available_devices() -> tuple[str, ...]:
    """Names of the devices that torch can train on here, the CPU first: `cpu`, `cuda:0`, `cuda:1`, `mps`."""
    cuda = tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    mps = ("mps",) if torch.backends.mps.is_available() else ()
    return ("cpu", *cuda, *mps)


def resolve_device(name: str, *, available: Sequence[str] | None = None) -> torch.device:
    """The device of that name: `cpu`, `cuda` (the first one), `cuda:1` or `mps`.

    Args:
        name: Name of the device.
        available: Names to choose from. Default: what torch finds.

    Raises:
        InputError: There is no such device; the message lists those that are there.
    """
    available = available_devices() if available is None else available
    full_name = f"{name}:0" if name == "cuda" else name
    if full_name not in available:
        raise InputError(f"device {name!r} is not available; available: {', '.join(available)}")
    return torch.device(full_name)


def place_model(model: nn.Module, device: torch.device) -> nn.Module:
    """Move `model` to `device`, with its weights in the memory layout that is fastest there."""
    if device.type != "cpu":
        return model.to(device)
    # Convolutions on one thread of an AMD EPYC, torch 2.14, forward and backward, milliseconds a step, contiguous and
    # channels last (pictures need no conversion: the layout follows the weights):
    #   channels 12-12-42, 64×64, batch 32      40.0    32.0
    #   channels 100-120-140, 64×64, batch 32    707     564
    #   channels 16-32, 28×28, batch 32         10.6     6.9
    #   channels 16-32, 28×28, batch 128        37.5    22.1
    # Not measured on other devices, and so left as it is there.
    return model.to(memory_format=torch.channels_last)


def set_threads(n_threads: int) -> None:
    """Let torch use `n_threads` CPU threads in this process. Results depend on it in their last bits."""
    torch.set_num_threads(n_threads)


def synchronize(device: torch.device) -> None:
    """Wait until all work queued on `device` is done, so that a clock read afterwards is right."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def limit_memory(device: torch.device, share: float | None) -> None:
    """Let this process take a part of a GPU's memory, beyond which torch raises `OutOfMemoryError`; and begin to watch
    for `peak_memory`. Does nothing on other devices.

    Args:
        device: The device.
        share: Above 0 and below 1; None for all of it.
    """
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(1.0 if share is None else share, device)
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int | None:
    """Bytes that torch has had of a GPU at most since `limit_memory`; None on other devices."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None
