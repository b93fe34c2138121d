"""Suggesters beside Optuna's `Trial`: draws at random, and walks over every corner or grid point of a space."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sweeper.study.distributions import Scalar, float_step, n_float_steps

__all__ = ["EndsSuggester", "FixedSuggester", "Odometer", "PointsSuggester", "RandomSuggester"]


class RandomSuggester:
    """Independent random draws from a seed, for previews and tests."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if step is not None:
            return float_step(low, step, self._random.randrange(n_float_steps(low, high, step)))
        if log:
            return min(max(math.exp(self._random.uniform(math.log(low), math.log(high))), low), high)
        return self._random.uniform(low, high)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        if log:
            exponent = self._random.uniform(math.log(low - 0.5), math.log(high + 0.5))
            return min(max(round(math.exp(exponent)), low), high)
        return self._random.choice(range(low, high + 1, step))

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        return self._random.choice(choices)


class FixedSuggester(RandomSuggester):
    """Given values for some parameters, random draws for the others."""

    def __init__(self, params: Mapping[str, Scalar], seed: int) -> None:
        super().__init__(seed)
        self._params = params
        self.n_drawn = 0
        """Parameters that were not given."""

    def _given(self, name: str, drawn: Any) -> Any:
        self.n_drawn += name not in self._params
        return self._params.get(name, drawn)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._given(name, super().suggest_float(name, low, high, step=step, log=log)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._given(name, super().suggest_int(name, low, high, step=step, log=log)))

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        value: Scalar = self._given(name, super().suggest_categorical(name, choices))
        return value


class EndsSuggester:
    """A suggester that lets a function choose among the ends of each range and all choices."""

    def __init__(self, choose: Callable[[str, Sequence[Any]], Any]) -> None:
        self._choose = choose

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._choose(name, [low] if low == high else [low, high]))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._choose(name, [low] if low == high else [low, high]))

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        value: Scalar = self._choose(name, choices)
        return value


class PointsSuggester(EndsSuggester):
    """A suggester that lets a function choose among all points of a finite space."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        n_points = 1 if step is None else n_float_steps(low, high, step)
        return float(self._choose(name, [float_step(low, step or 0.0, i) for i in range(n_points)]))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._choose(name, range(low, high + 1, step)))


class Odometer:
    """Counts through all combinations of the options it is shown, the last one fastest."""

    def __init__(self, admit: Callable[[str, Sequence[Any]], Sequence[Any]]) -> None:
        self.position = 0
        self._admit = admit
        self._digits: list[list[int]] = []  # [index, count] of each decision taken so far

    def choose(self, name: str, options: Sequence[Any]) -> Any:
        """The option that the combination has here."""
        admitted = self._admit(name, options)
        if self.position == len(self._digits):
            self._digits.append([0, len(admitted)])
        index = self._digits[self.position][0]
        self.position += 1
        return admitted[index]

    def advance(self) -> bool:
        """Go to the next combination; False after the last one."""
        while self._digits:
            self._digits[-1][0] += 1
            if self._digits[-1][0] < self._digits[-1][1]:
                return True
            self._digits.pop()
        return False
