"""One training, from the first epoch or from where a checkpoint left it. Knows neither Optuna nor MLflow."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from sweeper.data.augmentation import build_augmentation
from sweeper.data.batches import batches, build_normalization, place_split
from sweeper.data.dataset import Dataset
from sweeper.errors import DataError, DivergedError, InputError
from sweeper.models.check import model_fault
from sweeper.models.networks import build_model, n_parameters
from sweeper.study.config import TrialConfig
from sweeper.training.devices import place_model, synchronize
from sweeper.training.early_stopping import EarlyStopping
from sweeper.training.epoch import Confusion, EpochMetrics
from sweeper.training.feed import n_steps, train_batches
from sweeper.training.losses import build_loss, needs_log_probabilities
from sweeper.training.memory import GradientAccumulation, out_of_memory_is_infeasible
from sweeper.training.metrics import Predictions, accuracies, confusion_matrix, macro_auc
from sweeper.training.optimizers import build_optimizer
from sweeper.training.schedules import build_schedule
from sweeper.training.seeding import derive_seed, seeded

__all__ = ["Confusion", "EpochMetrics", "Interrupted", "Training"]

_EVALUATION_BATCH_SIZE = 256
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
    augmentation. Metrics of the validation part are measured after the epoch, without either. Losses are weighted means
    over all pictures of the part, with the class weights of `training.loss`; only `train/loss` has its label smoothing.

    Args:
        config: What to train.
        dataset: What to train on.
        device: Where to train.
        should_stop: Asked at the start of each epoch and then every 50 ms or so; when true, `epochs()` raises
            `Interrupted`.

    Raises:
        InputError: The model cannot be built for these pictures, or the class weights do not fit the classes.
        DataError: A part without pictures, or balanced class weights for a class without training pictures.
        InfeasibleError: The model does not fit into the memory of the device.
    """

    def __init__(
        self,
        *,
        config: TrialConfig,
        dataset: Dataset,
        device: torch.device,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        training = config.training
        fault = model_fault(config.model, dataset.input_shape, batch_size=training.batch_size)
        if fault is not None:
            raise InputError(f"model {config.model.name} cannot be trained on {dataset.name}: {fault}")
        for part, split in (("training", dataset.train), ("validation", dataset.validation)):
            if len(split) == 0:
                raise DataError(f"the {part} part of {dataset.name} has no pictures; give it some under `data`")
        self.config = config
        self.dataset = dataset
        self.device = device
        self.should_stop = should_stop
        self.epoch = 0
        """Epochs done."""
        self.stopped_early = False
        """Whether early stopping ended the training."""
        self.seconds_between_stop_checks = 0.05
        self.confusion: Confusion | None = None
        """Confusion matrices of the last epoch; None before the first."""

        cpu = torch.device("cpu")
        with seeded(derive_seed(config.seed, 0), cpu):  # drawn on the CPU: the same weights on every device
            model = build_model(
                config.model,
                input_shape=dataset.input_shape,
                n_classes=dataset.n_classes,
                log_probabilities=needs_log_probabilities(training.loss),
            )
        with out_of_memory_is_infeasible():
            self.model = place_model(model, device)
        self.n_parameters = n_parameters(model)
        self._optimizer = build_optimizer(training.optimizer, self.model.parameters())
        self._loss = build_loss(
            training.loss,
            class_names=dataset.class_names,
            class_counts=dataset.train.class_counts(dataset.n_classes),
            device=device,
        )
        self._accumulation = GradientAccumulation(self.model, self._loss)
        normalization = build_normalization(dataset, normalize=config.data.normalize)
        self._train_split = place_split(dataset.train, normalization, device)
        self._validation_split = place_split(dataset.validation, normalization, device)
        self._augmentation = build_augmentation(config.data.augment)
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

    def epochs(self) -> Iterator[EpochMetrics]:
        """Train the epochs that are left, and yield after each. Between two of them, `state_dict()` may be called.

        Raises:
            DivergedError: A loss became NaN or infinite.
            InfeasibleError: The device ran out of memory, even with the smallest pieces of a batch.
            Interrupted: `should_stop` became true in the middle of an epoch.
        """
        while self.epoch < self.config.training.epochs and not self.stopped_early:
            self._is_at_epoch_boundary = False
            with seeded(derive_seed(self.config.seed, self.epoch + 1), self.device), out_of_memory_is_infeasible():
                metrics = self._run_epoch(self.epoch + 1)
            self.epoch += 1
            if self._early_stopping is not None:
                self.stopped_early = self._early_stopping.update(metrics.values)
            self._is_at_epoch_boundary = True
            yield metrics

    def _run_epoch(self, epoch: int) -> EpochMetrics:
        self._last_stop_check = -math.inf
        started = time.perf_counter()
        train_predictions, lr = self._train(epoch)
        synchronize(self.device)
        trained = time.perf_counter()
        train_values, train_confusion = self._measure("train", train_predictions, epoch)
        validation_values, validation_confusion = self._measure("val", self._evaluate(), epoch)
        self.confusion = Confusion(train=train_confusion, validation=validation_confusion)
        values = {
            **train_values,
            **validation_values,
            "lr": lr,
            "seconds": time.perf_counter() - started,
            "pictures_per_second": len(self.dataset.train) / (trained - started),
        }
        return EpochMetrics(epoch=epoch, values=values)

    def _train(self, epoch: int) -> tuple[Predictions, float]:
        """All training steps of one epoch: what they predicted, and the learning rate of the last."""
        self.model.train()
        predictions = Predictions()
        lr = math.nan
        first_step = (epoch - 1) * self._steps_per_epoch
        drawn = train_batches(
            self._train_split,
            self.config.training.batch_size,
            seed=derive_seed(self.config.seed, epoch, 1),
            augmentation=self._augmentation,
        )
        for step, (images_BCHW, labels_B) in enumerate(drawn, start=first_step):
            self._check_stop()
            lr = self._schedule(step)
            for group in self._optimizer.param_groups:
                group["lr"] = lr
            self._optimizer.zero_grad(set_to_none=True)
            outputs_BK, loss = self._accumulation.backward(images_BCHW, labels_B)
            self._optimizer.step()
            predictions.add(outputs_BK, labels_B)
            if step % _STEPS_BETWEEN_LOSS_CHECKS == 0:
                self._check_finite(loss.item(), "train/loss", f"epoch {epoch}, step {step - first_step + 1}")
        return predictions, lr

    @torch.inference_mode()
    def _evaluate(self) -> Predictions:
        self.model.eval()
        predictions = Predictions()
        for images_BCHW, labels_B in batches(self._validation_split, _EVALUATION_BATCH_SIZE):
            self._check_stop()
            predictions.add(self.model(images_BCHW), labels_B)
        return predictions

    @torch.inference_mode()
    def _measure(self, part: str, predictions: Predictions, epoch: int) -> tuple[dict[str, float], torch.Tensor]:
        log_probabilities_NK, labels_N = predictions.read()
        loss = self._loss.over(log_probabilities_NK, labels_N, smoothing=part == "train")
        self._check_finite(loss, f"{part}/loss", f"epoch {epoch}")
        confusion_KK = confusion_matrix(log_probabilities_NK, labels_N)
        auc = macro_auc(log_probabilities_NK.cpu().numpy(), labels_N.cpu().numpy())
        values = {"loss": loss, **accuracies(confusion_KK, self.dataset.class_names)}
        if auc is not None:
            values["auc"] = auc
        return {f"{part}/{name}": value for name, value in values.items()}, confusion_KK

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
        return self._accumulation.max_pictures

    def model_state_dict(self) -> dict[str, torch.Tensor]:
        """Weights and buffers of the model, copied to the CPU."""
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in self.model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on at this epoch. Tensors and plain containers, so that `torch.load`
        with `weights_only=True` reads it. The tensors are the training's own: save or copy them before the next epoch.
        """
        assert self._is_at_epoch_boundary, "a training that ended inside an epoch cannot be continued"
        return {
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "early_stopping": None if self._early_stopping is None else self._early_stopping.state_dict(),
            "stopped_early": self.stopped_early,
            "max_pictures": self._accumulation.max_pictures,
            "confusion": None
            if self.confusion is None
            else {"train": self.confusion.train, "validation": self.confusion.validation},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict()` gave for the same configuration and data."""
        self.epoch = state["epoch"]
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self._early_stopping is not None:
            self._early_stopping.load_state_dict(state["early_stopping"])
        self.stopped_early = state["stopped_early"]
        self._accumulation.max_pictures = state["max_pictures"]
        self.confusion = None if state["confusion"] is None else Confusion(**state["confusion"])
        self._is_at_epoch_boundary = True
