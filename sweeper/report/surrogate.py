"""A model of a study's values as a function of its parameters: what each does while the others are averaged over."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from sweeper.launch.devices import count_cpus
from sweeper.report.drawn import Drawn, DrawnParameter

if TYPE_CHECKING:
    from sklearn.tree import ExtraTreeRegressor

__all__ = ["N_NEEDED", "TRUSTED", "USEFUL", "Interaction", "Marginal", "Surrogate"]

Floats: TypeAlias = npt.NDArray[np.float64]
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

N_NEEDED = 10
"""With fewer complete trials, no model of them is worth a look."""
USEFUL = 0.2
"""A model that explains less of the variance of trials it has not seen says next to nothing about them."""
TRUSTED = 0.5
"""A model that explains less of it claims nothing about pairs of parameters: an interaction is a small part of what a
model says, and the first to be made up."""
_N_SAMPLES = 60
"""Bootstrap samples, each with a forest of its own."""
_N_TREES = 12
_N_GRID = 20
_N_GRID_OF_PAIR = 14
_N_BACKGROUND = 60
"""At most so many trials are averaged over, spread evenly over their numbers."""
_N_OF_INTERACTION = 40
_Z = 1.959964


@dataclass(frozen=True, kw_only=True)
class Marginal:
    """The value against one parameter, averaged over what the trials have of the others."""

    parameter: DrawnParameter
    xs: tuple[float | str, ...]
    mean: Floats
    low: Floats
    high: Floats
    """95 % interval: mean ± 1.96 standard deviations over the bootstrap samples."""

    @property
    def span(self) -> float:
        """From the lowest to the highest mean."""
        return float(self.mean.max() - self.mean.min())


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """What two parameters do only together."""

    first: DrawnParameter
    second: DrawnParameter
    size: float
    """Standard deviation, over the trials, of the joint effect less the sum of the two single ones."""
    share: float
    """Friedman's H²: its share of the variance of the joint effect, 0 to 1."""


def _in_threads(function: Callable[[_Given], _Made], given: Iterable[_Given]) -> list[_Made]:
    """The function of each, in order. Trees grow and predict without Python's lock."""
    with ThreadPoolExecutor(count_cpus()) as pool:
        return list(pool.map(function, given))


class Surrogate:
    """Extremely randomized trees (Geurts, Ernst and Wehenkel 2006), fitted to bootstrap samples of the complete trials.

    A parameter that a trial does not have is a value of its own for the trees. Same trials, same numbers.

    Args:
        drawn: The trials, at least `N_NEEDED`, with at least one parameter.
        log: Fit the logarithm of the values, which are all above 0; effects are given in that.
    """

    def __init__(self, drawn: Drawn, *, log: bool = False) -> None:
        self.drawn = drawn
        self.log = log
        values = np.asarray(drawn.values)
        self._y = np.log10(values) if log else values
        self._columns: dict[str, slice] = {}
        self._effects: dict[tuple[str, bytes], Floats] = {}
        start = 0
        for parameter in drawn.parameters:
            width = 1 if parameter.is_number else len(parameter.options)
            self._columns[parameter.path] = slice(start, start + width)
            start += width
        self._x = np.concatenate(
            [
                np.stack([self._encoded(parameter, row.get(parameter.path)) for row in drawn.rows])
                for parameter in drawn.parameters
            ],
            axis=1,
        )
        generator = np.random.default_rng(0)
        n = len(self._y)
        self._samples = [generator.integers(0, n, n) for _ in range(_N_SAMPLES)]

    def _encoded(self, parameter: DrawnParameter, value: float | str | None) -> Floats:
        """Columns of one value. A number that is missing lies below all others; a missing category is none of them."""
        if not parameter.is_number:
            return np.asarray([float(value == option) for option in parameter.options])
        if value is None:
            first, last = (self._position(parameter, parameter.options[end]) for end in (0, -1))
            return np.asarray([2.0 * first - last - 1.0])
        return np.asarray([self._position(parameter, value)])

    @staticmethod
    def _position(parameter: DrawnParameter, value: Any) -> float:
        return math.log10(value) if parameter.is_log else float(value)

    @cached_property
    def _forests(self) -> list[list[ExtraTreeRegressor]]:
        # Imported here: it takes longer to import than a small report to write.
        from sklearn.tree import ExtraTreeRegressor

        # The trees of an `ExtraTreesRegressor` of this seed. Fitted together, each would set the process's
        # filters of warnings aside, which in several threads at once warns of itself.
        def fit(k: int) -> list[ExtraTreeRegressor]:
            own, generator = self._samples[k], np.random.RandomState(k)
            seeds = [int(generator.randint(np.iinfo(np.int32).max)) for _ in range(_N_TREES)]
            return [
                ExtraTreeRegressor(min_samples_leaf=2, random_state=seed).fit(self._x[own], self._y[own])
                for seed in seeds
            ]

        return _in_threads(fit, range(_N_SAMPLES))

    def _predictions(self, xs: Floats) -> Floats:
        """Prediction of each bootstrap sample's forest: shape (samples, rows of `xs`)."""
        xs32 = np.ascontiguousarray(xs, dtype=np.float32)

        # The trees' own prediction: the forest's checks its input anew for each, which takes ten times as long.
        def predict(forest: list[ExtraTreeRegressor]) -> Floats:
            mean: Floats = np.mean([tree.tree_.predict(xs32)[:, 0] for tree in forest], axis=0)
            return mean

        return np.stack(_in_threads(predict, self._forests))

    @cached_property
    def explained(self) -> float:
        """R² on trials that the forest was not fitted to (out of bag): 1 is perfect, 0 or less is no better than the
        mean of all."""
        predicted = self._predictions(self._x)
        outside = np.stack([~np.isin(np.arange(len(self._y)), sample) for sample in self._samples])
        known = outside.any(axis=0)
        mean = (predicted * outside).sum(axis=0)[known] / outside.sum(axis=0)[known]
        total = float(((self._y[known] - self._y[known].mean()) ** 2).sum())
        return 1.0 - float(((self._y[known] - mean) ** 2).sum()) / total if total > 0.0 else 0.0

    def _with(self, parameters: Sequence[DrawnParameter], n_most: int) -> npt.NDArray[np.int64]:
        """Indices of trials that have all of some parameters; at most `n_most`, spread evenly."""
        own = [i for i, row in enumerate(self.drawn.rows) if all(p.path in row for p in parameters)]
        places = np.linspace(0, len(own) - 1, min(len(own), n_most)).round().astype(int)
        return np.asarray(own, dtype=np.int64)[places] if own else np.zeros(0, dtype=np.int64)

    @staticmethod
    def _grid(parameter: DrawnParameter, n_most: int) -> tuple[float | str, ...]:
        if not parameter.is_number or len(parameter.options) <= n_most:
            return parameter.options
        low, high = (float(parameter.options[i]) for i in (0, -1))
        points = np.geomspace(low, high, n_most) if parameter.is_log else np.linspace(low, high, n_most)
        return tuple(float(f"{x:.6g}") for x in points)

    def _dependence(
        self, places: Sequence[Sequence[tuple[DrawnParameter, float | str]]], background: npt.NDArray[np.int64]
    ) -> Floats:
        """Partial dependence (Friedman 2001) of each bootstrap sample: shape (samples, places).

        Args:
            places: Parameters set to values, for each place.
            background: The trials from which all other parameters are taken.
        """
        blocks = np.repeat(self._x[background][np.newaxis], len(places), axis=0)
        for block, place in zip(blocks, places, strict=True):
            for parameter, value in place:
                block[:, self._columns[parameter.path]] = self._encoded(parameter, value)
        predicted = self._predictions(blocks.reshape(-1, self._x.shape[1]))
        means: Floats = predicted.reshape(len(predicted), len(places), len(background)).mean(axis=2)
        return means

    def marginal(self, parameter: DrawnParameter) -> Marginal:
        """The effect of one parameter, over the trials that have it."""
        xs = self._grid(parameter, _N_GRID)
        each = self._dependence([[(parameter, x)] for x in xs], self._with([parameter], _N_BACKGROUND))
        mean, half = each.mean(axis=0), _Z * each.std(axis=0, ddof=1)
        return Marginal(parameter=parameter, xs=xs, mean=mean, low=mean - half, high=mean + half)

    def interaction(self, first: DrawnParameter, second: DrawnParameter) -> Interaction | None:
        """How much two parameters do only together (Friedman and Popescu 2008); None where hardly a trial has both."""
        own = self._with([first, second], _N_OF_INTERACTION)
        if len(own) < N_NEEDED:
            return None
        a, b = ([self.drawn.rows[i][p.path] for i in own] for p in (first, second))
        both = self._dependence([[(first, x), (second, y)] for x, y in zip(a, b, strict=True)], own).mean(axis=0)
        alone = [self._alone(parameter, own) for parameter in (first, second)]
        both, one, other = (effect - effect.mean() for effect in (both, *alone))
        rest = both - one - other
        total = float((both**2).mean())
        size = float((rest**2).mean())
        share = min(size / total, 1.0) if total > 0.0 else 0.0
        return Interaction(first=first, second=second, size=math.sqrt(size), share=share)

    def _alone(self, parameter: DrawnParameter, own: npt.NDArray[np.int64]) -> Floats:
        """Mean effect of what some trials have of a parameter, over the same trials; computed once for all pairs."""
        key = parameter.path, own.tobytes()
        if key not in self._effects:
            places = [[(parameter, self.drawn.rows[i][parameter.path])] for i in own]
            self._effects[key] = self._dependence(places, own).mean(axis=0)
        return self._effects[key]

    def joint(
        self, first: DrawnParameter, second: DrawnParameter
    ) -> tuple[tuple[float | str, ...], tuple[float | str, ...], Floats]:
        """The value against two parameters: values of the first, of the second, and means of shape (second, first)."""
        xs, ys = (self._grid(p, _N_GRID_OF_PAIR) for p in (first, second))
        places = [[(first, x), (second, y)] for y in ys for x in xs]
        means = self._dependence(places, self._with([first, second], _N_OF_INTERACTION)).mean(axis=0)
        return xs, ys, means.reshape(len(ys), len(xs))
