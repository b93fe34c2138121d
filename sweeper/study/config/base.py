"""What all parts of a configuration share: the base class, errors that name fields, metric names."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from sweeper.study.words import nearest, show

__all__ = [
    "AnyMetricName",
    "Config",
    "FieldError",
    "MetricName",
    "Rate",
    "Share",
    "Width",
    "Widths",
    "check_metric",
    "count_of",
    "is_known_metric",
    "named",
    "to_tuple",
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


def to_tuple(value: Any) -> Any:
    """Read a list as a tuple."""
    return tuple(value) if isinstance(value, list) else value


def named(value: Any) -> Any:
    """Read `adam` as `{name: adam}`."""
    return {"name": value} if isinstance(value, str) else value


Width: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]
Widths: TypeAlias = Annotated[tuple[Width, ...], BeforeValidator(to_tuple)]
Rate: TypeAlias = Annotated[float, Field(ge=0.0, lt=1.0)]
Share: TypeAlias = Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0.0, lt=1.0)]
_SHARES = ("accuracy", "balanced_accuracy", "auc", "true_accuracy", "true_balanced_accuracy")
METRIC_PATTERN = (
    r"^((train|val)/(loss(/.+)?|(true_)?accuracy(/.+)?|(true_)?balanced_accuracy|auc)|lr|seconds|pictures_per_second)$"
)


def count_of(n: int, noun: str) -> str:
    """`1 picture`, `2 pictures`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def is_known_metric(name: str) -> bool:
    """Whether a metric is one of sweeper's own, by the form of its name."""
    return re.fullmatch(METRIC_PATTERN, name) is not None


def _refuse_test(name: str) -> str:
    if name.startswith("test/"):
        raise ValueError(
            f"given {show(name)}; allowed: train/ or val/. What the test pictures say must choose nothing; "
            "`sweeper finalize` measures on them"
        )
    return name


def check_metric(name: str) -> str:
    """A metric that sweeper's own training measures, by the form of its name.

    Raises:
        ValueError: It is another.
    """
    _refuse_test(name)
    if not re.fullmatch(METRIC_PATTERN, name):
        hint = nearest(name, [f"{part}/{what}" for part in ("train", "val") for what in ("loss", *_SHARES)])
        raise ValueError(
            f"given {show(name)}{hint or ';'} allowed: train/ or val/ with loss, accuracy, accuracy/<class>, "
            "balanced_accuracy or auc, with true_accuracy, true_accuracy/<class> or true_balanced_accuracy where "
            "labels are made wrong on purpose, or with loss/<output> of a regression; lr; seconds; pictures_per_second"
        )
    return name


AnyMetricName: TypeAlias = Annotated[str, Field(min_length=1, max_length=250), AfterValidator(_refuse_test)]
MetricName: TypeAlias = Annotated[
    str, AfterValidator(check_metric), WithJsonSchema({"type": "string", "pattern": METRIC_PATTERN})
]
