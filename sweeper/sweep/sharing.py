"""How many workers share a GPU: as many as the memory of its first trial lets fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sweeper.launch.launcher import WorkerSlot
from sweeper.launch.messages import EpochDone

__all__ = ["Sharing"]

MARGIN = 1.5
"""What a trial may need more than the one that was measured, before it outgrows its share."""
CONTEXT_BYTES = 600 << 20
"""What CUDA and its libraries take in each process, beside the tensors that torch counts."""


class Sharing:
    """Keeps account of the workers on each GPU. Those in reserve are opened once a first trial was measured.

    Args:
        slots: All places for workers.
    """

    def __init__(self, slots: Sequence[WorkerSlot]) -> None:
        self._slots = slots
        self._reserve: dict[str, list[int]] = {}
        self._n_open: dict[str, int] = {}
        for slot in slots:
            if slot.is_reserve:
                self._reserve.setdefault(slot.device, []).append(slot.index)
            else:
                self._n_open[slot.device] = self._n_open.get(slot.device, 0) + 1

    @property
    def n_open(self) -> Mapping[str, int]:
        """Workers on each device, without those in reserve."""
        return self._n_open

    def share_of(self, worker: int) -> float | None:
        """The part of its GPU's memory that a worker may use, above 0 and below 1; None where it has it for itself, or
        has none."""
        slot = self._slots[worker]
        if slot.gpu_share is not None:
            return slot.gpu_share if slot.gpu_share < 1.0 else None
        n_open = self._n_open[slot.device]
        return None if slot.gpu is None or n_open == 1 else 1.0 / n_open

    def measured(self, event: EpochDone) -> list[int]:
        """Learn from a trial's epoch what trials take. Returns the workers in reserve that fit beside it and are now
        open: those on its GPU, once."""
        slot = self._slots[event.worker]
        reserve = self._reserve.get(slot.device)
        if not reserve or event.peak_bytes is None or slot.gpu is None or slot.gpu.memory_bytes is None:
            return []
        del self._reserve[slot.device]
        n_fit = int(slot.gpu.memory_bytes // (MARGIN * event.peak_bytes + CONTEXT_BYTES))
        opened = reserve[: max(0, n_fit - self._n_open[slot.device])]
        self._n_open[slot.device] += len(opened)
        return opened
