"""`TrialConfig`: a plain, typed, frozen description of one training.

A study file holds the same tree with distributions in it (see `sweeper.study.space`). The text under each field is its
documentation: it goes into the JSON Schema and from there into docs/study-file.md.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from sweeper.study.words import nearest, show

__all__ = [
    "AdamConfig",
    "AdamWConfig",
    "AugmentConfig",
    "BlockConfig",
    "CNNConfig",
    "Config",
    "ConstantScheduleConfig",
    "CosineScheduleConfig",
    "CrossEntropyConfig",
    "DataConfig",
    "EarlyStoppingConfig",
    "FieldError",
    "HorizontalFlipConfig",
    "LogisticConfig",
    "LossConfig",
    "MLPConfig",
    "MetricName",
    "ModelConfig",
    "NLLConfig",
    "OneCycleScheduleConfig",
    "OptimizerConfig",
    "RMSpropConfig",
    "RotationConfig",
    "SGDConfig",
    "ScheduleConfig",
    "StepScheduleConfig",
    "TrainingConfig",
    "TrialConfig",
    "VerticalFlipConfig",
    "default_direction",
    "named",
]


class Config(BaseModel):
    """Base of every part of a configuration: frozen, strict, finite, and closed to unknown fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class FieldError(ValueError):
    """Fields that do not go together: what is wrong, and the one of them to name, from the part that found it."""

    def __init__(self, message: str, *field: str | int) -> None:
        self.field = field
        super().__init__(message)


def _to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def named(value: Any) -> Any:
    """Read `adam` as `{name: adam}`."""
    return {"name": value} if isinstance(value, str) else value


Width: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]
Widths: TypeAlias = Annotated[tuple[Width, ...], BeforeValidator(_to_tuple)]
Rate: TypeAlias = Annotated[float, Field(ge=0.0, lt=1.0)]
Dropout: TypeAlias = Rate | Annotated[tuple[Rate, ...], BeforeValidator(_to_tuple)]
BatchNorm: TypeAlias = bool | Annotated[tuple[bool, ...], BeforeValidator(_to_tuple)]
Share: TypeAlias = Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0.0, lt=1.0)]
ClassWeights: TypeAlias = (
    Literal["balanced"] | Annotated[tuple[Annotated[float, Field(ge=0.0)], ...], BeforeValidator(_to_tuple)]
)
LearningRate: TypeAlias = Annotated[float, Field(gt=0.0, le=1e6)]
_SHARES = ("accuracy", "balanced_accuracy", "auc")
METRIC_PATTERN = r"^((train|val)/(loss|accuracy(/.+)?|balanced_accuracy|auc)|lr|seconds|pictures_per_second)$"


def _check_metric(name: str) -> str:
    if not re.fullmatch(METRIC_PATTERN, name):
        hint = nearest(name, [f"{part}/{what}" for part in ("train", "val") for what in ("loss", *_SHARES)])
        raise ValueError(
            f"given {show(name)}{hint or ';'} allowed: train/ or val/ with loss, accuracy, accuracy/<class>, "
            "balanced_accuracy or auc; lr; seconds; pictures_per_second"
        )
    return name


MetricName: TypeAlias = Annotated[
    str, AfterValidator(_check_metric), WithJsonSchema({"type": "string", "pattern": METRIC_PATTERN})
]


def default_direction(metric: str) -> Literal["minimize", "maximize"]:
    """The direction in which `metric` is better: losses and seconds down, all else up."""
    return "minimize" if metric.endswith("/loss") or metric == "seconds" else "maximize"


# --- data ---------------------------------------------------------------------------------------------------------


class HorizontalFlipConfig(Config):
    """Mirror a picture left to right."""

    name: Literal["horizontal_flip"] = "horizontal_flip"
    probability: float = Field(default=0.5, ge=0.0, le=1.0)
    """Chance that a picture is flipped, drawn anew for each picture and epoch."""


class VerticalFlipConfig(Config):
    """Mirror a picture top to bottom."""

    name: Literal["vertical_flip"] = "vertical_flip"
    probability: float = Field(default=0.5, ge=0.0, le=1.0)
    """Chance that a picture is flipped, drawn anew for each picture and epoch."""


class RotationConfig(Config):
    """Rotate a picture about its centre; what comes in from outside is black."""

    name: Literal["rotation"] = "rotation"
    degrees: float = Field(gt=0.0, le=180.0)
    """The angle is drawn uniformly from ±degrees for each picture and epoch."""


AugmentConfig: TypeAlias = Annotated[
    HorizontalFlipConfig | VerticalFlipConfig | RotationConfig, Field(discriminator="name")
]


class DataConfig(Config):
    """What to train on, how it is split, and what is done to the pictures."""

    name: Literal["digits", "mnist", "fashion_mnist", "cifar10", "folder"]
    """The data set. `folder` is any folder of pictures with one folder a class."""
    path: str | None = None
    """Folder of pictures, for `name: folder` only. Relative to `SWEEPER_DATA` if that is set, else to the working
    directory. Holds either one folder a class, or `train/` and `test/` with one folder a class in each."""
    image_size: int | None = Field(default=None, ge=4, le=2048)
    """Height and width in pixels to which pictures are resized once, when they are decoded. Default: as they are."""
    grayscale: bool = False
    """Turn RGB pictures into one channel of luminance."""
    train: Share | None = None
    """Size of the training part: a count of pictures (integer) or a share (fraction below 1) of the data set's
    training pictures, stratified. Default: all that validation leaves."""
    validation: Share = 0.15
    """Size of the validation part, a count (integer) or a share of the data set's training pictures, stratified."""
    test: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2
    """Share held out as test, stratified, where the data set comes without a test set of its own."""
    split_seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of the split. Trials with the same seed see the same pictures."""
    normalize: bool = True
    """Subtract the training pictures' mean and divide by their deviation, per channel. Otherwise values are 0 to 1."""
    augment: Annotated[tuple[Annotated[AugmentConfig, BeforeValidator(named)], ...], BeforeValidator(_to_tuple)] = ()
    """Augmentations of the training pictures, applied in this order, drawn per picture and epoch."""

    @model_validator(mode="after")
    def _check_path(self) -> DataConfig:
        if self.name == "folder" and self.path is None:
            raise FieldError("is missing; name the folder of pictures", "path")
        if self.name != "folder" and self.path is not None:
            raise FieldError(f"given {show(self.path)} with name: {self.name}; allowed: with name: folder only", "path")
        if isinstance(self.train, float) and isinstance(self.validation, float) and self.train + self.validation > 1.0:
            raise FieldError(
                f"given {self.train} beside a validation of {self.validation}, more than the whole; "
                "allowed: shares that add up to at most 1",
                "train",
            )
        return self


# --- models -------------------------------------------------------------------------------------------------------


def _check_per_layer(field: str, value: float | tuple[float, ...], hidden: tuple[int, ...]) -> None:
    if isinstance(value, tuple) and len(value) != len(hidden):
        raise FieldError(
            f"given {_count(len(value), 'value')} for {_count(len(hidden), 'hidden layer')}; "
            "allowed: one value, or a list with one for each hidden layer",
            field,
        )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


class LogisticConfig(Config):
    """Logistic regression: one linear layer on the flattened picture."""

    name: Literal["logistic"] = "logistic"


class MLPConfig(Config):
    """Multilayer perceptron: linear, batch norm (optional), ReLU, dropout for each hidden layer; then a linear head."""

    name: Literal["mlp"] = "mlp"
    hidden: Widths = Field(min_length=1)
    """Widths of the hidden layers, input side first."""
    dropout: Dropout = 0.0
    """Dropout rate after each hidden layer: one for all, or a list with one a layer."""
    batch_norm: BatchNorm = False
    """Batch normalization after each hidden linear layer: one for all, or a list with one a layer."""

    @model_validator(mode="after")
    def _check(self) -> MLPConfig:
        _check_per_layer("dropout", self.dropout, self.hidden)
        _check_per_layer("batch_norm", self.batch_norm, self.hidden)
        return self


class BlockConfig(Config):
    """One block of a CNN: convolution, batch norm (optional), ReLU, pooling."""

    channels: Width
    """Output channels of the convolution."""
    kernel: int = Field(default=3, ge=1, le=31)
    """Kernel size in pixels."""
    padding: int = Field(default=0, ge=0, le=15)
    """Zero padding in pixels on each side."""
    pool: int = Field(default=2, ge=1, le=32)
    """Size and stride of the pooling window in pixels; 1 is no pooling."""


class CNNConfig(Config):
    """Convolutional network: blocks of convolution and pooling, then hidden linear layers and a linear head."""

    name: Literal["cnn"] = "cnn"
    blocks: Annotated[tuple[BlockConfig, ...], BeforeValidator(_to_tuple)] = Field(min_length=1)
    """The convolutional blocks, input side first."""
    pooling: Literal["max", "average"] = "max"
    """Kind of pooling in every block."""
    batch_norm: bool = True
    """Batch normalization after each convolution."""
    hidden: Widths = ()
    """Widths of the hidden linear layers between the last block and the head."""
    dropout: Dropout = 0.0
    """Dropout rate after each hidden linear layer: one for all, or a list with one a layer."""

    @model_validator(mode="after")
    def _check(self) -> CNNConfig:
        _check_per_layer("dropout", self.dropout, self.hidden)
        return self


ModelConfig: TypeAlias = Annotated[LogisticConfig | MLPConfig | CNNConfig, Field(discriminator="name")]


# --- training -----------------------------------------------------------------------------------------------------


class AdamConfig(Config):
    """Adam (Kingma and Ba 2015); weight decay is added to the gradient."""

    name: Literal["adam"] = "adam"
    lr: LearningRate = 1e-3
    """Learning rate."""
    weight_decay: float = Field(default=0.0, ge=0.0)
    """L2 penalty, added to the gradient."""
    betas: Annotated[tuple[Rate, Rate], BeforeValidator(_to_tuple)] = (0.9, 0.999)
    """Decay rates of the running averages of the gradient and of its square."""


class AdamWConfig(Config):
    """AdamW (Loshchilov and Hutter 2019): Adam with decoupled weight decay."""

    name: Literal["adamw"] = "adamw"
    lr: LearningRate = 1e-3
    """Learning rate."""
    weight_decay: float = Field(default=0.01, ge=0.0)
    """Share of the weights taken off at each step, times the learning rate."""
    betas: Annotated[tuple[Rate, Rate], BeforeValidator(_to_tuple)] = (0.9, 0.999)
    """Decay rates of the running averages of the gradient and of its square."""


class SGDConfig(Config):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"] = "sgd"
    lr: LearningRate = 0.1
    """Learning rate."""
    momentum: Rate = 0.0
    """Share of the last step that is kept."""
    nesterov: bool = False
    """Nesterov's momentum."""
    weight_decay: float = Field(default=0.0, ge=0.0)
    """L2 penalty, added to the gradient."""

    @model_validator(mode="after")
    def _check(self) -> SGDConfig:
        if self.nesterov and self.momentum == 0.0:
            raise FieldError("given true with a momentum of 0; allowed: with a momentum above 0", "nesterov")
        return self


class RMSpropConfig(Config):
    """RMSprop (Hinton 2012)."""

    name: Literal["rmsprop"] = "rmsprop"
    lr: LearningRate = 1e-2
    """Learning rate."""
    alpha: Rate = 0.99
    """Decay rate of the running average of the squared gradient."""
    momentum: Rate = 0.0
    """Share of the last step that is kept."""
    weight_decay: float = Field(default=0.0, ge=0.0)
    """L2 penalty, added to the gradient."""


OptimizerConfig: TypeAlias = Annotated[
    AdamConfig | AdamWConfig | SGDConfig | RMSpropConfig, Field(discriminator="name")
]


class CrossEntropyConfig(Config):
    """Cross entropy on logits."""

    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Rate = 0.0
    """Share of the target spread evenly over all classes."""
    class_weights: ClassWeights | None = None
    """Weight of each class in the loss: a list in the order of the classes, or `balanced` (inverse frequency, as in
    scikit-learn)."""


class NLLConfig(Config):
    """Negative log likelihood. The network's head ends in a log-softmax, so that it cannot meet raw logits."""

    name: Literal["nll"] = "nll"
    class_weights: ClassWeights | None = None
    """Weight of each class in the loss: a list in the order of the classes, or `balanced` (inverse frequency, as in
    scikit-learn)."""


LossConfig: TypeAlias = Annotated[CrossEntropyConfig | NLLConfig, Field(discriminator="name")]


class ConstantScheduleConfig(Config):
    """The learning rate stays as it is."""

    name: Literal["constant"] = "constant"


class StepScheduleConfig(Config):
    """The learning rate is multiplied by `factor` every `every` epochs."""

    name: Literal["step"] = "step"
    every: int = Field(ge=1)
    """Epochs between two drops."""
    factor: float = Field(default=0.1, gt=0.0, le=1.0)
    """What the learning rate is multiplied by at each drop."""


class CosineScheduleConfig(Config):
    """Half a cosine from the learning rate down to `final` times it, step by step over all epochs."""

    name: Literal["cosine"] = "cosine"
    final: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Learning rate at the end, as a share of the one at the start."""
    warmup_epochs: int = Field(default=0, ge=0)
    """Epochs of linear rise from 0 at the start."""


class OneCycleScheduleConfig(Config):
    """One cycle (Smith and Topin 2019): up to the learning rate, then down to nearly nothing, by half cosines."""

    name: Literal["one_cycle"] = "one_cycle"
    warmup: float = Field(default=0.3, gt=0.0, lt=1.0)
    """Share of all steps spent rising."""
    initial: float = Field(default=0.04, gt=0.0, le=1.0)
    """Learning rate at the start, as a share of the highest."""
    final: float = Field(default=1e-4, ge=0.0, lt=1.0)
    """Learning rate at the end, as a share of the one at the start."""


ScheduleConfig: TypeAlias = Annotated[
    ConstantScheduleConfig | StepScheduleConfig | CosineScheduleConfig | OneCycleScheduleConfig,
    Field(discriminator="name"),
]


class EarlyStoppingConfig(Config):
    """End a trial when a metric has not improved for some epochs."""

    patience: int = Field(ge=1)
    """Epochs without improvement after which the trial ends."""
    metric: MetricName = "val/loss"
    """The metric watched, in the direction in which it is better."""
    min_delta: float = Field(default=0.0, ge=0.0)
    """Smallest change that counts as an improvement."""


class TrainingConfig(Config):
    """How the model is trained."""

    epochs: int = Field(ge=1, le=1_000_000)
    """Passes over the training pictures."""
    batch_size: int = Field(ge=1, le=1_000_000)
    """Pictures in a step. The last, smaller batch of an epoch is kept."""
    optimizer: Annotated[OptimizerConfig, BeforeValidator(named)]
    """The optimizer and its parameters; a bare name stands for its defaults."""
    loss: Annotated[LossConfig, BeforeValidator(named)] = CrossEntropyConfig()
    """The loss; a bare name stands for its defaults. The model's head follows it."""
    schedule: Annotated[ScheduleConfig, BeforeValidator(named)] = ConstantScheduleConfig()
    """How the learning rate changes; a bare name stands for its defaults."""
    early_stopping: EarlyStoppingConfig | None = None
    """When to end before the last epoch. Default: never."""


class TrialConfig(Config):
    """One training, complete: the same configuration on the same machine and device gives the same numbers."""

    data: DataConfig
    """What to train on."""
    model: Annotated[ModelConfig, BeforeValidator(named)]
    """What is trained."""
    training: TrainingConfig
    """How it is trained."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of weights, shuffling, dropout and augmentation."""

    @model_validator(mode="after")
    def _check(self) -> TrialConfig:
        schedule = self.training.schedule
        if isinstance(schedule, CosineScheduleConfig) and schedule.warmup_epochs >= self.training.epochs:
            raise FieldError(
                f"given {schedule.warmup_epochs}; allowed: below training.epochs, which is {self.training.epochs}",
                *("training", "schedule", "warmup_epochs"),
            )
        return self
