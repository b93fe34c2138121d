"""GPUs that need not be there: which are found, and who has them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.errors import OwnedError
from sweeper.launch import gpus
from sweeper.launch.gpus import Gpu, find_gpus, hold_gpus, is_held, number_gpus_by_bus

FOUR = [Gpu(index=i, uuid=f"GPU-{letter}{i}", name="A100", memory_bytes=i << 30) for i, letter in enumerate("abcd")]


def found(visible: str | None) -> list[str]:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    result = find_gpus(environ, lambda: FOUR)
    assert [gpu.device for gpu in result] == [f"cuda:{i}" for i in range(len(result))]
    return [gpu.uuid for gpu in result]


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, [0, 1, 2, 3]),
        ("2,3", [2, 3]),
        ("3, 0", [3, 0]),
        ("GPU-c,GPU-a0", [2, 0]),
        ("", []),
        ("-1", []),
        ("1,9,2", [1]),
        ("1,1,2", [1]),
        ("GPU-", []),
    ],
)
def test_gpus_that_are_left_visible(visible: str | None, expected: list[int]) -> None:
    assert found(visible) == [FOUR[i].uuid for i in expected]


def test_a_slice_of_a_gpu() -> None:
    assert found("MIG-0f8e") == ["MIG-0f8e"]


def test_a_machine_without_the_driver_library_has_none() -> None:
    assert find_gpus({}) == [] or find_gpus({})[0].memory_bytes


def test_gpus_are_numbered_as_by_nvidia_smi_unless_the_user_says_otherwise() -> None:
    assert number_gpus_by_bus({}) == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert number_gpus_by_bus({"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}) == {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))


def test_a_gpu_is_one_sweep_s_at_a_time() -> None:
    with hold_gpus([FOUR[0], FOUR[1], FOUR[0]], "first"):
        assert [is_held(gpu) for gpu in FOUR] == [True, True, False, False]
        taken = rf"GPU 1 \(A100, GPU-b1\) is taken by the sweep of 'first', pid {os.getpid()}; choose others"
        with pytest.raises(OwnedError, match=taken), hold_gpus([FOUR[2], FOUR[1]], "second"):
            pass
        assert not is_held(FOUR[2]), "what it had taken before it was refused"
        with hold_gpus([FOUR[3]], "third"):
            assert is_held(FOUR[3])
    assert not any(map(is_held, FOUR))


HOLDER = """
import sys, tempfile, time
tempfile.gettempdir = lambda: sys.argv[1]
from sweeper.launch.gpus import Gpu, hold_gpus
with hold_gpus([Gpu(index=0, uuid="GPU-a0")], "first"):
    print("held", flush=True)
    time.sleep(100)
"""


def test_a_sweep_that_is_killed_has_no_gpu_any_more(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert is_held(FOUR[0])
    process.kill()
    process.wait()
    assert not is_held(FOUR[0])
