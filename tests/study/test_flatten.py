"""Trees as dotted paths, values as text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.study.flatten import decode, encode, flatten

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(scalars, lambda of: st.lists(of) | st.dictionaries(st.text(), of), max_leaves=8)


@given(values)
def test_a_value_comes_back_with_its_type(value: Any) -> None:
    decoded = decode(encode(value))
    assert decoded == value
    assert repr(decoded) == repr(value)


@pytest.mark.parametrize(
    "text",
    ["1", "1e-4", "-0", "true", "null", "NaN", "Infinity", "[1, 2]", '{"a": 1}', '"x"', '"', " 1 ", "", "9" * 5000],
)
def test_strings_that_look_like_something_else_stay_strings(text: str) -> None:
    assert decode(encode(text)) == text


@pytest.mark.parametrize("word", ["adam", "val/accuracy", "horizontal_flip", "yes", "stl10", "1.2.3"])
def test_plain_words_are_written_as_they_are(word: str) -> None:
    assert encode(word) == word


def test_flatten() -> None:
    tree = {
        "model": {"name": "cnn", "blocks": [{"channels": 4}, {"channels": 8}], "hidden": (200, 100), "dropout": ()},
        "training": {"early_stopping": None, "extra": {}},
        "seed": 0,
    }
    assert flatten(tree) == {
        "model.name": "cnn",
        "model.blocks.0.channels": 4,
        "model.blocks.1.channels": 8,
        "model.hidden": [200, 100],
        "model.dropout": [],
        "training.early_stopping": None,
        "training.extra": {},
        "seed": 0,
    }
