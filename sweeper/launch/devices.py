"""Which devices there are, and how many workers go on them."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sweeper.errors import InputError, OwnedError
from sweeper.launch.gpus import Gpu, find_gpus, is_held
from sweeper.launch.launcher import WorkerSlot

__all__ = ["AUTO", "MAX_PER_GPU", "Device", "PerGpu", "choose_devices", "count_cpus", "find_devices", "plan_slots"]

PerGpu: TypeAlias = int | Literal["auto"]
AUTO: Literal["auto"] = "auto"
MAX_PER_GPU = 8
"""Most workers that `auto` puts on a GPU: beyond, they take turns rather than share."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """Where a worker can train."""

    name: str
    """torch's: `cpu`, `cuda:0`, `mps`."""
    gpu: Gpu | None = None
    """Of an NVIDIA GPU."""


CPU = Device(name="cpu")


def find_devices(environ: Mapping[str, str] = os.environ) -> list[Device]:
    """This machine's devices: its NVIDIA GPUs that `CUDA_VISIBLE_DEVICES` leaves; Apple's GPU; else the CPU."""
    gpus = [Device(name=gpu.device, gpu=gpu) for gpu in find_gpus(environ)]
    if not gpus and sys.platform == "darwin" and platform.machine() == "arm64":
        return [Device(name="mps")]
    return gpus or [CPU]


def choose_devices(
    names: Sequence[str] | None, *, found: Sequence[Device] | None = None, may_be_held: bool = False
) -> list[Device]:
    """The devices that are asked for, or all that no other sweep has.

    Args:
        names: torch's names, such as `cpu` or `cuda:1`; None for all.
        found: What there is; default: `find_devices()`.
        may_be_held: Also those that another sweep has.

    Raises:
        InputError: There is no such device.
        OwnedError: All are asked for, and other sweeps have all of them.
    """
    found = find_devices() if found is None else found
    if names is not None:
        by_name = {device.name: device for device in (*found, CPU)}
        unknown = [name for name in names if name not in by_name]
        if unknown or not names:
            raise InputError(f"--devices: given {', '.join(names)!r}; allowed: {', '.join(by_name)}")
        return [by_name[name] for name in dict.fromkeys(names)]
    free = [device for device in found if may_be_held or device.gpu is None or not is_held(device.gpu)]
    if not free:
        raise OwnedError(
            f"other sweeps on this machine have all GPUs ({', '.join(device.name for device in found)}); wait for "
            "them, or train on the CPU with --devices cpu"
        )
    return free


def count_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def plan_slots(
    devices: Sequence[Device], *, n_workers: int | None, per_gpu: PerGpu = 1, n_cpus: int | None = None
) -> list[WorkerSlot]:
    """Places for workers.

    Args:
        devices: GPUs get `per_gpu` workers each.
        n_workers: Number of workers; default: one for each place on a GPU, or one for each CPU, at most 4.
        per_gpu: Workers on each GPU. With `auto` one, and more in reserve for as long as nobody knows how many fit.
        n_cpus: CPUs to share among the workers; default: all that this process may use.

    Raises:
        InputError: More workers are asked for than there are places on GPUs.
    """
    n_cpus = n_cpus or count_cpus()
    gpus = [device for device in devices if device.name != "cpu"]
    if gpus:
        n_each = max(1, min(MAX_PER_GPU, n_cpus // len(gpus))) if per_gpu == AUTO else per_gpu
        places = [device for _ in range(n_each) for device in gpus]
        n_workers = n_workers or len(places)
        if n_workers > len(places):
            raise InputError(
                f"--workers: given {n_workers}; allowed: at most {len(places)} ({len(gpus)} GPUs, {n_each} on each); "
                "raise --per-gpu to put more workers on each GPU"
            )
    else:
        n_workers = n_workers or min(n_cpus, 4)
        places = [CPU] * n_workers
    n_threads = max(1, n_cpus // n_workers)
    return [
        WorkerSlot(
            index=i,
            device=places[i].name,
            n_threads=n_threads,
            gpu=places[i].gpu,
            is_reserve=bool(gpus) and per_gpu == AUTO and i >= len(gpus),
        )
        for i in range(n_workers)
    ]
