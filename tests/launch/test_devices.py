"""Places for workers, planned for devices that need not be there."""

from __future__ import annotations

import pytest

from sweeper.errors import InputError
from sweeper.launch import devices
from sweeper.launch.devices import find_devices, plan_slots


def test_gpus_that_are_left_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_count_nvidia_gpus", lambda: 4)
    assert find_devices({}) == ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]
    assert find_devices({"CUDA_VISIBLE_DEVICES": "2,3"}) == ["cuda:0", "cuda:1"]
    assert find_devices({"CUDA_VISIBLE_DEVICES": ""}) == ["cpu"]
    assert find_devices({"CUDA_VISIBLE_DEVICES": "-1"}) == ["cpu"]


def test_a_machine_without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_count_nvidia_gpus", lambda: 0)
    assert find_devices({}) == ["cpu"]


def test_this_machine() -> None:
    assert find_devices()


def places(n_workers: int | None, *, gpus: int = 0, per_gpu: int = 1, n_cpus: int = 8) -> list[tuple[int, str, int]]:
    names = [f"cuda:{i}" for i in range(gpus)] or ["cpu"]
    slots = plan_slots(names, n_workers=n_workers, per_gpu=per_gpu, n_cpus=n_cpus)
    return [(slot.index, slot.device, slot.n_threads) for slot in slots]


def test_one_worker_a_gpu() -> None:
    assert places(None, gpus=2) == [(0, "cuda:0", 4), (1, "cuda:1", 4)]


def test_several_workers_a_gpu_are_spread_evenly() -> None:
    assert [device for _, device, _ in places(None, gpus=2, per_gpu=2)] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert [device for _, device, _ in places(3, gpus=2, per_gpu=2)] == ["cuda:0", "cuda:1", "cuda:0"]


def test_more_workers_than_places_on_gpus() -> None:
    with pytest.raises(InputError, match=r"--workers: given 3; allowed: at most 2 .*--per-gpu"):
        places(3, gpus=2)


def test_cpus_are_shared() -> None:
    assert places(None, n_cpus=8) == [(i, "cpu", 2) for i in range(4)]
    assert places(None, n_cpus=2) == [(0, "cpu", 1), (1, "cpu", 1)]
    assert places(3, n_cpus=8) == [(i, "cpu", 2) for i in range(3)]
    assert places(4, n_cpus=2) == [(i, "cpu", 1) for i in range(4)]
