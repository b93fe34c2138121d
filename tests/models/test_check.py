"""Shape inference agrees with torch, and says in words what does not fit."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.errors import InputError
from sweeper.models.check import feature_shape, model_fault
from sweeper.models.networks import build_model
from sweeper.study.config import (
    AutoencoderConfig,
    BlockConfig,
    CNNConfig,
    LogisticConfig,
    MLPConfig,
    TorchvisionConfig,
)

BLOCKS = st.builds(
    BlockConfig,
    channels=st.integers(1, 3),
    kernel=st.integers(1, 7),
    padding=st.integers(0, 4),
    pool=st.integers(1, 4),
)


@settings(deadline=None, max_examples=200)
@given(
    blocks=st.lists(BLOCKS, min_size=1, max_size=3),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 16), st.integers(1, 16)),
    batch_norm=st.booleans(),
    batch_size=st.integers(1, 2),
)
def test_a_fault_is_found_exactly_where_torch_fails(
    blocks: list[BlockConfig], shape: tuple[int, int, int], batch_norm: bool, batch_size: int
) -> None:
    config = CNNConfig(blocks=tuple(blocks), batch_norm=batch_norm)
    fault = model_fault(config, shape, batch_size=batch_size)
    try:
        model = build_model(config, input_shape=shape, n_outputs=2, log_probabilities=False)
        features_NF = model[: len(blocks) + 1](torch.rand(batch_size, *shape))
    except (InputError, RuntimeError, ValueError):
        assert fault is not None
    else:
        assert fault is None
        channels, height, width = feature_shape(config, shape)
        assert features_NF.shape == (batch_size, channels * height * width)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (({"channels": 2, "kernel": 9},), "block 1: a picture of 8×8 is smaller than the kernel of 9"),
        (
            ({"channels": 2}, {"channels": 2, "kernel": 6, "padding": 1}),
            "block 2: a picture of 3×3 with its padding of 1 is smaller than the kernel of 6",
        ),
        (({"channels": 2, "pool": 7},), "block 1: a picture of 6×6 is smaller than the pooling window of 7"),
    ],
)
def test_faults_in_words(blocks: tuple[dict[str, int], ...], message: str) -> None:
    assert model_fault(CNNConfig(blocks=blocks), (1, 8, 8)) == message  # type: ignore[arg-type]


def test_batch_norm_needs_two_values() -> None:
    one_by_one = CNNConfig(blocks=(BlockConfig(channels=2, kernel=8, pool=1),))
    assert model_fault(one_by_one, (1, 8, 8), batch_size=2) is None
    assert "block 1: a batch size of 1" in (model_fault(one_by_one, (1, 8, 8), batch_size=1) or "")
    assert model_fault(CNNConfig(blocks=(BlockConfig(channels=2),)), (1, 8, 8), batch_size=1) is None
    assert "batch size of 1" in (model_fault(MLPConfig(hidden=(4,), batch_norm=True), (1, 8, 8), batch_size=1) or "")
    assert model_fault(MLPConfig(hidden=(4, 3), batch_norm=(False, False)), (1, 8, 8), batch_size=1) is None
    assert model_fault(LogisticConfig(), (1, 8, 8), batch_size=1) is None


@pytest.mark.parametrize("batch_norm", [True, (False, True)])
def test_batch_norm_of_a_head_on_a_backbone_needs_two_values(batch_norm: bool | tuple[bool, ...]) -> None:
    config = TorchvisionConfig(network="mobilenet_v2", hidden=(8, 4), batch_norm=batch_norm)
    assert "batch size of 1" in (model_fault(config, (3, 64, 64), batch_size=1) or "")
    assert model_fault(config, (3, 64, 64), batch_size=2) is None


def test_pretrained_weights_need_three_channels() -> None:
    fault = model_fault(TorchvisionConfig(network="mobilenet_v2"), (1, 28, 28))
    assert fault == "mobilenet_v2 with weights imagenet takes pictures of 3 channels, not 1"
    drawn = TorchvisionConfig(network="mobilenet_v2", weights="none", frozen=False)
    assert model_fault(drawn, (3, 28, 28)) is None


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 9, 5)])
def test_an_autoencoder_takes_any_picture(shape: tuple[int, int, int]) -> None:
    config = AutoencoderConfig(hidden=(7, 3), bottleneck=1)
    assert model_fault(config, shape, batch_size=1) is None
    assert build_model(config, input_shape=shape, n_outputs=0)(torch.rand(2, *shape)).shape == (2, *shape)


def test_checking_imports_no_torch() -> None:
    code = "import sys, sweeper.models.check; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
