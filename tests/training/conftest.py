"""Small data sets and configurations to train on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits

from sweeper.data.dataset import Dataset, Split
from sweeper.study.config import TrialConfig


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """scikit-learn's 8×8 digits: 1,200 for training, 297 for validation, 300 for test."""
    pictures, labels = load_digits(return_X_y=True)
    images_NCHW = torch.tensor(pictures * (255 / 16), dtype=torch.uint8).reshape(-1, 1, 8, 8)
    labels_N = torch.tensor(labels, dtype=torch.int64)
    order_N = torch.randperm(len(labels_N), generator=torch.Generator().manual_seed(0))

    def part(begin: int, end: int) -> Split:
        return Split(images_NCHW=images_NCHW, labels_N=labels_N, indices_M=order_N[begin:end].sort().values)

    train = part(0, 1200)
    seen = images_NCHW[train.indices_M] / 255
    return Dataset(
        name="digits",
        class_names=tuple(str(digit) for digit in range(10)),
        train=train,
        validation=part(1200, 1497),
        test=part(1497, 1797),
        mean_C=seen.mean().reshape(1),
        deviation_C=seen.std().reshape(1),
        fingerprint="digits",
    )


@pytest.fixture
def make_config() -> Callable[..., TrialConfig]:
    """Builds a trial of a small MLP on digits; keywords replace parts of `training`, `model` and `seed` the rest."""

    def make(*, model: Any = None, seed: int = 0, data: Any = None, **training: Any) -> TrialConfig:
        defaults = {"epochs": 3, "batch_size": 32, "optimizer": {"name": "adam", "lr": 3e-3}}
        return TrialConfig.model_validate(
            {
                "data": {"name": "digits", **(data or {})},
                "model": model or {"name": "mlp", "hidden": [32]},
                "training": defaults | training,
                "seed": seed,
            }
        )

    return make
