"""Learning rates as functions of the step. A function has no state that a checkpoint could lose."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from sweeper.study.config import (
    ConstantScheduleConfig,
    CosineScheduleConfig,
    OneCycleScheduleConfig,
    ScheduleConfig,
    StepScheduleConfig,
    registration_of,
)

__all__ = ["Schedule", "build_schedule"]

Schedule: TypeAlias = Callable[[int], float]
"""Learning rate at a step, counted from 0 over all epochs."""


def build_schedule(config: ScheduleConfig, *, lr: float, epochs: int, steps_per_epoch: int) -> Schedule:
    """Build the schedule of a training of `epochs` times `steps_per_epoch` steps with the learning rate `lr`."""
    n_steps = epochs * steps_per_epoch
    if isinstance(config, ConstantScheduleConfig):
        return lambda step: lr
    if isinstance(config, StepScheduleConfig):
        return _step(config, lr, steps_per_epoch)
    if isinstance(config, CosineScheduleConfig):
        return _cosine(config, lr, n_steps, config.warmup_epochs * steps_per_epoch)
    custom = registration_of(config)
    if custom is not None:
        return lambda step: lr * float(custom.call(config, step, n_steps))
    assert isinstance(config, OneCycleScheduleConfig)
    return _one_cycle(config, lr, n_steps)


def _step(config: StepScheduleConfig, lr: float, steps_per_epoch: int) -> Schedule:
    return lambda step: lr * config.factor ** (step // steps_per_epoch // config.every)


def _cosine(config: CosineScheduleConfig, lr: float, n_steps: int, n_warmup_steps: int) -> Schedule:
    """Loshchilov and Hutter 2017, without restarts. As in torch's CosineAnnealingLR, `final` is reached after the last
    step, so that no step is spent on a rate of 0; warm-up begins one step above 0 for the same reason."""

    def rate(step: int) -> float:
        if step < n_warmup_steps:
            return lr * (step + 1) / n_warmup_steps
        progress = (step - n_warmup_steps) / (n_steps - n_warmup_steps)
        return _half_cosine(lr, lr * config.final, progress)

    return rate


def _one_cycle(config: OneCycleScheduleConfig, lr: float, n_steps: int) -> Schedule:
    """Smith and Topin 2019, as torch's OneCycleLR with its two half cosines; momentum stays as it is."""
    initial = lr * config.initial
    final = initial * config.final
    last = n_steps - 1
    peak = max(config.warmup * n_steps - 1, 0.0)  # a step, not always a whole one

    def rate(step: int) -> float:
        if step < peak:
            return _half_cosine(initial, lr, step / peak)
        return _half_cosine(lr, final, (step - peak) / ((last - peak) or 1.0))

    return rate


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * progress)) / 2.0
