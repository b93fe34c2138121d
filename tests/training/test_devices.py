"""Names of devices."""

from __future__ import annotations

import pytest
import torch

from sweeper.errors import InputError
from sweeper.training.devices import available_devices, place_model, resolve_device, set_threads, synchronize

FAKES = ("cpu", "cuda:0", "cuda:1", "mps")


@pytest.mark.parametrize(("name", "device"), [*((name, name) for name in FAKES), ("cuda", "cuda:0")])
def test_devices_that_are_there(name: str, device: str) -> None:
    assert resolve_device(name, available=FAKES) == torch.device(device)


@pytest.mark.parametrize("name", ["cuda:2", "gpu", "", "cuda:x", "CPU"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(InputError, match=f"device '{name}' is not available; available: cpu, cuda:0, cuda:1, mps"):
        resolve_device(name, available=FAKES)


def test_the_cpu_is_always_there() -> None:
    assert available_devices()[0] == "cpu"
    device = resolve_device("cpu")
    assert device.type == "cpu"
    synchronize(device)


def test_threads_are_set() -> None:
    before = torch.get_num_threads()
    set_threads(1)
    assert torch.get_num_threads() == 1
    set_threads(before)


def test_a_model_placed_on_the_cpu_computes_the_same() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8 * 36, 2))
    images_NCHW = torch.rand(4, 3, 8, 8)
    expected = model(images_NCHW)
    torch.testing.assert_close(place_model(model, torch.device("cpu"))(images_NCHW), expected)
