"""Optuna's TPE, which asks faster: the same draws, up to the last digits of a float.

Optuna computes the logarithm of the normal distribution function in Python, one number after another; SciPy does it for
arrays. Groups of parameters are found from the branches that occur, not from each trial, and which trials are good is
told once for all groups. Asking for a trial of 17 parameters took, with Optuna's class and with this one, 0.17 and 0.04
CPU seconds after 200 trials, 0.27 and 0.09 after 1,000, 0.54 and 0.33 after 5,000 (medians of 5 alternating questions,
on a core of an AMD EPYC that many others used).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from optuna import Study as OptunaStudy
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe import _truncnorm
from optuna.samplers._tpe import sampler as _sampler
from optuna.search_space.group_decomposed import _GroupDecomposedSearchSpace, _SearchSpaceGroup
from optuna.trial import FrozenTrial, TrialState

__all__ = ["FastTPESampler"]

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


@contextmanager
def _replaced(module: ModuleType, name: str, by: Callable[..., Any]) -> Iterator[None]:
    """Put another function in the place of one of Optuna's, for a block alone: who uses Optuna beside sweeper finds it
    as it is. Nothing is done where this version of Optuna has no such function.
    """
    of_optuna = getattr(module, name, None)
    if of_optuna is not None:
        setattr(module, name, by)
    try:
        yield
    finally:
        if of_optuna is not None:
            setattr(module, name, of_optuna)


def _log_ndtr(a: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    from scipy.special import log_ndtr  # imported when the first trial is drawn by it

    result: npt.NDArray[np.float64] = log_ndtr(a)
    return result


def _once(call: Callable[..., Any]) -> Callable[..., Any]:
    """The result of the first call, for all calls."""
    results: list[Any] = []

    def wrapper(*args: Any) -> Any:
        if not results:
            results.append(call(*args))
        return results[0]

    return wrapper


class _Groups(_GroupDecomposedSearchSpace):
    """Groups of parameters that occur together. A trial with the parameters of an earlier one changes none, and is left
    out: a search has thousands of trials, and a few branches."""

    def calculate(self, study: OptunaStudy, use_cache: bool = False) -> _SearchSpaceGroup:
        seen: set[frozenset[str]] = set()
        for trial in study._get_trials(deepcopy=False, states=ENDED, use_cache=use_cache):
            names = frozenset(trial.distributions)
            if names not in seen:
                seen.add(names)
                self._search_space.add_distributions(trial.distributions)
        return copy.deepcopy(self._search_space)


class _Row(NamedTuple):
    """The parameters of a group in one trial, as numbers. Optuna's storage in memory makes new dictionaries where it
    changes a trial, so that those of a trial as it was are the same objects."""

    params: Mapping[str, Any]
    system_attrs: Mapping[str, Any]
    is_finished: bool
    numbers: tuple[float, ...] | None
    """None where the trial has not all of them."""

    @classmethod
    def of(cls, trial: FrozenTrial, params: Mapping[str, Any], space: Mapping[str, BaseDistribution]) -> _Row:
        numbers = None
        if space.keys() <= params.keys():
            numbers = tuple(distribution.to_internal_repr(params[name]) for name, distribution in space.items())
        return cls(trial.params, trial.system_attrs, trial.state.is_finished(), numbers)

    def holds_for(self, trial: FrozenTrial) -> bool:
        """Whether the trial is as it was."""
        if self.is_finished:  # its attributes may change, but do not matter
            return trial.params is self.params
        return trial.params is self.params and trial.system_attrs is self.system_attrs and not trial.state.is_finished()


Numbers: TypeAlias = "dict[tuple[tuple[str, BaseDistribution], ...], dict[int, _Row]]"
"""By group of parameters and number of the trial."""


class FastTPESampler(TPESampler):
    """`TPESampler` for many trials.

    Args:
        numbers: What earlier samplers of the same study kept; changed in place.
        **options: Of `TPESampler`.
    """

    def __init__(self, *, numbers: Numbers | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._numbers: Numbers = {} if numbers is None else numbers
        if self._group_decomposed_search_space is not None:
            self._group_decomposed_search_space = _Groups(include_pruned=True)

    def _get_internal_repr(
        self, trials: list[FrozenTrial], search_space: dict[str, BaseDistribution], study: OptunaStudy
    ) -> dict[str, npt.NDArray[np.float64]]:
        known = self._numbers.setdefault(tuple(search_space.items()), {})
        rows = []
        for trial in trials:
            row = known.get(trial.number)
            if row is None or not row.holds_for(trial):
                row = known[trial.number] = _Row.of(trial, self._get_params(trial, study), search_space)
            if row.numbers is not None:
                rows.append(row.numbers)
        columns = np.array(rows, dtype=np.float64).reshape(len(rows), len(search_space)).T
        return {name: np.ascontiguousarray(column) for name, column in zip(search_space, columns, strict=True)}

    def sample_relative(
        self, study: OptunaStudy, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        # Each group of parameters asks which trials are good, which is the same for all.
        split = _once(getattr(_sampler, "_split_trials", id))
        with _replaced(_truncnorm, "_log_ndtr", _log_ndtr), _replaced(_sampler, "_split_trials", split):
            return super().sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: OptunaStudy, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        with _replaced(_truncnorm, "_log_ndtr", _log_ndtr):
            return super().sample_independent(study, trial, param_name, param_distribution)
