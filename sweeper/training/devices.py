"""Names of devices, and what is there."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sweeper.errors import InputError

__all__ = ["available_devices", "resolve_device", "set_threads", "synchronize"]


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


def set_threads(n_threads: int) -> None:
    """Let torch use `n_threads` CPU threads in this process. Results depend on it in their last bits."""
    torch.set_num_threads(n_threads)


def synchronize(device: torch.device) -> None:
    """Wait until all work queued on `device` is done, so that a clock read afterwards is right."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
