"""Places for workers, planned for devices that need not be there."""

from __future__ import annotations

import pytest

from sweeper.errors import InputError, OwnedError
from sweeper.launch import devices
from sweeper.launch.devices import CPU, Device, PerGpu, choose_devices, find_devices, plan_slots
from sweeper.launch.gpus import Gpu


def gpu_devices(n: int) -> list[Device]:
    return [Device(name=f"cuda:{i}", gpu=Gpu(index=i, uuid=f"GPU-{i}", memory_bytes=8 << 30)) for i in range(n)]


def test_this_machine() -> None:
    assert find_devices()


def test_a_machine_without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "find_gpus", lambda environ: [])
    assert find_devices({}) == [CPU]
    monkeypatch.setattr(devices.sys, "platform", "darwin")
    monkeypatch.setattr(devices.platform, "machine", lambda: "arm64")
    assert find_devices({}) == [Device(name="mps")]


def test_devices_are_chosen_by_name() -> None:
    found = gpu_devices(3)
    assert choose_devices(["cuda:2", "cuda:0", "cuda:2"], found=found) == [found[2], found[0]]
    assert choose_devices(["cpu"], found=found) == [CPU]
    for wrong in (["cuda:3"], ["gpu"], []):
        with pytest.raises(InputError, match=r"--devices: given .*; allowed: cuda:0, cuda:1, cuda:2, cpu"):
            choose_devices(wrong, found=found)


def test_gpus_that_other_sweeps_have_are_left_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    found = gpu_devices(2)
    monkeypatch.setattr(devices, "is_held", lambda gpu: gpu.uuid == "GPU-0")
    assert choose_devices(None, found=found) == [found[1]]
    assert choose_devices(None, found=found, may_be_held=True) == found
    assert choose_devices(["cuda:0"], found=found) == [found[0]]  # refused when the sweep begins, with who has it
    monkeypatch.setattr(devices, "is_held", lambda gpu: True)
    with pytest.raises(OwnedError, match=r"have all GPUs \(cuda:0, cuda:1\); wait for them, or .*--devices cpu"):
        choose_devices(None, found=found)
    assert choose_devices(None, found=[CPU]) == [CPU]


def places(n_workers: int | None, *, gpus: int = 0, per_gpu: PerGpu = 1, n_cpus: int = 8) -> list[tuple[int, str, int]]:
    slots = plan_slots(gpu_devices(gpus) or [CPU], n_workers=n_workers, per_gpu=per_gpu, n_cpus=n_cpus)
    return [(slot.index, slot.device, slot.n_threads) for slot in slots]


def test_one_worker_a_gpu() -> None:
    assert places(None, gpus=2) == [(0, "cuda:0", 4), (1, "cuda:1", 4)]


def test_several_workers_a_gpu_are_spread_evenly() -> None:
    assert [device for _, device, _ in places(None, gpus=2, per_gpu=2)] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert [device for _, device, _ in places(3, gpus=2, per_gpu=2)] == ["cuda:0", "cuda:1", "cuda:0"]


def test_more_workers_than_places_on_gpus() -> None:
    with pytest.raises(InputError, match=r"--workers: given 3; allowed: at most 2 .*--per-gpu"):
        places(3, gpus=2)


def test_all_but_one_a_gpu_wait_until_it_is_known_how_many_fit() -> None:
    slots = plan_slots(gpu_devices(2), n_workers=None, per_gpu="auto", n_cpus=6)
    assert [(slot.device, slot.is_reserve) for slot in slots] == [
        *((device, False) for device in ("cuda:0", "cuda:1")),
        *((device, True) for _ in range(2) for device in ("cuda:0", "cuda:1")),
    ]
    assert len(plan_slots(gpu_devices(1), n_workers=None, per_gpu="auto", n_cpus=64)) == devices.MAX_PER_GPU
    assert not any(slot.is_reserve for slot in plan_slots([CPU], n_workers=None, per_gpu="auto", n_cpus=4))


def test_cpus_are_shared() -> None:
    assert places(None, n_cpus=8) == [(i, "cpu", 2) for i in range(4)]
    assert places(None, n_cpus=2) == [(0, "cpu", 1), (1, "cpu", 1)]
    assert places(3, n_cpus=8) == [(i, "cpu", 2) for i in range(3)]
    assert places(4, n_cpus=2) == [(i, "cpu", 1) for i in range(4)]
