"""GPUs that several workers share: how many, what one of them may use, and who is given one alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sweeper.launch import gpus
from sweeper.launch.devices import Device, plan_slots
from sweeper.launch.gpus import Gpu
from sweeper.launch.launcher import WorkerSlot
from sweeper.launch.messages import Attempt, AttemptEnded, EpochDone, Event
from sweeper.study.study import Study
from sweeper.sweep import start
from sweeper.sweep.api import SilentView
from sweeper.sweep.sharing import CONTEXT_BYTES, MARGIN, Sharing
from sweeper.tracking.memory import MemoryTracker
from sweeper.tracking.workspace import Workspace
from tests.sweep.studies import study_dict
from tests.sweep.test_driver import EmptyLauncher

GIB = 1 << 30
FITS_THREE = int((24 * GIB / 3 - CONTEXT_BYTES) / MARGIN)
"""What a trial takes of which three fit on a GPU of 24 GiB."""


def slots_on(n_gpus: int, *, per_gpu: int | None = None) -> list[WorkerSlot]:
    devices = [
        Device(name=f"cuda:{i}", gpu=Gpu(index=i, uuid=f"GPU-{i}", memory_bytes=24 * GIB)) for i in range(n_gpus)
    ]
    return plan_slots(devices, n_workers=None, per_gpu=per_gpu or "auto", n_cpus=8)


def epoch_done(worker: int, peak_bytes: int | None, *, number: int = 0) -> EpochDone:
    return EpochDone(
        worker=worker,
        number=number,
        epoch=1,
        value=0.5,
        objective=0.5,
        pictures_per_second=1.0,
        peak_bytes=peak_bytes,
    )


def test_the_first_epoch_on_a_gpu_says_how_many_fit() -> None:
    sharing = Sharing(slots_on(2))
    assert sharing.n_open == {"cuda:0": 1, "cuda:1": 1}
    assert sharing.share_of(0) is None
    assert sharing.measured(epoch_done(0, FITS_THREE)) == [2, 4]
    assert sharing.share_of(0) == pytest.approx(1 / 3)
    assert sharing.share_of(1) is None
    assert sharing.measured(epoch_done(2, 1)) == [], "it was measured once"
    assert sharing.measured(epoch_done(1, 20 * GIB)) == []
    assert sharing.n_open == {"cuda:0": 3, "cuda:1": 1}


def test_where_nothing_can_be_measured_nothing_is_opened() -> None:
    sharing = Sharing(slots_on(1))
    assert sharing.measured(epoch_done(0, None)) == []
    assert sharing.n_open == {"cuda:0": 1}


def test_a_number_of_workers_that_is_given_is_kept() -> None:
    sharing = Sharing(slots_on(2, per_gpu=2))
    assert sharing.measured(epoch_done(0, 1)) == []
    assert [sharing.share_of(worker) for worker in range(4)] == [0.5] * 4
    assert Sharing([WorkerSlot(index=i, device="cpu", n_threads=1) for i in range(2)]).share_of(0) is None


class GpuLauncher(EmptyLauncher):
    """Workers on GPUs that are not there: each call of `poll` is a moment, in which the attempts that were there before
    report an epoch, or end.

    Args:
        slots: Places for workers.
        needs: How many GiB a trial takes, by its number.
    """

    def __init__(self, slots: Sequence[WorkerSlot], needs: Callable[[int], float]) -> None:
        super().__init__([])
        self.slots = slots
        self.shares: list[tuple[int, str, float | None]] = []
        """Of each attempt: trial, device, part of its memory."""
        self.beside: dict[int, set[int]] = {}
        """By trial: what else was on its GPU in its first epoch."""
        self._needs = needs
        self._running: dict[int, Attempt] = {}

    def start(self) -> None:
        for slot in self.slots:
            if not slot.is_reserve:
                self.say_ready(slot)

    def restart(self, worker: int) -> None:
        self.say_ready(self.slots[worker])

    def submit(self, worker: int, attempt: Attempt) -> None:
        self._running[worker] = attempt
        self.shares.append((attempt.number, self.slots[worker].device, attempt.memory_share))

    def poll(self, timeout_seconds: float) -> list[Event]:
        events, self._events = self._events, []
        for worker, attempt in list(self._running.items()):
            device = self.slots[worker].device
            there = {a.number for w, a in self._running.items() if self.slots[w].device == device}
            assert sum(a.memory_share or 0.0 for w, a in self._running.items() if self.slots[w].device == device) <= 1
            needs = self._needs(attempt.number)
            if attempt.memory_share is not None and needs > 24 * attempt.memory_share:
                del self._running[worker]
                events.append(AttemptEnded(worker=worker, number=attempt.number, how="outgrown", reason="too much"))
            elif attempt.number not in self.beside:
                self.beside[attempt.number] = there - {attempt.number}
                events.append(epoch_done(worker, int(needs * GIB), number=attempt.number))
            else:
                del self._running[worker]
                events.append(self.complete(worker, attempt))
        return events


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))


def sweep(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, launcher: GpuLauncher, n_trials: int) -> list[str]:
    """Returns what the driver said."""
    said: list[str] = []

    class Listener(SilentView):
        def message(self, text: str) -> None:
            said.append(text)

    monkeypatch.setattr(start, "_build_launcher", lambda *_: launcher)
    name = start.prepare(workspace, Study.model_validate(study_dict(trials=n_trials, epochs=4)))
    options = start.SweepOptions(slots=tuple(launcher.slots))
    result = start.drive(workspace, name, options=options, view=Listener(), connect=MemoryTracker)
    assert result.finished
    return said


def test_workers_are_added_until_the_gpu_is_full(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = GpuLauncher(slots_on(1), lambda number: FITS_THREE / GIB)
    assert sweep(workspace, monkeypatch, launcher, n_trials=9) == []
    assert launcher.shares[0] == (0, "cuda:0", None), "the first is measured"
    assert {share for _, _, share in launcher.shares[1:]} == {1 / 3}
    assert len(launcher.shares) == 9


def test_a_trial_that_outgrows_its_share_has_the_gpu_alone(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = {3, 4}
    launcher = GpuLauncher(slots_on(2, per_gpu=2), lambda number: 20.0 if number in big else 1.0)
    said = sweep(workspace, monkeypatch, launcher, n_trials=10)
    assert [text.split(" of cuda")[0] for text in said] == [f"trial {n} has outgrown its share" for n in (3, 4)]
    for number in big:
        assert [share for n, _, share in launcher.shares if n == number] == [0.5, None]
        assert launcher.beside[number] == set()
    assert all(share == 0.5 for n, _, share in launcher.shares if n not in big)
    assert len(launcher.shares) == 12
