"""Which parameters varied."""

from __future__ import annotations

from sweeper.report.parameters import (
    constant_params,
    expand_lists,
    run_params,
    varied_params,
)

from .synthetic import make_run

ADAM = {"training.optimizer.name": "adam", "training.optimizer.lr": 0.01, "training.optimizer.betas": [0.9, 0.999]}
SGD = {"training.optimizer.name": "sgd", "training.optimizer.lr": 0.1, "training.optimizer.momentum": 0.9}


def test_settings_of_one_branch_did_not_vary_by_being_absent_elsewhere() -> None:
    assert varied_params([ADAM, ADAM | {"training.optimizer.lr": 0.02}, SGD]) == [
        "training.optimizer.name",
        "training.optimizer.lr",
    ]


def test_a_part_that_only_some_trials_have_varied() -> None:
    runs = [{"training.early_stopping": None}, {"training.early_stopping.patience": 5}]
    assert varied_params(runs) == ["training.early_stopping"]


def test_lengths_of_lists_are_parameters() -> None:
    short = run_params(make_run(0, params={"model.blocks.0.channels": 8, "data.augment": []}))
    long = run_params(
        make_run(1, params={"model.blocks.0.channels": 8, "model.blocks.1.channels": 8, "data.augment": []})
    )
    assert (short["model.blocks.repeat"], long["model.blocks.repeat"]) == (1, 2)
    assert short["data.augment.repeat"] == 0
    assert varied_params([short, long]) == ["model.blocks.repeat"]


def test_numbers_that_differ_in_every_trial_decide_nothing() -> None:
    parts = ({"model.unfreezing": None}, {"model.unfreezing.first": 2, "model.unfreezing.every": 1})
    runs = [{"model.dropout": 0.1 * n, **parts[n % 2]} for n in range(4)]
    assert varied_params(runs) == ["model.dropout", "model.unfreezing"]


def test_equal_numbers_of_two_types_are_one_value() -> None:
    assert varied_params([{"a": 1}, {"a": 1.0}]) == []
    assert varied_params([{"a": 1}, {"a": True}]) == ["a"]


def test_constants_say_how_many_trials_have_them() -> None:
    constants = {c.path: (c.value, c.n_runs) for c in constant_params([ADAM, SGD, SGD])}
    assert constants == {"training.optimizer.betas": ([0.9, 0.999], 1), "training.optimizer.momentum": (0.9, 2)}


def test_lists_are_taken_apart() -> None:
    assert expand_lists({"model.hidden": [200, 100], "seed": 0}) == {
        "model.hidden.repeat": 2,
        "model.hidden.0": 200,
        "model.hidden.1": 100,
        "seed": 0,
    }
