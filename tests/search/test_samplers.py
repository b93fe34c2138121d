"""Every sampler and pruner by its name, through the optimizer."""

from __future__ import annotations

import json
import math
import warnings
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import optuna
import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.samplers._tpe import _truncnorm
from optuna.trial import TrialState

from sweeper.search.optimizer import Optimizer, Proposal
from sweeper.search.tpe import FastTPESampler
from sweeper.study.study import PrunerConfig, SamplerConfig
from tests.search.conftest import TRIAL, drain, make_study

Open = Callable[..., Optimizer]


def names(union: Any) -> set[str]:
    """Names of the members of a union of configurations."""
    return {member.model_fields["name"].default for member in get_args(get_args(union)[0])}


SAMPLERS: dict[str, dict[str, Any]] = {
    "tpe": {"seed": 1, "n_startup_trials": 3},
    "random": {"seed": 1},
    "grid": {"seed": 1},
    "gp": {"seed": 1, "n_startup_trials": 3},
    "cmaes": {"seed": 1},
    "qmc": {"seed": 1},
}
PRUNERS: dict[str, dict[str, Any]] = {
    "none": {},
    "median": {"n_startup_trials": 1, "min_epochs": 3},
    "percentile": {"n_startup_trials": 1, "min_epochs": 3, "percentile": 50.0},
    "successive_halving": {"min_epochs": 3, "reduction_factor": 2},
    "hyperband": {"min_epochs": 3, "reduction_factor": 2},
    "patient": {"patience": 3},
    "wilcoxon": {"min_epochs": 3},
}
HIDDEN = {"int": [8, 9]}
FINITE = {
    "data": {"name": "digits"},
    "model": {"choice": ["logistic", {"name": "mlp", "hidden": {"repeat": {"min": 1, "max": 2}, "of": HIDDEN}}]},
    "training": {
        "epochs": 1,
        "batch_size": 16,
        "optimizer": {"choice": [{"name": "adam", "lr": {"float": [0.1, 0.2], "step": 0.1}}, "sgd"]},
    },
}
N_POINTS = (1 + 2 + 4) * (2 + 1)


def test_each_sampler_and_pruner_of_the_study_file_is_tested_here() -> None:
    assert names(SamplerConfig) == SAMPLERS.keys()
    assert names(PrunerConfig) == PRUNERS.keys()


def loss(proposal: Proposal, epoch: int) -> float:
    """Best at a learning rate of 0.01."""
    return abs(math.log10(float(proposal.params.get("training.optimizer.lr", 0.01)) / 0.01)) + 1.0 / epoch


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.filterwarnings("error")
def test_sampler(name: str, open_study: Open) -> None:
    trial = FINITE if name == "grid" else TRIAL
    sampler = {"name": name, **SAMPLERS[name]}
    optimizer = open_study(trial=trial, sampler=sampler, budget={"trials": 6}, objective={"metric": "val/loss"})
    proposals = drain(optimizer, loss, epochs=1)
    optimizer.close()
    assert [proposal.number for proposal in proposals] == list(range(6))
    assert len({json.dumps(dict(proposal.params)) for proposal in proposals}) == 6
    assert {trial.state for trial in optimizer.trials()} == {"COMPLETE"}


@pytest.mark.parametrize("name", sorted(SAMPLERS.keys() - {"grid"}))
def test_a_seeded_sampler_draws_the_same_again(name: str, open_study: Open) -> None:
    draws = []
    for study in ("one", "two"):
        sampler = {"name": name, **SAMPLERS[name]}
        optimizer = open_study(name=study, sampler=sampler, budget={"trials": 3})
        draws.append([proposal.params for proposal in drain(optimizer, lambda proposal, epoch: 0.5, epochs=1)])
        optimizer.close()
    assert draws[0] == draws[1]


def test_a_grid_tries_each_point_once_branches_included(open_study: Open) -> None:
    optimizer = open_study(trial=FINITE, sampler={"name": "grid", "seed": 3})
    proposals = drain(optimizer, lambda proposal, epoch: 0.5, epochs=1)
    optimizer.close()
    points = {json.dumps(dict(point.params)) for point in optimizer.study.trial.grid()}
    assert len(points) == N_POINTS
    assert {json.dumps(dict(proposal.params)) for proposal in proposals} == points
    assert len(proposals) == len(points)


def test_a_grid_goes_on_where_it_was(open_study: Open, reopen: Callable[[], Optimizer]) -> None:
    optimizer = open_study(trial=FINITE, sampler="grid")
    first = [optimizer.ask() for _ in range(8)]
    for proposal in first:
        optimizer.tell(proposal.number, "COMPLETE", 0.5)
    optimizer.close()
    later = reopen()
    rest = drain(later, lambda proposal, epoch: 0.5, epochs=1)
    later.close()
    assert len({json.dumps(dict(proposal.params)) for proposal in first + rest}) == N_POINTS


@pytest.mark.parametrize("name", PRUNERS)
@pytest.mark.filterwarnings("error")
def test_pruner(name: str, open_study: Open) -> None:
    optimizer = open_study(
        sampler={"name": "random", "seed": 1}, pruner={"name": name, **PRUNERS[name]}, budget={"trials": 8}
    )

    def worse_and_worse(proposal: Proposal, epoch: int) -> float:
        return 1.0 - 0.05 * proposal.number + (0.001 if proposal.number % 2 else -0.001) * epoch

    drain(optimizer, worse_and_worse, epochs=6)
    optimizer.close()
    pruned = [trial for trial in optimizer.trials() if trial.state == "PRUNED"]
    assert bool(pruned) == (name != "none")
    spared = PRUNERS[name].get("min_epochs", PRUNERS[name].get("patience", 1))
    assert all(len(trial.epochs) >= spared for trial in pruned)


@pytest.mark.parametrize("wrapped", ["median", "percentile", "successive_halving", "hyperband"])
def test_a_patient_pruner_asks_the_wrapped_one(wrapped: str, open_study: Open) -> None:
    pruner = {"name": "patient", "patience": 2, "wrapped": {"name": wrapped}}
    optimizer = open_study(sampler={"name": "random", "seed": 1}, pruner=pruner, budget={"trials": 5})
    # Each improves from epoch to epoch: whatever the wrapped pruner says, none is pruned.
    drain(optimizer, lambda proposal, epoch: 0.01 * epoch - proposal.number, epochs=6)
    optimizer.close()
    assert {trial.state for trial in optimizer.trials()} == {"COMPLETE"}


def test_hyperband_takes_its_epochs_from_the_space_even_below_a_choice(open_study: Open) -> None:
    training = {"choice": [{**TRIAL["training"], "epochs": 3}, {**TRIAL["training"], "epochs": 27}]}
    optimizer = open_study(trial={**TRIAL, "training": training}, pruner="hyperband")
    assert optimizer.study.trial.upper_bound("training.epochs") == 27
    optimizer.close()


def test_tpe_with_scipy_draws_what_optuna_draws() -> None:
    study = make_study()
    of_optuna = _truncnorm._log_ndtr

    def draws(sampler: Callable[..., TPESampler]) -> list[dict[str, Any]]:
        searched = optuna.create_study()
        found, running = [], deque[optuna.Trial]()
        for number in range(60):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                searched.sampler = sampler(seed=number, multivariate=True, group=True, constant_liar=True)
            trial = searched.ask()
            study.trial.draw(trial)
            found.append(trial.params)
            running.append(trial)
            trial.report(math.cos(number), 1)
            if len(running) > 4:  # others run meanwhile
                state = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)[number % 3]
                searched.tell(running.popleft(), math.sin(number) if number % 3 == 0 else None, state=state)
        return found

    for ours, theirs in zip(draws(partial(FastTPESampler, numbers={})), draws(TPESampler), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-9)
    assert _truncnorm._log_ndtr is of_optuna
