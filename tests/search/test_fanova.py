"""fANOVA: the same shares as Optuna's, and those of a function that is known."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator

from sweeper.search.fanova import explain_variance


def _optuna_shares(
    columns: dict[str, list[float | str]], values: list[float], *, max_depth: int, seed: int
) -> dict[str, float]:
    distributions: dict[str, BaseDistribution] = {}
    for name, column in columns.items():
        numbers = [value for value in column if not isinstance(value, str)]
        texts = sorted({str(value) for value in column})
        distributions[name] = (
            FloatDistribution(min(numbers), max(numbers)) if numbers else CategoricalDistribution(texts)
        )
    study = optuna.create_study()
    for row, value in zip(zip(*columns.values(), strict=True), values, strict=True):
        params = dict(zip(columns, row, strict=True))
        study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=value))
    return FanovaImportanceEvaluator(max_depth=max_depth, seed=seed).evaluate(study, sorted(columns))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("n_trials", [10, 150])
def test_shares_are_those_of_optuna(seed: int, n_trials: int) -> None:
    generator = np.random.default_rng(seed)
    columns: dict[str, list[float | str]] = {
        "lr": generator.uniform(-5.0, -1.0, n_trials).tolist(),
        "width": generator.integers(10, 200, n_trials).astype(float).tolist(),
        "pool": generator.choice([2.0, 4.0], n_trials).tolist(),
        "optimizer": generator.choice(["adam", "rmsprop", "sgd", "lion"], n_trials).tolist(),
        "loss": generator.choice(["cross_entropy", "nll"], n_trials).tolist(),
    }
    columns["pool"][:2], columns["loss"][:2] = [2.0, 4.0], ["cross_entropy", "nll"]
    values = [
        -((float(lr) + 3.0) ** 2) + 0.5 * (optimizer == "sgd") * float(lr) + 0.002 * float(width)
        for lr, optimizer, width in zip(columns["lr"], columns["optimizer"], columns["width"], strict=True)
    ]
    for max_depth in (3, 8):
        ours = explain_variance(columns, values, max_depth=max_depth, seed=seed)
        theirs = _optuna_shares(columns, values, max_depth=max_depth, seed=seed)
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_shares_of_a_sum_are_those_of_its_variance() -> None:
    """Of x + 2y over the unit square, x explains a fifth of the variance and y four fifths."""
    generator = np.random.default_rng(3)
    x, y, z = generator.uniform(size=(3, 2000))
    columns: dict[str, list[float | str]] = {"x": x.tolist(), "y": y.tolist(), "z": z.tolist()}
    shares = explain_variance(columns, (x + 2.0 * y).tolist(), max_depth=8, seed=0)
    assert shares["x"] == pytest.approx(0.2, abs=0.02)
    assert shares["y"] == pytest.approx(0.8, abs=0.02)
    assert shares["z"] < 0.005


def test_nothing_is_explained_of_values_that_are_all_the_same() -> None:
    columns: dict[str, list[float | str]] = {"x": [0.0, 1.0, 2.0], "kind": ["a", "b", "a"]}
    assert explain_variance(columns, [1.0, 1.0, 1.0], max_depth=8, seed=0) == {"x": 0.0, "kind": 0.0}
    assert explain_variance({}, [1.0, 2.0], max_depth=8, seed=0) == {}
