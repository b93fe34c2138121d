"""Schedules against their closed forms and torch's own."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch.optim import lr_scheduler

from sweeper.study.config import ScheduleConfig
from sweeper.training.schedules import build_schedule

LR = 0.4
EPOCHS = 6
STEPS = 5


def rates(raw: dict[str, Any], epochs: int = EPOCHS, steps: int = STEPS) -> list[float]:
    config = TypeAdapter(ScheduleConfig).validate_python(raw)
    schedule = build_schedule(config, lr=LR, epochs=epochs, steps_per_epoch=steps)
    return [schedule(step) for step in range(epochs * steps)]


def torch_rates(build: Any, n_steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = build(optimizer)
    seen = []
    for _ in range(n_steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_constant() -> None:
    assert set(rates({"name": "constant"})) == {LR}


def test_step_drops_every_so_many_epochs() -> None:
    expected = [LR * 0.5 ** (epoch // 2) for epoch in range(EPOCHS) for _ in range(STEPS)]
    assert rates({"name": "step", "every": 2, "factor": 0.5}) == pytest.approx(expected)


def test_cosine_without_warmup() -> None:
    n = EPOCHS * STEPS
    expected = [0.04 + (LR - 0.04) * (1 + math.cos(math.pi * step / n)) / 2 for step in range(n)]
    assert rates({"name": "cosine", "final": 0.1}) == pytest.approx(expected)
    own = torch_rates(lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, n, eta_min=0.04), n)
    assert rates({"name": "cosine", "final": 0.1}) == pytest.approx(own)


def test_cosine_warms_up_linearly_to_its_peak() -> None:
    seen = rates({"name": "cosine", "warmup_epochs": 2})
    assert seen[:10] == pytest.approx([LR * (step + 1) / 10 for step in range(10)])
    assert seen[10] == LR
    assert seen[10:] == pytest.approx([LR * (1 + math.cos(math.pi * step / 20)) / 2 for step in range(20)])
    assert min(seen) > 0.0


@pytest.mark.parametrize("warmup", [0.3, 0.15, 0.7])
@pytest.mark.parametrize("n_steps", [10, 30, 31])
def test_one_cycle_is_torchs(warmup: float, n_steps: int) -> None:
    own = torch_rates(
        lambda optimizer: lr_scheduler.OneCycleLR(
            optimizer, LR, n_steps, pct_start=warmup, cycle_momentum=False, div_factor=25, final_div_factor=1e4
        ),
        n_steps,
    )
    assert rates({"name": "one_cycle", "warmup": warmup}, 1, n_steps) == pytest.approx(own)


@pytest.mark.parametrize("n_steps", [1, 2, 3])
@pytest.mark.parametrize("raw", [{"name": "one_cycle"}, {"name": "cosine"}, {"name": "step", "every": 1}])
def test_the_shortest_trainings_have_rates_in_range(raw: dict[str, Any], n_steps: int) -> None:
    assert all(0.0 < rate <= LR for rate in rates(raw, 1, n_steps))
