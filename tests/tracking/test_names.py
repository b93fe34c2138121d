"""Names of metrics: accepted by MLflow, different where the originals are, readable back."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric

from sweeper.tracking.names import MAX_LENGTH, metric_name, original_name

NAMES = st.text(alphabet="ab_x2f7/.é' :\\T-\n", min_size=1, max_size=30) | st.text(min_size=1, max_size=30)


@given(NAMES)
@example("a//b")
@example("../x")
@example("..")
@example("/")
@example("a/")
@example("_x27_")
@example("_x2'")
@example("a_x5f_x2f_")
def test_every_name_is_accepted_and_read_back(name: str) -> None:
    for whole in (name, f"val/accuracy/{name}"):
        encoded = metric_name(whole)
        _validate_metric(encoded, 0.5, 0, 1)
        if len(encoded) < MAX_LENGTH:
            assert original_name(encoded) == whole


@given(st.lists(NAMES, unique=True, min_size=2, max_size=10))
def test_different_names_stay_different(names: list[str]) -> None:
    assert len({metric_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("name", ["val/accuracy", "val/accuracy/T-shirt/top", "val/accuracy/é", "lr", "train/auc"])
def test_usual_names_stay_as_they_are(name: str) -> None:
    assert metric_name(name) == name


def test_names_in_mlflow() -> None:
    assert metric_name("val/accuracy/bird's") == "val/accuracy/bird_x27_s"
    assert metric_name("val/accuracy/a//b") == "val/accuracy/a_x2f_/b"
    assert metric_name("val/accuracy/../x") == "val/accuracy/_x2e_./x"


def test_names_that_are_too_long_end_in_a_hash() -> None:
    one, other = metric_name("val/accuracy/" + "a" * 300), metric_name("val/accuracy/" + "a" * 299 + "b")
    assert len(one) == len(other) == MAX_LENGTH
    assert one != other
