"""`TrialConfig`: one training, complete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from sweeper.study.config.base import Config, FieldError, named
from sweeper.study.config.custom import CustomLoopConfig, CustomLossConfig, CustomModelConfig, Extensible
from sweeper.study.config.data import DataConfig
from sweeper.study.config.models import (
    AutoencoderConfig,
    CNNConfig,
    LinearConfig,
    LogisticConfig,
    MLPConfig,
    ModelConfig,
    TorchvisionConfig,
)
from sweeper.study.config.training import CosineScheduleConfig, MSEConfig, TrainingConfig

__all__ = ["AnyTrialConfig", "LoopTrialConfig", "TrialConfig", "trial_config"]


class TrialConfig(Config):
    """One training, complete: the same configuration on the same machine and device gives the same numbers."""

    data: Annotated[DataConfig, Extensible("dataset")]
    """What to train on."""
    model: Annotated[ModelConfig, BeforeValidator(named)]
    """What is trained."""
    training: TrainingConfig
    """How it is trained."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of weights, shuffling, dropout and augmentation."""

    @property
    def n_epochs(self) -> int:
        """The number of epochs after which it ends."""
        return self.training.epochs

    @property
    def task(self) -> Literal["classification", "regression", "reconstruction"]:
        """What the model's outputs are: scores of classes, numbers, or the picture itself."""
        if isinstance(self.model, AutoencoderConfig):
            return "reconstruction"
        return "regression" if self.data.name == "functions" else "classification"

    @model_validator(mode="after")
    def _check(self) -> TrialConfig:
        training = self.training
        schedule = training.schedule
        if isinstance(schedule, CosineScheduleConfig) and schedule.warmup_epochs >= training.epochs:
            raise FieldError(
                f"given {schedule.warmup_epochs}; allowed: below training.epochs, which is {training.epochs}",
                *("training", "schedule", "warmup_epochs"),
            )
        for field, message in _misfits(self):
            raise FieldError(message, *field)
        return self


def _misfits(config: TrialConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    """Parts that do not go together: the field to name, and what is wrong with it."""
    training, model, data = config.training, config.model, config.data
    is_mse = isinstance(training.loss, MSEConfig)
    if config.task == "classification" and is_mse:
        yield ("training", "loss"), f"given mse with classes of {data.name}; allowed: cross_entropy or nll"
    if config.task == "regression" and not isinstance(
        model, LogisticConfig | LinearConfig | MLPConfig | CNNConfig | CustomModelConfig
    ):
        yield ("model",), f"given {model.name} with data {data.name}; allowed: linear, mlp or cnn"
    if config.task != "classification" and not is_mse:
        what = f"data {data.name}" if config.task == "regression" else f"model {model.name}"
        yield ("training", "loss"), f"given {training.loss.name} with {what}, whose outputs are numbers; allowed: mse"
    if config.task == "reconstruction" and data.name == "functions":
        yield ("model",), "given autoencoder with data functions; allowed: with pictures"
    if training.metrics and config.task != "classification":
        yield ("training", "metrics"), f"given {training.metrics[0].name} without classes; allowed: with classes"
    if training.backbone_lr_factor != 1.0 and not (isinstance(model, TorchvisionConfig) and not model.frozen):
        wrong = f"given {training.backbone_lr_factor} without a backbone that is trained"
        yield ("training", "backbone_lr_factor"), f"{wrong}; allowed: with a torchvision model that is not frozen"
    if training.backend == "numpy":
        fits = isinstance(model, LogisticConfig | LinearConfig) or (
            isinstance(model, MLPConfig)
            and model.batch_norm in (False, (False,) * len(model.hidden))
            and model.dropout in (0.0, (0.0,) * len(model.hidden))
        )
        if isinstance(training.loss, CustomLossConfig):
            wrong = f"given numpy with loss {training.loss.name}"
            yield ("training", "backend"), f"{wrong}; allowed: cross_entropy or nll"
        if not fits or config.task != "classification":
            wrong = f"given numpy with model {model.name}"
            yield ("training", "backend"), f"{wrong}; allowed: logistic, or mlp without batch norm and dropout"
    if isinstance(model, TorchvisionConfig) and model.weights != "none":
        if data.normalize != "imagenet":
            wrong = f"given {str(data.normalize).lower()} with pretrained weights, which expect ImageNet's statistics"
            yield ("data", "normalize"), f"{wrong}; allowed: imagenet"
        if data.grayscale:
            yield ("data", "grayscale"), "given true with pretrained weights; allowed: false"


class LoopTrialConfig(Config):
    """One training by a loop of your own, complete. Data and model are the loop's."""

    loop: Annotated[CustomLoopConfig, Extensible("training_loop"), BeforeValidator(named)]
    """The loop, by the name that it is registered under, and its parameters; see docs/how-to/own-loop.md."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of the generators of torch, NumPy and Python."""

    @property
    def n_epochs(self) -> int | None:
        """The number of epochs after which it ends, if the loop has a parameter `epochs`; else None."""
        epochs = getattr(self.loop, "epochs", None)
        return epochs if isinstance(epochs, int) else None


AnyTrialConfig: TypeAlias = TrialConfig | LoopTrialConfig


def trial_config(tree: Any) -> type[TrialConfig] | type[LoopTrialConfig]:
    """Which of the two a tree describes: one with `loop` is a training by a loop of your own."""
    return LoopTrialConfig if isinstance(tree, Mapping) and "loop" in tree else TrialConfig
