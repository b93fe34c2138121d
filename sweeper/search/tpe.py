"""Optuna's TPE, which asks faster: the same draws, up to the last digits of a float.

Optuna computes the logarithm of the normal distribution function in Python, one number after another; SciPy does it for
arrays. Groups of parameters are found from the branches that occur, not from each trial. Asking for a trial of 17
parameters took, with Optuna's class and with this one, 0.10 and 0.03 CPU seconds after 200 trials, 0.26 and 0.09 after
1,000, 0.50 and 0.39 after 5,000 (medians of 5 alternating questions, on a core of an AMD EPYC that many others used).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna import Study as OptunaStudy
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe import _truncnorm
from optuna.search_space.group_decomposed import _GroupDecomposedSearchSpace, _SearchSpaceGroup
from optuna.trial import FrozenTrial, TrialState

__all__ = ["FastTPESampler"]

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


@contextmanager
def _log_ndtr_of_scipy() -> Iterator[None]:
    """For a block alone: who uses Optuna beside sweeper finds it as it is."""
    from scipy.special import log_ndtr

    of_optuna = getattr(_truncnorm, "_log_ndtr", None)
    if of_optuna is None:  # a version of Optuna that does it in another way
        yield
        return
    _truncnorm._log_ndtr = log_ndtr
    try:
        yield
    finally:
        _truncnorm._log_ndtr = of_optuna


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


class FastTPESampler(TPESampler):
    """`TPESampler` for many trials."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if self._group_decomposed_search_space is not None:
            self._group_decomposed_search_space = _Groups(include_pruned=True)

    def _get_internal_repr(
        self, trials: list[FrozenTrial], search_space: dict[str, BaseDistribution], study: OptunaStudy
    ) -> dict[str, npt.NDArray[np.float64]]:
        names = search_space.keys()
        rows = [params for trial in trials if names <= (params := self._get_params(trial, study)).keys()]
        return {
            name: np.asarray([to_internal_repr(params[name]) for params in rows])
            for name, to_internal_repr in (
                (n, distribution.to_internal_repr) for n, distribution in search_space.items()
            )
        }

    def sample_relative(
        self, study: OptunaStudy, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        with _log_ndtr_of_scipy():
            return super().sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: OptunaStudy, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        with _log_ndtr_of_scipy():
            return super().sample_independent(study, trial, param_name, param_distribution)
