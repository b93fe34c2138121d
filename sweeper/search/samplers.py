"""Samplers and pruners: from a study's configuration to Optuna's objects."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial

import numpy as np
from optuna import Study as OptunaStudy
from optuna import pruners, samplers
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from sweeper.search.tpe import FastTPESampler, Numbers
from sweeper.study.study import (
    CmaEsSamplerConfig,
    GPSamplerConfig,
    GridSamplerConfig,
    HyperbandPrunerConfig,
    MedianPrunerConfig,
    NoPrunerConfig,
    PatientPrunerConfig,
    PercentilePrunerConfig,
    PrunerConfig,
    QMCSamplerConfig,
    RandomSamplerConfig,
    SamplerConfig,
    SuccessiveHalvingPrunerConfig,
    TPESamplerConfig,
    WilcoxonPrunerConfig,
)

__all__ = ["build_pruner", "build_sampler", "learns"]


class _GridSampler(samplers.BruteForceSampler):
    """Every point of a space once. Unlike Optuna's grid sampler it follows the branches of conditional spaces.

    The driver counts the points and stops by itself; Optuna's own stop is only for its `optimize` loop.
    """

    def after_trial(
        self, study: OptunaStudy, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        pass


def build_sampler(config: SamplerConfig, *, number: int, numbers: Numbers | None = None) -> samplers.BaseSampler:
    """The sampler that a study names, ready to draw one trial.

    Args:
        config: The sampler's configuration.
        number: Number of the trial. With the configuration's seed it determines the draw; a sampler that kept the seed
            alone would, after each start of the sweep, draw the same trials again.
        numbers: What TPE keeps of the trials of a study from one draw to the next, without which it draws the same, but
            slower.
    """
    seed = None if config.seed is None else _derive_seed(config.seed, number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if isinstance(config, TPESamplerConfig):
            # SciPy takes longer to import than it saves in the first trials, which are drawn at random.
            is_random = number < max(config.n_startup_trials, 10)
            tpe = samplers.TPESampler if is_random else partial(FastTPESampler, numbers=numbers)
            return tpe(
                seed=seed,
                n_startup_trials=config.n_startup_trials,
                n_ei_candidates=config.n_ei_candidates,
                multivariate=config.multivariate,
                group=config.group and config.multivariate,
                constant_liar=True,
            )
        if isinstance(config, RandomSamplerConfig):
            return samplers.RandomSampler(seed=seed)
        if isinstance(config, GridSamplerConfig):
            return _GridSampler(seed=seed)
        if isinstance(config, GPSamplerConfig):
            return samplers.GPSampler(
                seed=seed, n_startup_trials=config.n_startup_trials, warn_independent_sampling=False
            )
        if isinstance(config, CmaEsSamplerConfig):
            return samplers.CmaEsSampler(
                seed=seed,
                n_startup_trials=config.n_startup_trials,
                sigma0=config.sigma0,
                warn_independent_sampling=False,
            )
        assert isinstance(config, QMCSamplerConfig)
        return samplers.QMCSampler(
            qmc_type=config.sequence,
            scramble=True,
            seed=config.seed,  # of the scrambling: the same for all trials, which are points of one sequence
            warn_independent_sampling=False,
            warn_asynchronous_seeding=False,
        )


def learns(config: SamplerConfig, *, number: int) -> bool:
    """Whether what earlier trials gave matters for the draw of a trial.

    Args:
        config: The sampler's configuration.
        number: Number of the trial. No more trials than that have ended before it.
    """
    if isinstance(config, TPESamplerConfig | GPSamplerConfig | CmaEsSamplerConfig):
        return number >= config.n_startup_trials
    return False


def _derive_seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def build_pruner(config: PrunerConfig, *, max_epochs: int) -> pruners.BasePruner:
    """The pruner that a study names.

    Args:
        config: The pruner's configuration.
        max_epochs: Epochs of the longest trial of the space.
    """
    if isinstance(config, NoPrunerConfig):
        return pruners.NopPruner()
    # Epochs count from 1 and are reported as Optuna's steps, so that a pruner which spares all steps below n lets
    # every trial finish n epochs.
    if isinstance(config, MedianPrunerConfig):
        return pruners.MedianPruner(
            n_startup_trials=config.n_startup_trials,
            n_warmup_steps=config.min_epochs,
            interval_steps=config.interval_epochs,
        )
    if isinstance(config, PercentilePrunerConfig):
        return pruners.PercentilePruner(
            config.percentile,
            n_startup_trials=config.n_startup_trials,
            n_warmup_steps=config.min_epochs,
            interval_steps=config.interval_epochs,
        )
    if isinstance(config, SuccessiveHalvingPrunerConfig):
        return pruners.SuccessiveHalvingPruner(min_resource=config.min_epochs, reduction_factor=config.reduction_factor)
    if isinstance(config, HyperbandPrunerConfig):
        return pruners.HyperbandPruner(
            min_resource=config.min_epochs,
            max_resource=max(config.max_epochs or max_epochs, config.min_epochs),
            reduction_factor=config.reduction_factor,
        )
    if isinstance(config, PatientPrunerConfig):
        wrapped = None if config.wrapped is None else build_pruner(config.wrapped, max_epochs=max_epochs)
        return pruners.PatientPruner(wrapped, patience=config.patience, min_delta=config.min_delta)
    assert isinstance(config, WilcoxonPrunerConfig)
    return pruners.WilcoxonPruner(p_threshold=config.p_threshold, n_startup_steps=config.min_epochs)
