"""Who says what of where workers go, and what each of them gets: on this machine, or of a cluster."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sweeper.errors import InputError
from sweeper.launch.devices import AUTO, PerGpu, choose_devices, plan_slots
from sweeper.launch.launcher import WorkerSlot
from sweeper.study.plugins.launchers import parse_launcher

__all__ = ["LAUNCHERS", "Placement", "plan_cluster", "plan_workers"]

LAUNCHERS = ("local", "inline", "ray")
_UNITS = 10_000
"""Ray counts in ten-thousandths of a CPU or GPU."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a sweep's workers are to go."""

    launcher: str = "local"
    """`local` (processes of this machine), `inline` (this process), `ray` (a Ray cluster), or a plugin's."""
    workers: int | None = None
    """How many. Default: one for each place on a GPU, else one a CPU; on this machine at most 4 of the latter."""
    devices: Sequence[str] | None = None
    """torch's names, such as `cuda:0`. Default: all. Of a cluster `cpu` alone, or all GPUs, or else CPUs."""
    per_gpu: PerGpu = 1
    """Workers on each GPU. `auto` on this machine only."""
    worker_cpus: float | None = None
    """CPUs that a cluster keeps for each worker. Default: 1."""
    address: str | None = None
    """Of the cluster. Default: `RAY_ADDRESS`, else the one that was started on this machine."""


def plan_workers(placement: Placement, *, may_be_held: bool = False) -> tuple[WorkerSlot, ...]:
    """Places for a sweep's workers.

    Args:
        placement: What is wanted.
        may_be_held: Also GPUs that another sweep on this machine has.

    Raises:
        InputError: It cannot be had, or says of a cluster what only this machine has, or the other way round.
        OwnedError: Other sweeps have all GPUs of this machine.
    """
    if placement.launcher not in LAUNCHERS:
        parse_launcher(placement.launcher, LAUNCHERS)  # a plugin's, or an error
    if placement.launcher == "ray":
        from sweeper.launch.ray import connect, read_nodes  # a heavy import, of an optional package

        _check_of_cluster(placement)
        connect(placement.address)
        return tuple(plan_cluster(placement, read_nodes()))
    for option, value in (("--address", placement.address), ("--worker-cpus", placement.worker_cpus)):
        if value is not None:
            raise InputError(f"{option}: given {value} with --launcher {placement.launcher}; allowed with: ray")
    devices = choose_devices(placement.devices, may_be_held=may_be_held)
    n_workers = 1 if placement.launcher == "inline" else placement.workers
    return tuple(plan_slots(devices, n_workers=n_workers, per_gpu=placement.per_gpu))


def _check_of_cluster(placement: Placement) -> None:
    if placement.devices is not None and list(placement.devices) != ["cpu"]:
        given = ", ".join(placement.devices)
        raise InputError(f"--devices: given {given!r}; allowed with --launcher ray: cpu; Ray itself chooses the GPUs")
    if placement.per_gpu == AUTO:
        raise InputError("--per-gpu: given auto; allowed with --launcher ray: a number, which Ray places by")
    if placement.worker_cpus is not None and not 1 / _UNITS <= placement.worker_cpus < math.inf:
        raise InputError(f"--worker-cpus: given {placement.worker_cpus}; allowed: {1 / _UNITS} or more")


def plan_cluster(placement: Placement, nodes: Sequence[Mapping[str, float]]) -> list[WorkerSlot]:
    """Places for workers on a cluster: on GPUs where it has any, else on CPUs.

    Args:
        placement: What is wanted.
        nodes: What each node has in all: `CPU`, `GPU`.

    Raises:
        InputError: No number of workers is given, and the cluster has no room for one.
    """
    n_cpus = placement.worker_cpus or 1.0
    has_gpus = placement.devices is None and any(node.get("GPU", 0) for node in nodes)
    gpu_share = None
    if has_gpus:
        assert placement.per_gpu != AUTO
        gpu_share = _UNITS // placement.per_gpu / _UNITS  # rounded down: three thirds must not be more than one
    n_fit = sum(_n_fit(node, n_cpus, gpu_share) for node in nodes)
    n_workers = placement.workers or n_fit
    if not n_workers:
        needed = f"{n_cpus:g} CPUs" + (f" and {gpu_share:g} of a GPU" if gpu_share else "")
        raise InputError(
            f"--launcher ray: none of the cluster's {len(nodes)} nodes has room for a worker ({needed}); give fewer "
            "--worker-cpus, or --workers to wait until a node comes"
        )
    return [
        WorkerSlot(
            index=i,
            device="cuda:0" if has_gpus else "cpu",  # a worker sees the GPU alone that Ray gave it
            n_threads=max(1, int(n_cpus)),
            n_cpus=n_cpus,
            gpu_share=gpu_share,
        )
        for i in range(n_workers)
    ]


def _n_fit(node: Mapping[str, float], n_cpus: float, gpu_share: float | None) -> int:
    of_cpus = int(node.get("CPU", 0) / n_cpus)
    return of_cpus if gpu_share is None else min(of_cpus, int(node.get("GPU", 0)) * int(1 / gpu_share))
