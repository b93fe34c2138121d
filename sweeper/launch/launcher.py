"""The launcher protocol: places workers and carries orders to them and events from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sweeper.launch.gpus import Gpu
from sweeper.launch.messages import Attempt, Event

__all__ = ["Launcher", "WorkerSlot"]


@dataclass(frozen=True, kw_only=True)
class WorkerSlot:
    """A place for one worker."""

    index: int
    device: str
    """`cpu`, `cuda:0`, `mps`."""
    n_threads: int
    """Threads that computation on the CPU may use."""
    gpu: Gpu | None = None
    """Of an NVIDIA GPU."""
    is_reserve: bool = False
    """Whether its worker is started by `restart` alone, once it is known to fit."""
    n_cpus: float | None = None
    """CPUs that a cluster keeps for it, above 0. None on this machine, which keeps none."""
    gpu_share: float | None = None
    """Part of a GPU that a cluster keeps for it, above 0 and at most 1; also the part of its memory. None where it
    needs no GPU, or has one of this machine."""


class Launcher(Protocol):
    """Workers in a driver's hand. All calls come from the driver's thread."""

    slots: Sequence[WorkerSlot]

    def start(self) -> None:
        """Start a worker in each slot but those in reserve. Each sends `WorkerReady` when it can be given a trial."""

    def submit(self, worker: int, attempt: Attempt) -> None:
        """Give a trial to a worker that has none."""

    def prune(self, worker: int, number: int) -> None:
        """Tell a worker to end its trial as pruned."""

    def proceed(self, worker: int, number: int, epoch: int) -> None:
        """Tell a worker that its trial is not pruned for the values up to an epoch."""

    def stop(self, worker: int) -> None:
        """Tell a worker to finish its epoch, make a checkpoint and leave its trial."""

    def restart(self, worker: int) -> None:
        """Start a worker in a slot that has none: it has died, or was in reserve."""

    def poll(self, timeout_seconds: float) -> list[Event]:
        """The events since the last call; waits up to the timeout for the first one."""

    def close(self, *, kill: bool = False) -> None:
        """End all workers; with `kill` without waiting for anything."""
