"""Which devices there are, and how many workers go on them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from sweeper.errors import InputError
from sweeper.launch.launcher import WorkerSlot

__all__ = ["count_cpus", "find_devices", "plan_slots"]


def find_devices(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Names of this machine's devices: its NVIDIA GPUs that `CUDA_VISIBLE_DEVICES` leaves, else `cpu`.

    Asked of the driver library, since importing torch takes seconds.
    """
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        n_gpus = len([part for part in visible.split(",") if part.strip() and part.strip() != "-1"])
    else:
        n_gpus = _count_nvidia_gpus()
    return [f"cuda:{i}" for i in range(n_gpus)] or ["cpu"]


def _count_nvidia_gpus() -> int:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0
    try:
        return int(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()


def count_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def plan_slots(
    devices: Sequence[str], *, n_workers: int | None, per_gpu: int = 1, n_cpus: int | None = None
) -> list[WorkerSlot]:
    """Places for workers.

    Args:
        devices: Names of devices; GPUs get `per_gpu` workers each.
        n_workers: Number of workers; default: one for each place on a GPU, or one for each CPU, at most 4.
        per_gpu: Workers on each GPU.
        n_cpus: CPUs to share among the workers; default: all that this process may use.

    Raises:
        InputError: More workers are asked for than there are places on GPUs.
    """
    n_cpus = n_cpus or count_cpus()
    gpus = [device for device in devices if device != "cpu"]
    if gpus:
        places = [device for _ in range(per_gpu) for device in gpus]
        n_workers = n_workers or len(places)
        if n_workers > len(places):
            raise InputError(
                f"--workers: given {n_workers}; allowed: at most {len(places)} ({len(gpus)} GPUs, {per_gpu} on each); "
                "raise --per-gpu to put more workers on each GPU"
            )
    else:
        n_workers = n_workers or min(n_cpus, 4)
        places = ["cpu"] * n_workers
    n_threads = max(1, n_cpus // n_workers)
    return [WorkerSlot(index=i, device=places[i], n_threads=n_threads) for i in range(n_workers)]
