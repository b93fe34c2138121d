"""Optimizers take one step as torch's plain loops do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn, optim

from sweeper.study.config import OptimizerConfig
from sweeper.training.optimizers import build_optimizer

CASES: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "adam": (
        {"name": "adam", "lr": 0.01, "weight_decay": 0.1, "betas": [0.8, 0.9]},
        optim.Adam,
        {"lr": 0.01, "weight_decay": 0.1, "betas": (0.8, 0.9)},
    ),
    "adamw": ({"name": "adamw", "lr": 0.01, "weight_decay": 0.1}, optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    "sgd": (
        {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        optim.SGD,
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ),
    "rmsprop": (
        {"name": "rmsprop", "lr": 0.01, "alpha": 0.9, "momentum": 0.5, "weight_decay": 0.1},
        optim.RMSprop,
        {"lr": 0.01, "alpha": 0.9, "momentum": 0.5, "weight_decay": 0.1},
    ),
}


@pytest.mark.parametrize(("raw", "kind", "options"), CASES.values(), ids=CASES.keys())
def test_steps_are_torchs(raw: dict[str, Any], kind: Any, options: dict[str, Any]) -> None:
    config = TypeAdapter(OptimizerConfig).validate_python(raw)
    ours, theirs = nn.Parameter(torch.linspace(-1, 1, 5)), nn.Parameter(torch.linspace(-1, 1, 5))
    optimizer, reference = build_optimizer(config, [ours]), kind([theirs], foreach=False, **options)
    assert type(optimizer) is kind
    for step in range(4):
        ours.grad = torch.linspace(0.5, -1, 5) * step
        theirs.grad = ours.grad.clone()
        optimizer.step()
        reference.step()
    torch.testing.assert_close(ours, theirs)
