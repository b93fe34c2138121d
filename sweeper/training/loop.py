"""One training, from the first epoch or from where a checkpoint left it. Knows neither Optuna nor MLflow."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from sweeper.data.dataset import Dataset, Split
from sweeper.errors import DataError, DivergedError, InputError
from sweeper.models.backbone_table import n_backbone_parameters
from sweeper.models.check import model_fault
from sweeper.models.networks import build_trainable, n_parameters
from sweeper.places import Places
from sweeper.study.config import TorchvisionConfig, TrialConfig
from sweeper.training.build import build_feed, build_learner, n_outputs
from sweeper.training.devices import place_model, synchronize
from sweeper.training.early_stopping import EarlyStopping
from sweeper.training.epoch import EpochMetrics, Evaluation
from sweeper.training.feed import n_steps
from sweeper.training.losses import build_loss, needs_log_probabilities
from sweeper.training.memory import out_of_memory_is_infeasible
from sweeper.training.meters import Meter, build_meter
from sweeper.training.schedules import build_schedule
from sweeper.training.seeding import derive_seed, seeded

__all__ = ["EpochMetrics", "Evaluation", "Interrupted", "Training"]

_STEPS_BETWEEN_LOSS_CHECKS = 100


class Interrupted(Exception):  # noqa: N818  # not an error: the caller asked for it
    """`should_stop` became true in the middle of an epoch."""


class Training:
    """Trains one configuration, epoch by epoch: `for metrics in Training(...).epochs(): ...`.

    The same configuration, data, device and number of threads give the same numbers, to the last bit on the CPU; and a
    training that went on from `state_dict()` gives those of one that was never interrupted. Every draw of an epoch
    (order, dropout, augmentation) comes from the seed and the number of the epoch; initial weights come from the seed
    and 0. The caller's own random state is left as it was.

    Metrics of the training part are those of the training steps: measured while the weights change, with dropout and
    augmentation, over the pictures drawn (`training.balance` draws some more than once). Metrics of other parts are
    measured after the epoch, on each picture once, without either. Losses are weighted means over these pictures, with
    the class weights of `training.loss` and `training.balance`; only `train/loss` has label smoothing.

    Args:
        config: What to train.
        dataset: What to train on.
        device: Where to train.
        places: Where caches and pretrained weights lie; models that need neither do without.
        should_stop: Asked at the start of each epoch and then every 50 ms or so; when true, `epochs()` raises
            `Interrupted`.
        measure_test: Measure the test part after each epoch too: for `sweeper finalize` alone, since what the test
            pictures say must choose nothing.
        may_split_batches: Whether the gradient of a batch that does not fit into memory is computed in pieces.

    Raises:
        InputError: The model cannot be built for these pictures, or the class weights do not fit the classes.
        DataError: A part without pictures, or a class without training pictures that is to be balanced.
        InfeasibleError: The model does not fit into the memory of the device.
    """

    def __init__(
        self,
        *,
        config: TrialConfig,
        dataset: Dataset,
        device: torch.device,
        places: Places | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        measure_test: bool = False,
        may_split_batches: bool = True,
    ) -> None:
        training = config.training
        fault = model_fault(config.model, dataset.input_shape, batch_size=training.batch_size)
        if fault is not None:
            raise InputError(f"model {config.model.name} cannot be trained on {dataset.name}: {fault}")
        self._evaluated = {"val": dataset.validation, **({"test": dataset.test} if measure_test else {})}
        names = {"train": "training", "val": "validation", "test": "test"}
        for part, split in {"train": dataset.train, **self._evaluated}.items():
            if len(split) == 0:
                raise DataError(f"the {names[part]} part of {dataset.name} has no pictures; give it some under `data`")
        self.config = config
        self.dataset = dataset
        self.device = device
        self.should_stop = should_stop
        self.epoch = 0
        """Epochs done."""
        self.stopped_early = False
        """Whether early stopping ended the training."""
        self.seconds_between_stop_checks = 0.05
        self.confusion: dict[str, torch.Tensor] = {}
        """Confusion matrices of the last epoch, as in `Evaluation`: `train`, `val`, and `test` where it is measured;
        with `true_` before these names those of true classes, where they are known. Empty before the first epoch, and
        without classes."""

        with out_of_memory_is_infeasible():
            self.feed = build_feed(config, dataset, device, places)
            cpu = torch.device("cpu")
            with seeded(derive_seed(config.seed, 0), cpu):  # drawn on the CPU: the same weights on every device
                model = build_trainable(
                    config.model,
                    input_shape=self.feed.input_shape,
                    n_outputs=n_outputs(dataset),
                    log_probabilities=needs_log_probabilities(training.loss),
                    places=places,
                )
            model = place_model(model, device)
        self._loss = build_loss(
            training.loss,
            balanced=training.balance in ("loss", "both"),
            class_names=dataset.class_names,
            class_counts=dataset.train.class_counts(dataset.n_classes),
            device=device,
        )
        self._learner = build_learner(config, model, self._loss, may_split_batches=may_split_batches)
        self._steps_per_epoch = n_steps(len(dataset.train), training.batch_size)
        self._schedule = build_schedule(
            training.schedule,
            lr=training.optimizer.lr,
            epochs=training.epochs,
            steps_per_epoch=self._steps_per_epoch,
        )
        self._early_stopping = None if training.early_stopping is None else EarlyStopping(training.early_stopping)
        self._last_stop_check = -math.inf
        self._is_at_epoch_boundary = True

    can_continue = True
    """Whether `state_dict()` holds all that is needed to go on."""

    @property
    def model(self) -> nn.Module:
        """What is trained, with its present weights: the network, or of one with a frozen backbone the head alone."""
        return self._learner.model

    @property
    def n_parameters(self) -> int:
        """Number of parameters of the whole network, with those of a frozen backbone."""
        model = self.config.model
        below = n_backbone_parameters(model) if isinstance(model, TorchvisionConfig) and model.frozen else 0
        return n_parameters(self.model) + below

    def prepare(self) -> Iterator[tuple[int, int]]:
        """Do what comes once, before the first epoch: of a frozen backbone, compute the outputs that are not cached.

        Yields how much is done, and how much there is in all: pictures and views. The caller may leave off at any time;
        what was done stays done, and `epochs()` does the rest.

        Raises:
            InfeasibleError: The device ran out of memory.
            Interrupted: `should_stop` became true.
        """
        with out_of_memory_is_infeasible():
            for done, total in self.feed.prepare(self._evaluated.values()):
                self._check_stop()
                yield done, total

    def epochs(self) -> Generator[EpochMetrics, None, None]:
        """Train the epochs that are left, and yield after each. Between two of them, `state_dict()` may be called.

        Raises:
            DivergedError: A loss became NaN or infinite.
            InfeasibleError: The device ran out of memory, even with the smallest pieces of a batch.
            Interrupted: `should_stop` became true in the middle of an epoch.
        """
        for _ in self.prepare():
            pass
        while self.epoch < self.config.training.epochs and not self.stopped_early:
            self._is_at_epoch_boundary = False
            with seeded(derive_seed(self.config.seed, self.epoch + 1), self.device), out_of_memory_is_infeasible():
                metrics = self._run_epoch(self.epoch + 1)
            self.epoch += 1
            if self._early_stopping is not None:
                self.stopped_early = self._early_stopping.update(metrics.values)
            self._is_at_epoch_boundary = True
            yield metrics

    def evaluate(self, split: Split) -> Evaluation:
        """Measure the model as it is on a part of a data set like the one trained on: each picture once, in order,
        without augmentation. May be called between epochs and after the last.
        """
        meter = self._meter()
        for inputs, learnt in self.feed.evaluation(split):
            self._check_stop()
            meter.add(self._learner.evaluate(inputs), learnt)
        return meter.read(_true_labels(split))

    def _run_epoch(self, epoch: int) -> EpochMetrics:
        self._last_stop_check = -math.inf
        started = time.perf_counter()
        meter, lr = self._train(epoch)
        synchronize(self.device)
        trained = time.perf_counter()
        true_labels_M = _true_labels(self.dataset.train)
        measured = meter.read(None if true_labels_M is None else true_labels_M[self.feed.order(epoch)])
        values, confusion = self._of_part("train", measured, epoch)
        for part, split in self._evaluated.items():
            more_values, more_confusion = self._of_part(part, self.evaluate(split), epoch)
            values |= more_values
            confusion |= more_confusion
        self.confusion = confusion
        values |= {
            "lr": lr,
            "seconds": time.perf_counter() - started,
            "pictures_per_second": len(self.dataset.train) / (trained - started),
        }
        return EpochMetrics(epoch=epoch, values=values)

    def _of_part(self, part: str, measured: Evaluation, epoch: int) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
        """Values and confusion matrices under the name of the part; raises DivergedError."""
        self._check_finite(measured.values["loss"], f"{part}/loss", f"epoch {epoch}")
        matrices = {part: measured.confusion_KK, f"true_{part}": measured.true_confusion_KK}
        return (
            {f"{part}/{name}": value for name, value in measured.values.items()},
            {name: matrix_KK for name, matrix_KK in matrices.items() if matrix_KK is not None},
        )

    def _train(self, epoch: int) -> tuple[Meter, float]:
        """All training steps of one epoch: what they gave, and the learning rate of the last."""
        meter = self._meter(smoothing=True)
        lr = math.nan
        first_step = (epoch - 1) * self._steps_per_epoch
        self._learner.begin_epoch(epoch)
        for step, (inputs, learnt) in enumerate(self.feed.train(epoch), start=first_step):
            self._check_stop()
            lr = self._schedule(step)
            outputs, loss = self._learner.train_step(inputs, learnt, lr=lr)
            meter.add(outputs, learnt)
            if step % _STEPS_BETWEEN_LOSS_CHECKS == 0:
                self._check_finite(loss.item(), "train/loss", f"epoch {epoch}, step {step - first_step + 1}")
        return meter, lr

    def _meter(self, *, smoothing: bool = False) -> Meter:
        dataset = self.dataset
        return build_meter(
            self._loss,
            class_names=dataset.class_names,
            output_names=dataset.output_names,
            smoothing=smoothing,
            metrics=self.config.training.metrics,
        )

    def _check_stop(self) -> None:
        now = time.perf_counter()
        if now - self._last_stop_check >= self.seconds_between_stop_checks:
            self._last_stop_check = now
            if self.should_stop():
                raise Interrupted

    def _check_finite(self, loss: float, name: str, place: str) -> None:
        if not math.isfinite(loss):
            raise DivergedError(f"{name} is {loss} in {place}; a lower learning rate may help")

    @property
    def micro_batch(self) -> int | None:
        """Most pictures whose gradient is computed at once, where whole batches do not fit into memory; else None."""
        return self._learner.micro_batch

    def model_state_dict(self) -> dict[str, torch.Tensor]:
        """Weights and buffers of `model`, copied to the CPU."""
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in self.model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on at this epoch. Tensors and plain containers, so that `torch.load`
        with `weights_only=True` reads it. The tensors are the training's own: save or copy them before the next epoch.
        """
        assert self._is_at_epoch_boundary, "a training that ended inside an epoch cannot be continued"
        return {
            "epoch": self.epoch,
            "learner": self._learner.state_dict(),
            "early_stopping": None if self._early_stopping is None else self._early_stopping.state_dict(),
            "stopped_early": self.stopped_early,
            "confusion": self.confusion,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict()` gave for the same configuration and data."""
        self.epoch = state["epoch"]
        self._learner.load_state_dict(state["learner"])
        if self._early_stopping is not None:
            self._early_stopping.load_state_dict(state["early_stopping"])
        self.stopped_early = state["stopped_early"]
        self.confusion = dict(state["confusion"])
        self._is_at_epoch_boundary = True


def _true_labels(split: Split) -> torch.Tensor | None:
    """int64, (M,): the true classes of a part, in its order, where they are known beside the given ones."""
    return None if split.true_labels_N is None else split.true_labels_N[split.indices_M]
