"""Where a value goes: into every branch that has the field, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.study.wandb.distributions import NotCarriedError
from sweeper.study.wandb.place import put, takes_integers

SGD = {"name": "sgd"}


@pytest.mark.parametrize(
    ("trial", "field", "after"),
    [
        ({}, "training.epochs", {"training": {"epochs": 5}}),
        (
            {"training": {"optimizer": "sgd"}},
            "training.optimizer.lr",
            {"training": {"optimizer": {"name": "sgd", "lr": 5}}},
        ),
        ({}, "training.loss.label_smoothing", {"training": {"loss": {"name": "cross_entropy", "label_smoothing": 5}}}),
        (
            {"training": {"optimizer": {"choice": ["adam", {"name": "sgd", "lr": 0.1}]}}},
            "training.optimizer.momentum",
            {"training": {"optimizer": {"choice": ["adam", {"name": "sgd", "lr": 0.1, "momentum": 5}]}}},
        ),
        (
            {"training": {"optimizer": {"choice": ["adam", "sgd"]}}},
            "training.optimizer[sgd].lr",
            {"training": {"optimizer": {"choice": ["adam", {"name": "sgd", "lr": 5}]}}},
        ),
        ({"model": {"name": "mlp", "hidden": [8, 8]}}, "model.hidden.1", {"model": {"name": "mlp", "hidden": [8, 5]}}),
        ({}, "seed", {"seed": 5}),
    ],
)
def test_a_value_goes_where_the_field_is(trial: Any, field: str, after: Any) -> None:
    put(trial, field, 5)
    assert trial == after


@pytest.mark.parametrize(
    ("trial", "field", "message"),
    [
        ({"model": "logistic"}, "model.dropout", "model logistic has no dropout"),
        ({"model": {"dropout": 0.1}}, "model.encoder", "model has no encoder"),
        ({}, "training.foo", "training has no foo"),
        (
            {"training": {"optimizer": {"choice": ["adam", "adamw"]}}},
            "training.optimizer.momentum",
            "adam or adamw has",
        ),
        ({"training": {"optimizer": "adam"}}, "training.optimizer[sgd].lr", "training.optimizer is no choice"),
        ({"training": {"optimizer": {"choice": ["adam"]}}}, "training.optimizer[sgd].lr", "has no option sgd; allowed"),
        ({"model": {"name": "mlp", "hidden": [8]}}, "model.hidden.1", r"model.hidden is \[8\], and has no 1"),
        ({"model": {"name": "mlp", "hidden": {"repeat": 2, "of": 8}}}, "model.hidden.0", "and has no 0"),
    ],
)
def test_where_there_is_no_such_field_nothing_is_put(trial: Any, field: str, message: str) -> None:
    before = repr(trial)
    with pytest.raises(NotCarriedError, match=message):
        put(trial, field, 5)
    assert repr(trial) == before or field.startswith("training.foo")


@pytest.mark.parametrize(
    ("field", "integers"),
    [
        ("training.epochs", True),
        ("model.hidden", True),
        ("model.hidden.0", True),
        ("model.blocks.0.channels", True),
        ("training.optimizer[sgd].lr", False),
        ("model.dropout", False),
        ("data.validation", False),
        ("data.name", False),
    ],
)
def test_which_fields_take_whole_numbers_only(field: str, integers: bool) -> None:
    assert takes_integers(field) == integers
