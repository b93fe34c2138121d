"""The distributions that may stand in the place of a value, and how a value is drawn from each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol, TypeAlias

from sweeper.errors import InputError
from sweeper.study.words import show

__all__ = [
    "DISTRIBUTIONS",
    "ChoiceDistribution",
    "Distribution",
    "FloatDistribution",
    "IntDistribution",
    "Node",
    "RepeatDistribution",
    "Scalar",
    "Suggester",
    "describe",
    "float_step",
    "labels_of",
    "n_float_steps",
    "to_raw",
]

Scalar: TypeAlias = bool | int | float | str | None


class Suggester(Protocol):
    """Gives a value for a parameter. Optuna's `Trial` is one."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A float in [low, high], both included."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """An integer in [low, high], both included."""

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        """One of `choices`."""


@dataclass(frozen=True, kw_only=True)
class FloatDistribution:
    """A float in [low, high]: uniform, uniform in the logarithm (`log`), or on a grid from `low` (`step`)."""

    low: float
    """The smallest value, included."""
    high: float
    """The largest value, included."""
    log: bool = False
    """Uniform in the logarithm."""
    step: float | None = None
    """Only `low`, `low` + `step`, and so on."""

    def suggest(self, suggester: Suggester, name: str) -> float:
        # Up to the last step: Optuna warns of a range that steps do not divide.
        last = self.high
        if self.step is not None:
            last = float_step(self.low, self.step, n_float_steps(self.low, self.high, self.step) - 1)
        return suggester.suggest_float(name, self.low, last, step=self.step, log=self.log)

    def to_raw(self) -> dict[str, Any]:
        raw: dict[str, Any] = {"float": [self.low, self.high]}
        return raw | ({"log": True} if self.log else {}) | ({} if self.step is None else {"step": self.step})


@dataclass(frozen=True, kw_only=True)
class IntDistribution:
    """An integer in [low, high]: uniform, uniform in the logarithm (`log`), or every `step` from `low`."""

    low: int
    """The smallest value, included."""
    high: int
    """The largest value, included."""
    log: bool = False
    """Uniform in the logarithm."""
    step: int = 1
    """Only `low`, `low` + `step`, and so on."""

    def suggest(self, suggester: Suggester, name: str) -> int:
        last = range(self.low, self.high + 1, self.step)[-1]
        return suggester.suggest_int(name, self.low, last, step=self.step, log=self.log)

    def to_raw(self) -> dict[str, Any]:
        raw: dict[str, Any] = {"int": [self.low, self.high]}
        return raw | ({"log": True} if self.log else {}) | ({} if self.step == 1 else {"step": self.step})


@dataclass(frozen=True, kw_only=True)
class ChoiceDistribution:
    """One of several values, or of several branches that may hold distributions of their own.

    Raises:
        InputError: The options are no list.
    """

    options: tuple[Node, ...]
    """Values or branches, each another."""
    labels: tuple[Scalar, ...] = field(init=False)
    """What the sampler sees: the value itself, a branch's `name`, or a short form of it."""

    def __post_init__(self) -> None:
        if not isinstance(self.options, list | tuple):
            raise InputError(f"ChoiceDistribution: options: given {show(self.options)}; allowed: a list")
        object.__setattr__(self, "labels", labels_of(self.options))

    def suggest(self, suggester: Suggester, name: str) -> int:
        """Index of the option chosen."""
        return self.labels.index(suggester.suggest_categorical(name, self.labels))

    def to_raw(self) -> dict[str, Any]:
        return {"choice": [to_raw(option) for option in self.options]}


@dataclass(frozen=True, kw_only=True)
class RepeatDistribution:
    """A list of `low` to `high` items, each drawn for itself."""

    low: int
    """The smallest number of items."""
    high: int
    """The largest."""
    of: Node
    """What each item is: a value, a distribution, or a branch that holds some."""

    def to_raw(self) -> dict[str, Any]:
        count = self.low if self.low == self.high else {"min": self.low, "max": self.high}
        return {"repeat": count, "of": to_raw(self.of)}


Distribution: TypeAlias = FloatDistribution | IntDistribution | ChoiceDistribution | RepeatDistribution
Node: TypeAlias = "Scalar | Distribution | dict[str, Node] | list[Node]"

DISTRIBUTIONS = {
    "float": {"float", "log", "step"},
    "int": {"int", "log", "step"},
    "choice": {"choice"},
    "repeat": {"repeat", "of"},
}
"""The keys of each distribution."""


def describe(node: Distribution) -> str:
    """What values it gives, in a few words."""
    if isinstance(node, ChoiceDistribution):
        return ", ".join(json.dumps(label) if isinstance(label, bool | None) else str(label) for label in node.labels)
    if isinstance(node, RepeatDistribution):
        return f"{node.low} to {node.high} items"
    step = "" if node.step in (None, 1) else f", by {node.step:g}"
    return f"{node.low:g} to {node.high:g}{', logarithmic' if node.log else step}"


def to_raw(node: Node) -> Any:
    if isinstance(node, FloatDistribution | IntDistribution | ChoiceDistribution | RepeatDistribution):
        return node.to_raw()
    if isinstance(node, dict):
        return {key: to_raw(value) for key, value in node.items()}
    if isinstance(node, list):
        return [to_raw(value) for value in node]
    return node


def labels_of(options: Sequence[Node]) -> tuple[Scalar, ...]:
    """What a sampler sees of the options of a choice: each its own."""
    labels: list[Scalar] = []
    for option in options:
        if isinstance(option, dict) and isinstance(option.get("name"), str):
            label: Scalar = option["name"]  # type: ignore[assignment]  # narrowed by isinstance above
        elif option is None or isinstance(option, bool | int | float | str):
            label = option
        else:
            label = json.dumps(to_raw(option), separators=(", ", ": "), default=str)[:60]
        labels.append(label)
    # Optuna holds 1, 1.0 and true for equal, so that labels must differ by more than their type.
    for i, label in enumerate(labels):
        n = 1
        while labels[i] in labels[:i]:
            n += 1
            labels[i] = f"{label}#{n}"
    return tuple(labels)


def n_float_steps(low: float, high: float, step: float) -> int:
    """Number of points of a float with a step. Counted in decimals: 0.0 to 0.3 by 0.1 has four."""
    return int((Decimal(str(high)) - Decimal(str(low))) // Decimal(str(step))) + 1


def float_step(low: float, step: float, index: int) -> float:
    """One point of a float with a step: 0.3, not 0.1 + 0.1 + 0.1."""
    return float(Decimal(str(low)) + index * Decimal(str(step)))
