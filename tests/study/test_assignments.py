"""Values for parameters by the paths that tables show; each checked against its distribution."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.errors import InputError
from sweeper.study.assignments import fix_params, paths_of
from sweeper.study.space import Space

SPACE = Space.parse(
    {
        "data": {"name": "digits", "validation": 0.2},
        "model": {
            "name": "mlp",
            "hidden": {"repeat": {"min": 1, "max": 3}, "of": {"int": [16, 128]}},
            "dropout": [{"float": [0.0, 0.5], "step": 0.1}, 0.25],
            "batch_norm": {"choice": [True, False]},
        },
        "training": {
            "epochs": 12,
            "batch_size": {"choice": [16, 32, 64]},
            "loss": {"choice": ["nll", {"name": "cross_entropy", "label_smoothing": 0.1}]},
            "balance": {"choice": ["none", "loss"]},
            "schedule": {"choice": [{"name": "constant"}, {"name": "step", "every": {"int": [2, 8], "step": 2}}]},
            "optimizer": {
                "choice": [
                    {"name": "adam", "lr": {"float": [1e-4, 1e-2], "log": True}},
                    {"name": "sgd", "lr": {"float": [1e-3, 1.0], "log": True}, "momentum": {"float": [0.0, 0.9]}},
                ]
            },
            "early_stopping": {"patience": {"choice": [3, None]}},
        },
    }
)
ADAM, SGD = "training.optimizer[adam].lr", "training.optimizer[sgd].lr"


@pytest.mark.parametrize(
    ("assignments", "params"),
    [
        (["training.batch_size=32"], {"training.batch_size": 32}),
        (["trial.training.batch_size = 32.0"], {"training.batch_size": 32}),
        (["batch_size=32"], {"training.batch_size": 32}),
        (["model.batch_norm=false"], {"model.batch_norm": False}),
        (["patience=null"], {"training.early_stopping.patience": None}),
        (["balance=none"], {"training.balance": "none"}),
        (["training.optimizer.name=sgd"], {"training.optimizer": "sgd"}),
        (["optimizer=sgd"], {"training.optimizer": "sgd"}),
        (["loss=cross_entropy"], {"training.loss": "cross_entropy"}),
        (["lr=0.1", "optimizer=sgd"], {"training.optimizer": "sgd", SGD: 0.1}),
        (["training.optimizer.lr=0.1", "training.optimizer.name=sgd"], {"training.optimizer": "sgd", SGD: 0.1}),
        (["optimizer={name: sgd, lr: 1}"], {"training.optimizer": "sgd", SGD: 1.0}),
        (["training.optimizer[sgd].lr=1", "optimizer=sgd"], {"training.optimizer": "sgd", SGD: 1.0}),
        # Whichever of both is drawn.
        (["lr=5e-3"], {ADAM: 0.005, SGD: 0.005}),
        (["model.hidden=[64, 32]"], {"model.hidden.repeat": 2, "model.hidden.0": 64, "model.hidden.1": 32}),
        (["hidden=[16]"], {"model.hidden.repeat": 1, "model.hidden.0": 16}),
        (["model.hidden.0=64"], {"model.hidden.0": 64}),
        (["model.hidden.1=64", "model.hidden.repeat=2"], {"model.hidden.repeat": 2, "model.hidden.1": 64}),
        (["model.dropout.0=0.3"], {"model.dropout.0": 0.3}),
        (["model.dropout=[0.30000000000000004, 0.25]"], {"model.dropout.0": 0.3}),
        (["schedule=step", "every=4"], {"training.schedule": "step", "training.schedule[step].every": 4}),
        (["training.epochs=12"], {}),
    ],
)
def test_a_path_and_a_value_are_parameters(assignments: list[str], params: dict[str, Any]) -> None:
    fixed = fix_params(SPACE, assignments)
    assert fixed == params
    assert {name: type(value) for name, value in fixed.items()} == {name: type(v) for name, v in params.items()}


def test_options_without_a_name_are_on_no_path() -> None:
    blocks = [[{"channels": {"int": [8, 16]}}], [{"channels": {"int": [8, 16]}}, {"channels": 4}]]
    space = Space.parse({"model": {"name": "cnn", "blocks": {"choice": blocks}, "hidden": {"choice": [[8], [8, 8]]}}})
    assert set(paths_of(space).values()) == {"model.blocks", "model.blocks.0.channels", "model.hidden"}
    assert set(paths_of(space)) == set(space.distributions)
    fixed = fix_params(space, ["channels=9", "model.hidden=[8, 8]"])
    assert list(fixed.values()) == ["[8, 8]", 9, 9]
    with pytest.raises(InputError, match=r"model.blocks.0.channels: given 99; allowed: an integer from 8 to 16 \(with"):
        fix_params(space, ["model.blocks.0.channels=99"])


def test_what_is_given_already_gives_way() -> None:
    given = {"training.optimizer": "sgd", SGD: 0.5, "training.batch_size": 16}
    assert fix_params(SPACE, ["lr=0.1", "momentum=0.5"], given) == {
        **given,
        SGD: 0.1,
        "training.optimizer[sgd].momentum": 0.5,
    }


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["batch_size"], "given 'batch_size'; allowed: path=value, such as training.optimizer.lr=0.01"),
        (
            ["training.batchsize=32"],
            "training.batchsize: no parameter of this study; did you mean 'training.batch_",
        ),
        (["batch_size=20"], "training.batch_size: given 20; allowed: 16, 32, 64"),
        (["batch_size=true"], "training.batch_size: given true; allowed: 16, 32, 64"),
        (["batch_norm=1"], "model.batch_norm: given 1; allowed: true, false"),
        (["optimizer=adamw"], "training.optimizer: given 'adamw'; allowed: adam, sgd"),
        (
            ["optimizer={name: sgd, beta: 1}"],
            "training.optimizer: given {name: 'sgd', beta: 1}; allowed: {name",
        ),
        (["lr=0.5", "optimizer=adam"], "training.optimizer.lr: given 0.5; allowed: 0.0001 to 0.01 (with training.opt"),
        (["lr=0.5"], "training.optimizer.lr: given 0.5; allowed: 0.0001 to 0.01 (with training.optimizer = adam)"),
        (["lr=high"], "training.optimizer.lr: given 'high'; allowed: 0.0001 to 0.01"),
        (["lr=.nan"], "training.optimizer.lr: given .nan; allowed: 0.0001 to 0.01"),
        (
            ["momentum=0.5"],
            "training.optimizer.momentum: is not there with each training.optimizer; give training.",
        ),
        (
            ["momentum=0.5", "optimizer=adam"],
            "training.optimizer.momentum: is not there with training.optimizer = 'ad",
        ),
        (
            ["every=3", "schedule=step"],
            "training.schedule.every: given 3; allowed: an integer from 2 to 8 in steps of",
        ),
        (["model.dropout.0=0.25"], "model.dropout.0: given 0.25; allowed: 0.0 to 0.5 in steps of 0.1"),
        (["model.dropout=[0.3, 0.3]"], "model.dropout.1: given 0.3; allowed: 0.25, which does not vary in this study"),
        (["model.hidden=[]"], "model.hidden: given []; allowed: a list of 1 to 3"),
        (["model.hidden=64"], "model.hidden: given 64; allowed: a list of 1 to 3"),
        (["model.hidden=[64, 8]"], "model.hidden.1: given 8; allowed: an integer from 16 to 128"),
        (["model.hidden.0=64.5"], "model.hidden.0: given 64.5; allowed: an integer from 16 to 128"),
        (["model.hidden.1=64"], "model.hidden.1: is there with 2 or more only; give model.hidden.repeat=2 too"),
        (["model.hidden.1=64", "model.hidden.repeat=1"], "model.hidden.1: is there with 2 or more only; give model"),
        (["model.hidden.3=64"], "model.hidden.3: no parameter of this study"),
        (["training.epochs=13"], "training.epochs: given 13; allowed: 12, which does not vary in this study"),
        (["0=0.3"], "0: may be model.hidden.0 or model.dropout.0; give the whole path"),
        (["lr=0.001", "training.optimizer.lr=0.002"], "training.optimizer.lr: given twice; allowed: once"),
    ],
)
def test_one_message_names_parameter_value_and_what_is_allowed(assignments: list[str], message: str) -> None:
    with pytest.raises(InputError) as raised:
        fix_params(SPACE, assignments)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
