"""How it is trained: `trial.training`."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from sweeper.study.config.base import Config, FieldError, MetricName, Rate, named, to_tuple
from sweeper.study.config.custom import (
    CustomLossConfig,
    CustomMetricConfig,
    CustomOptimizerConfig,
    CustomScheduleConfig,
    Extensible,
)

__all__ = [
    "AdamConfig",
    "AdamWConfig",
    "ConstantScheduleConfig",
    "CosineScheduleConfig",
    "CrossEntropyConfig",
    "EarlyStoppingConfig",
    "LossConfig",
    "MSEConfig",
    "NLLConfig",
    "OneCycleScheduleConfig",
    "OptimizerConfig",
    "RMSpropConfig",
    "SGDConfig",
    "ScheduleConfig",
    "StepScheduleConfig",
    "TrainingConfig",
]

LearningRate: TypeAlias = Annotated[float, Field(gt=0.0, le=1e6)]
ClassWeights: TypeAlias = (
    Literal["balanced"] | Annotated[tuple[Annotated[float, Field(ge=0.0)], ...], BeforeValidator(to_tuple)]
)


class AdamConfig(Config):
    """Adam (Kingma and Ba 2015); weight decay is added to the gradient."""

    name: Literal["adam"] = "adam"
    lr: LearningRate = 1e-3
    """Learning rate."""
    weight_decay: float = Field(default=0.0, ge=0.0)
    """L2 penalty, added to the gradient."""
    betas: Annotated[tuple[Rate, Rate], BeforeValidator(to_tuple)] = (0.9, 0.999)
    """Decay rates of the running averages of the gradient and of its square."""


class AdamWConfig(Config):
    """AdamW (Loshchilov and Hutter 2019): Adam with decoupled weight decay."""

    name: Literal["adamw"] = "adamw"
    lr: LearningRate = 1e-3
    """Learning rate."""
    weight_decay: float = Field(default=0.01, ge=0.0)
    """Share of the weights taken off at each step, times the learning rate."""
    betas: Annotated[tuple[Rate, Rate], BeforeValidator(to_tuple)] = (0.9, 0.999)
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
    AdamConfig | AdamWConfig | SGDConfig | RMSpropConfig | CustomOptimizerConfig, Extensible("optimizer")
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


class MSEConfig(Config):
    """Mean of the squared errors of all outputs, for regression and autoencoders. An autoencoder is asked for the
    picture that it was given, augmented as it was, with pixels from 0 to 1, whatever `data.normalize` says."""

    name: Literal["mse"] = "mse"


LossConfig: TypeAlias = Annotated[CrossEntropyConfig | NLLConfig | MSEConfig | CustomLossConfig, Extensible("loss")]


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
    ConstantScheduleConfig | StepScheduleConfig | CosineScheduleConfig | OneCycleScheduleConfig | CustomScheduleConfig,
    Extensible("schedule"),
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
    balance: Literal["none", "loss", "sampler", "both"] = "none"
    """What is done about classes of different sizes: `loss` weights each class by its inverse frequency, `sampler`
    draws pictures with replacement so that each class is as frequent, `both` does both. Classes are the given labels.
    With `sampler` and `both`, an epoch has as many pictures as the training part, and `train/` metrics are over those
    drawn."""
    backbone_lr_factor: float = Field(default=1.0, gt=0.0, le=1.0)
    """Learning rate of a pretrained backbone that is trained too, as a share of the head's."""
    schedule: Annotated[ScheduleConfig, BeforeValidator(named)] = ConstantScheduleConfig()
    """How the learning rate changes; a bare name stands for its defaults."""
    metrics: Annotated[
        tuple[Annotated[CustomMetricConfig, Extensible("metric"), BeforeValidator(named)], ...],
        BeforeValidator(to_tuple),
    ] = ()
    """Metrics of plugins that are measured too, each under its name, as `train/<name>` and `val/<name>`."""
    early_stopping: EarlyStoppingConfig | None = None
    """When to end before the last epoch. Default: never."""
    backend: Literal["torch", "numpy"] = "torch"
    """`numpy` computes forward and backward pass and the optimizer's step with NumPy alone, for `logistic` and `mlp`
    without batch norm and dropout, with `sgd` or `adam`. The same weights and batches give the same numbers as `torch`,
    to floating-point precision."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """In which numbers the network computes. `bfloat16`: convolutions and matrix products with half of the bits, faster
    on GPUs since Ampere and on CPUs with AVX512-BF16; weights stay float32. `tf32`: matrix products whose factors are
    rounded to 10 bits of mantissa, on GPUs since Ampere; elsewhere the same as `float32`. Features of a frozen
    backbone, which are computed once, are float32 in all."""

    @model_validator(mode="after")
    def _check(self) -> TrainingConfig:
        names = [metric.name for metric in self.metrics]
        if len(set(names)) < len(names):
            raise FieldError(f"given {', '.join(names)}; allowed: each once", "metrics")
        if self.balance in ("loss", "both") and getattr(self.loss, "class_weights", None) is not None:
            raise FieldError(f"given {self.balance} beside loss.class_weights; allowed: one of them", "balance")
        if self.balance != "none" and isinstance(self.loss, MSEConfig):
            raise FieldError(f"given {self.balance} with a loss of mse; allowed: with classes", "balance")
        if self.backend == "numpy" and not isinstance(self.optimizer, SGDConfig | AdamConfig):
            raise FieldError(f"given numpy with {self.optimizer.name}; allowed: with sgd or adam", "backend")
        if self.backend == "numpy" and self.precision != "float32":
            raise FieldError(f"given {self.precision} with the backend numpy; allowed: float32", "precision")
        return self
