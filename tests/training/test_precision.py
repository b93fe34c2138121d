"""Networks that compute with fewer digits: they learn as well, and nothing else of a training has fewer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from sweeper.data.dataset import Dataset
from sweeper.errors import TrialError
from sweeper.study.config import TrialConfig
from sweeper.training.loop import Training
from sweeper.training.precision import forward_in, use_precision

CPU = torch.device("cpu")
MakeConfig = Callable[..., TrialConfig]
CNN = {"name": "cnn", "blocks": [{"channels": 8, "padding": 1}, {"channels": 16, "padding": 1}]}


@pytest.fixture(autouse=True)
def setting() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("model", [{"name": "mlp", "hidden": [64]}, CNN], ids=["mlp", "cnn"])
def test_half_of_the_bits_learn_digits_too(digits: Dataset, make_config: MakeConfig, model: dict[str, object]) -> None:
    trainings = {
        precision: Training(config=make_config(model=model, epochs=6, precision=precision), dataset=digits, device=CPU)
        for precision in ("float32", "bfloat16")
    }
    last = {precision: list(training.epochs())[-1].values for precision, training in trainings.items()}
    assert last["bfloat16"]["val/accuracy"] > 0.93
    assert last["bfloat16"]["train/loss"] != last["float32"]["train/loss"]
    weights = [tensor for tensor in trainings["bfloat16"].model_state_dict().values() if tensor.is_floating_point()]
    assert {tensor.dtype for tensor in weights} == {torch.float32}


def test_products_alone_have_fewer_bits() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 6), nn.LayerNorm(6), nn.Linear(6, 3))
    seen: list[torch.dtype] = []
    for layer in model:
        layer.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    inputs = torch.rand(5, 8)
    outputs = forward_in(model, "bfloat16")(inputs)
    assert seen[0] == seen[2] == torch.bfloat16
    assert outputs.dtype == torch.float32
    outputs.sum().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())
    torch.testing.assert_close(outputs, model(inputs), atol=0.05, rtol=0.05)
    assert not torch.equal(outputs, model(inputs))
    assert forward_in(model, "float32") is model


def test_a_setting_does_not_outlive_its_training(digits: Dataset, make_config: MakeConfig) -> None:
    for precision, setting in (("tf32", "high"), ("float32", "highest"), ("tf32", "high"), ("bfloat16", "highest")):
        Training(config=make_config(precision=precision), dataset=digits, device=CPU)
        assert torch.get_float32_matmul_precision() == setting


def test_a_device_without_it_is_refused() -> None:
    with pytest.raises(TrialError, match=r"precision bfloat16 on cuda:1, .*; allowed there: float32, tf32"):
        use_precision("bfloat16", torch.device("cuda:1"), has=lambda device: False)
    use_precision("tf32", torch.device("cuda:1"), has=lambda device: False)


def test_numpy_has_full_precision_alone(make_config: MakeConfig) -> None:
    with pytest.raises(ValidationError, match="given bfloat16 with the backend numpy; allowed: float32"):
        make_config(backend="numpy", precision="bfloat16")
