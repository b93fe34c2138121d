"""A training loop of a plugin, behind the door through which an attempt drives sweeper's own (`training.loop`)."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sweeper.errors import DivergedError, InputError
from sweeper.places import Places
from sweeper.study.config import LoopTrialConfig, registration_of
from sweeper.training.epoch import EpochMetrics
from sweeper.training.memory import out_of_memory_is_infeasible
from sweeper.training.own_state import Kept
from sweeper.training.seeding import derive_seed, seed_generators, seeded

__all__ = ["LoopTraining", "Trial"]

_METRIC = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./ -]{0,249}")


class Trial:
    """What a training loop of your own is given: its trial.

    A loop takes it as its first argument, and yields the metrics of each epoch. It is stopped where it yields: when the
    trial is pruned, `GeneratorExit` is raised there, as by any generator that is closed.
    """

    def __init__(self, training: LoopTraining, *, number: int, folder: Path, artifacts: Path) -> None:
        self._training = training
        self.number = number
        """Of the trial in its study."""
        self.parameters: Any = training.config.loop
        """The loop's parameters, as fields."""
        self.seed = training.config.seed
        """Generators of torch, NumPy and `random` are seeded by it already, anew for each of `epochs`."""
        self.device = training.device
        """Where to train."""
        self.folder = folder
        """For files of the loop. It is there, also for the next attempt, and removed when the trial has ended."""
        self.artifacts = artifacts
        """Files that are put here are tracked with the run."""
        self.is_final = training.measure_test
        """Whether `sweeper finalize` trains it: then, and only then, metrics that begin with `test/` may be yielded."""
        self.cache_dir = None if training.places is None else training.places.cache_dir
        """For what can be made anew, shared by all trials of the machine."""
        self.data_dir = None if training.places is None else training.places.data_dir
        """`SWEEPER_DATA`, if it is set."""

    @property
    def should_stop(self) -> bool:
        """Whether the trial is pruned, for a long epoch that would rather not be trained to its end."""
        return self._training.should_stop()

    def keep(self, **objects: Any) -> None:
        """Say what a checkpoint holds, and have it back: each object is brought to where the last checkpoint left it.

        A loop that keeps nothing begins anew after it was interrupted.

        Args:
            **objects: Of torch (modules, optimizers, schedulers) or others with `state_dict` and `load_state_dict`,
                whose states are tensors, arrays and plain containers; or a path in `folder`, whose file is kept; it
                is not there without a checkpoint.

        Raises:
            InputError: An object is neither.
        """
        self._training.kept.add(objects)

    def epochs(self, n: int) -> Iterator[int]:
        """The epochs that are left, from 1 to `n`: all of them, or those after the last checkpoint. Each begins with
        generators seeded by the trial's seed and its number, so that one that is repeated draws the same.
        """
        for epoch in range(self._training.epoch + 1, n + 1):
            self._training.seed_epoch(epoch)
            yield epoch


class LoopTraining:
    """Drives a training loop of a plugin, epoch by epoch, as `training.loop.Training` does sweeper's own.

    Args:
        config: The loop and its parameters.
        device: Where to train.
        number: Of the trial.
        folder: For files of the loop.
        artifacts: For files to be tracked.
        places: Where caches and data sets lie.
        should_stop: Whether the trial is pruned.
        measure_test: Whether metrics of the test part may be yielded.
    """

    stopped_early = False
    micro_batch: int | None = None

    def __init__(
        self,
        *,
        config: LoopTrialConfig,
        device: torch.device,
        number: int,
        folder: Path,
        artifacts: Path,
        places: Places | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        measure_test: bool = False,
    ) -> None:
        self.config = config
        self.device = device
        self.places = places
        self.should_stop = should_stop
        self.measure_test = measure_test
        self.epoch = 0
        """Epochs done."""
        self.confusion: dict[str, torch.Tensor] = {}
        self.kept = Kept(folder)
        self._trial = Trial(self, number=number, folder=folder, artifacts=artifacts)

    @property
    def can_continue(self) -> bool:
        """Whether the loop keeps anything, so that a checkpoint can be made."""
        return bool(self.kept)

    def prepare(self) -> Iterator[tuple[int, int]]:
        """Nothing comes before the first epoch."""
        return iter(())

    def seed_epoch(self, epoch: int) -> None:
        """Seed all generators for an epoch, counted from 1; 0 is what comes before."""
        seed = derive_seed(self.config.seed, epoch)
        seed_generators(seed, self.device)
        np.random.seed(seed % 2**32)  # loops of others, scikit-learn among them, draw from it
        random.seed(seed)

    def epochs(self) -> Generator[EpochMetrics, None, None]:
        """Run the loop, and yield what it yields. Between two epochs, `state_dict()` may be called.

        Raises:
            DivergedError: A metric is NaN or infinite.
            InfeasibleError: The device ran out of memory.
            InputError: The loop yields what is no mapping of names to numbers.
        """
        loop = registration_of(self.config.loop)
        assert loop is not None
        self.kept.folder.mkdir(parents=True, exist_ok=True)
        with _own_random_state(), seeded(0, self.device):
            self.seed_epoch(0)
            made = loop.call(self.config.loop, self._trial)
            if not isinstance(made, Iterator):
                raise InputError(
                    f"training loop {loop.name}: its function returned {type(made).__name__}; needed: a generator, "
                    "which yields the metrics of each epoch"
                )
            try:
                while True:
                    started = time.perf_counter()
                    with out_of_memory_is_infeasible():
                        try:
                            values = next(made)
                        except StopIteration:
                            break
                    self.epoch += 1
                    yield EpochMetrics(epoch=self.epoch, values=self._read(loop.name, values, started))
            finally:
                if isinstance(made, Generator):
                    made.close()
        if self.epoch == 0:
            raise InputError(f"training loop {loop.name}: it ended without an epoch; needed: one at least")

    def _read(self, name: str, values: Any, started: float) -> dict[str, float]:
        if not isinstance(values, Mapping) or not values:
            raise InputError(f"training loop {name}: yields {values!r}; needed: a mapping of metrics to numbers")
        read: dict[str, float] = {}
        for metric, value in values.items():
            if not isinstance(metric, str) or not _METRIC.fullmatch(metric):
                raise InputError(
                    f"training loop {name}: yields a metric {metric!r}; allowed: letters, digits, '_', '.', '/', '-' "
                    "and spaces"
                )
            if metric.startswith("test/") and not self.measure_test:
                raise InputError(
                    f"training loop {name}: yields {metric}; what the test part says must choose nothing: yield it "
                    "only where `trial.is_final`"
                )
            try:
                read[metric] = float(value.detach() if isinstance(value, torch.Tensor) else value)
            except (TypeError, ValueError, RuntimeError):
                raise InputError(f"training loop {name}: yields {metric}: {value!r}; needed: a number") from None
            if not math.isfinite(read[metric]):
                raise DivergedError(f"{metric} is {read[metric]} in epoch {self.epoch}")
        return {"seconds": time.perf_counter() - started, **read}

    def model_state_dict(self) -> None:
        """Of no model that sweeper could build again: a loop puts what it wants to keep among its artifacts."""
        return

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on at this epoch."""
        return {"epoch": self.epoch, "kept": self.kept.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict()` gave for the same configuration."""
        self.epoch = state["epoch"]
        self.kept.load_state_dict(state["kept"])


@contextmanager
def _own_random_state() -> Iterator[None]:
    """Leave the generators of NumPy and `random` as they were."""
    state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)
