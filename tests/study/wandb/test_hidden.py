"""Width and number of hidden layers: two parameters of a sweep, one list of a study."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.study.wandb.distributions import NotCarriedError
from sweeper.study.wandb.hidden import hidden_layers


@pytest.mark.parametrize(
    ("width", "n_layers", "hidden", "after"),
    [
        ({"choice": [64, 128]}, None, None, [{"choice": [64, 128]}]),
        ({"int": [8, 64]}, None, [32], [{"int": [8, 64]}]),
        (64, {"int": [1, 3]}, [32], {"repeat": {"min": 1, "max": 3}, "of": 64}),
        (None, {"choice": [2, 1]}, [32, 32], {"repeat": {"min": 1, "max": 2}, "of": 32}),
        (None, 2, {"repeat": 1, "of": {"int": [8, 16]}}, {"repeat": 2, "of": {"int": [8, 16]}}),
        ({"int": [8, 64], "log": True}, 1, [8], [{"int": [8, 64], "log": True}]),
        ({"choice": [8, 16]}, {"int": [1, 2]}, [8], {"choice": [[8], [16], [8, 8], [16, 16]]}),
    ],
)
def test_width_and_number_of_layers_are_a_list(width: Any, n_layers: Any, hidden: Any, after: Any) -> None:
    assert hidden_layers(width, n_layers, {"name": "mlp", "hidden": hidden}) == after


@pytest.mark.parametrize(
    ("width", "n_layers", "hidden", "message"),
    [
        (
            64,
            None,
            [32, 16],
            r"where the base study has hidden: \[32, 16\]; --map NAME=model.hidden.0 says which layer",
        ),
        (64, None, {"repeat": 2, "of": 8}, r"; a base with one layer takes it, such as hidden: \[64\]"),
        (None, 2, [32, 16], "whose widths are not known"),
        (None, {"choice": [1, 3]}, [32], "allowed: a number, or all from one to another"),
        ({"int": [8, 64], "log": True}, 2, [8], "a study draws each for itself"),
        ({"int": [1, 640]}, 2, [8], "a study draws each for itself"),
    ],
)
def test_what_a_list_cannot_say_is_refused(width: Any, n_layers: Any, hidden: Any, message: str) -> None:
    with pytest.raises(NotCarriedError, match=message):
        hidden_layers(width, n_layers, {"name": "mlp", "hidden": hidden})
