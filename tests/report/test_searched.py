"""The search space in a reader's words."""

from __future__ import annotations

from sweeper.report.searched import describe, gather_space, parameters_of_space
from sweeper.study.space import Space

from .synthetic import TRIAL

LOG = {"float": [1e-4, 1e-2], "log": True}
CHANNELS = {"int": [4, 16], "log": True}
BRANCHES = {
    "model": {
        "name": "cnn",
        "blocks": {
            "choice": [
                [{"channels": CHANNELS, "pool": {"choice": [2, 4]}}, {"channels": CHANNELS, "pool": 2}],
                [{"channels": CHANNELS, "pool": 2}] * 3,
            ]
        },
    },
    "training": {
        "optimizer": {
            "choice": [
                {"name": "adam", "lr": LOG},
                {"name": "sgd", "lr": {"float": [0.01, 0.3]}, "momentum": {"float": [0.0, 0.9]}},
                {"name": "rmsprop", "lr": LOG},
            ]
        },
        "schedule": {
            "choice": [
                "constant",
                {"name": "step", "every": 5},
                {"name": "step", "every": 10, "factor": {"float": [0.1, 0.9]}},
            ]
        },
        "early_stopping": {"choice": [None, {"patience": {"int": [3, 9]}}]},
    },
}


def test_parameters_of_branches_share_a_path() -> None:
    found = parameters_of_space(Space.parse(TRIAL))
    lr, optimizer = found["training.optimizer.lr"], found["training.optimizer.name"]
    assert (lr.log, lr.choice, lr.branch) == (True, False, "training.optimizer.name")
    assert (optimizer.choice, optimizer.order, optimizer.branch) == (True, ("adam", "sgd"), None)
    assert found["training.batch_size"].order == ("16", "32", "64", "128")


def test_distributions_in_words() -> None:
    words = {name: describe(d) for name, d in Space.parse(TRIAL).distributions.items()}
    assert words["training.optimizer[adam].lr"] == "1e-5 to 0.03, logarithmic"
    assert words["model.blocks.0.channels"] == "6 to 140, integer, logarithmic"
    assert words["training.optimizer"] == "one of adam, sgd"
    assert words["model.blocks.repeat"] == "2 to 3 items"
    stepped = Space.parse({"a": {"float": [0.0, 0.5], "step": 0.1}}).distributions["a"]
    assert describe(stepped) == "0 to 0.5, in steps of 0.1"


def test_branches_have_the_names_that_users_wrote() -> None:
    rows = {row.parameter: row for row in gather_space(Space.parse(BRANCHES)).itertuples()}
    schedule, factor = rows["training.schedule"], rows["training.schedule.factor"]
    assert schedule.distribution == "one of constant, step (every 5), step (every 10)"
    assert (schedule.only_with, factor.only_with) == ("", "schedule: step (every 10)")
    assert rows["training.optimizer.momentum"].only_with == "optimizer: sgd"
    assert not any("#" in " ".join(map(str, row)) for row in rows.values())


def test_parameters_drawn_alike_in_several_branches_share_a_row() -> None:
    rows = gather_space(Space.parse(BRANCHES))
    rates = rows[rows["parameter"] == "training.optimizer.lr"]
    assert rates["only_with"].tolist() == ["optimizer: adam or rmsprop", "optimizer: sgd"]
    always = {"choice": [{"name": "adam", "lr": LOG}, {"name": "rmsprop", "lr": LOG}]}
    rows = gather_space(Space.parse({"training": {"optimizer": always}}))
    assert rows.set_index("parameter")["only_with"]["training.optimizer.lr"] == ""


def test_below_a_choice_of_lists_paths_are_those_of_trials() -> None:
    found = parameters_of_space(Space.parse(BRANCHES))
    assert found["model.blocks.repeat"].order == ("2", "3")
    assert (found["model.blocks.0.channels"].branch, found["model.blocks.0.channels"].branches) == (
        "model.blocks.repeat",
        (2, 3),
    )
    assert found["model.blocks.0.pool"].branches == (2,)
    assert found["model.blocks.2.channels"].branches == (3,)
    rows = {(row.parameter, row.only_with) for row in gather_space(Space.parse(BRANCHES)).itertuples()}
    assert ("model.blocks.0–2.channels", "blocks: 3 items") in rows


def test_a_branch_without_a_name_is_told_by_no_parameter() -> None:
    patience = parameters_of_space(Space.parse(BRANCHES))["training.early_stopping.patience"]
    assert (patience.branch, patience.branches) == (None, ())
    rows = gather_space(Space.parse(BRANCHES)).set_index("parameter")
    assert rows["distribution"]["training.early_stopping"] == "one of none, patience"
    assert rows["only_with"]["training.early_stopping.patience"] == "early_stopping: patience"


def test_items_of_a_list_that_are_drawn_alike_share_a_row() -> None:
    rows = gather_space(Space.parse(TRIAL)).set_index("parameter")["distribution"]
    assert rows["model.blocks.0–2.channels"] == "6 to 140, integer, logarithmic"
    assert "model.blocks.0.pool" not in rows
