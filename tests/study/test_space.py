"""Search spaces: what is drawn lies in them, walks meet every point once, and Optuna sees the same space."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sweeper.study.distributions import describe
from sweeper.study.space import (
    ChoiceDistribution,
    Distribution,
    Draw,
    FloatDistribution,
    IntDistribution,
    RandomSuggester,
    RepeatDistribution,
    Scalar,
    Space,
    SpaceError,
)
from tests.study.spaces import finite_spaces, spaces

MAX_POINTS = 2000


def holds(distribution: Distribution, value: Scalar) -> bool:
    """Whether a value is one of a distribution's."""
    if isinstance(distribution, ChoiceDistribution):
        return any(value == label and type(value) is type(label) for label in distribution.labels)
    if isinstance(distribution, RepeatDistribution):
        return isinstance(value, int) and distribution.low <= value <= distribution.high
    if isinstance(distribution, IntDistribution):
        in_step = isinstance(value, int) and (value - distribution.low) % distribution.step == 0
        return in_step and distribution.low <= value <= distribution.high
    assert isinstance(distribution, FloatDistribution)
    if not isinstance(value, float) or not distribution.low <= value <= distribution.high:
        return False
    steps = 0.0 if distribution.step is None else (value - distribution.low) / distribution.step
    return distribution.step is None or math.isclose(steps, round(steps), abs_tol=1e-6)


def key_of(draw: Draw) -> str:
    """What tells draws apart: names and values with their types."""
    return json.dumps(draw.params)


@given(spaces, st.integers(0, 2**32))
def test_a_draw_lies_in_its_space(raw: dict[str, Any], seed: int) -> None:
    space = Space.parse(raw)
    draw = space.draw(RandomSuggester(seed))
    for name, value in draw.params.items():
        assert holds(space.distributions[name], value), name


@given(spaces)
def test_a_space_is_read_back_as_written(raw: dict[str, Any]) -> None:
    space = Space.parse(raw)
    written = json.loads(json.dumps(space.to_raw()))
    assert Space.parse(written) == space
    assert json.dumps(Space.parse(written).to_raw()) == json.dumps(space.to_raw())


@given(finite_spaces)
def test_a_grid_holds_every_point_once(raw: dict[str, Any]) -> None:
    space = Space.parse(raw)
    assert space.n_grid_points is not None
    assume(space.n_grid_points <= MAX_POINTS)
    points = list(space.grid())
    assert len({key_of(point) for point in points}) == len(points) == space.n_grid_points
    assert all(holds(space.distributions[name], value) for point in points for name, value in point.params.items())


def n_corners(raw: Any) -> int:
    """Number of corners, counted from the raw tree."""
    if isinstance(raw, Mapping):
        if "int" in raw or "float" in raw:
            low, high = raw.get("int") or raw["float"]
            return 2 if low + raw.get("step", 0 if "float" in raw else 1) <= high * (1 + 1e-12) and low < high else 1
        if "choice" in raw:
            return sum(map(n_corners, raw["choice"]))
        if "repeat" in raw:
            counts = raw["repeat"] if isinstance(raw["repeat"], Mapping) else {"min": raw["repeat"]}
            return sum(n_corners(raw["of"]) ** count for count in counts.values())
        return math.prod(map(n_corners, raw.values()))
    return math.prod(map(n_corners, raw)) if isinstance(raw, list) else 1


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"a": {"int": [1, 9]}, "b": {"float": [0.0, 1.0]}},
        {"a": {"int": [1, 1]}, "b": {"int": [1, 9], "step": 20}, "c": {"float": [0.0, 1.0], "step": 2.0}},
        {"a": {"choice": [1, {"int": [2, 5]}, {"name": "x", "b": {"choice": [True, False]}}]}},
        {"a": {"repeat": {"min": 0, "max": 3}, "of": {"b": {"int": [1, 2]}, "c": {"choice": ["x", "y", "z"]}}}},
        {"a": {"choice": [{"repeat": {"min": 1, "max": 2}, "of": {"int": [1, 3]}}, [4, {"float": [0.1, 0.2]}]]}},
    ],
)
def test_corners_are_every_combination_of_ends_and_choices_once(raw: dict[str, Any]) -> None:
    space = Space.parse(raw)
    corners = list(space.corners())
    assert len({key_of(corner) for corner in corners}) == len(corners) == n_corners(raw)
    for corner in corners:
        for name, value in corner.params.items():
            distribution = space.distributions[name]
            assert holds(distribution, value)
            if isinstance(distribution, IntDistribution):
                values = range(distribution.low, distribution.high + 1, distribution.step)
                assert value in (values[0], values[-1])


def test_corners_of_some_parameters_keep_the_others_at_their_first_option() -> None:
    space = Space.parse({"a": {"int": [1, 9]}, "b": {"choice": ["x", "y"]}})
    assert [corner.tree for corner in space.corners(lambda name: name == "b")] == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
    ]


def test_neighbours_differ_from_a_corner_in_one_parameter() -> None:
    raw = {"a": {"int": [1, 9]}, "b": {"choice": ["x", {"name": "y", "c": {"int": [3, 4]}}]}}
    space = Space.parse(raw)
    corner = next(c for c in space.corners() if c.tree == {"a": 9, "b": "x"})
    found = [(name, neighbour.tree) for name, neighbour in space.neighbours(corner) if neighbour.tree != corner.tree]
    assert found == [("a", {"a": 1, "b": "x"}), ("b", {"a": 9, "b": {"name": "y", "c": 3}})]


def test_parameters_are_named_by_their_path_and_branch() -> None:
    raw = {
        "model": {"blocks": {"repeat": {"min": 1, "max": 2}, "of": {"channels": {"int": [1, 2]}}}},
        "training": {"optimizer": {"choice": [{"name": "adam", "lr": {"float": [0.1, 1]}}, {"name": "sgd", "lr": 1}]}},
    }
    assert list(Space.parse(raw).distributions) == [
        "model.blocks.repeat",
        "model.blocks.0.channels",
        "model.blocks.1.channels",
        "training.optimizer",
        "training.optimizer[adam].lr",
    ]


def labels(*options: Any) -> tuple[Scalar, ...]:
    """What a sampler sees of a choice."""
    distribution = Space.parse({"x": {"choice": list(options)}}).distributions["x"]
    assert isinstance(distribution, ChoiceDistribution)
    return distribution.labels


def test_labels_tell_options_apart() -> None:
    assert labels(16, "16", None, "None", 0.5) == (16, "16", None, "None", 0.5)
    sgd = {"name": "sgd", "lr": 0.1}
    assert labels("sgd", sgd, {**sgd, "lr": 0.2}) == ("sgd", "sgd#2", "sgd#3")
    assert labels({"name": "a"}, {"name": "a", "b": 1}, "a#2") == ("a", "a#2", "a#2#2")
    assert labels([8], "[8]") == ("[8]", "[8]#2")
    long = labels([*range(100)], [*range(100), 1])
    assert len(set(long)) == 2
    assert all(isinstance(label, str) and len(label) < 70 for label in long)


@pytest.mark.parametrize("options", [[1, True], [1, 1.0], [0.0, False], [1, 1], [[1], [True]], [{"a": 1}, {"a": 1.0}]])
def test_options_that_optuna_cannot_tell_apart_are_refused(options: list[Any]) -> None:
    with pytest.raises(SpaceError, match="options that differ"):
        Space.parse({"x": {"choice": options}})


@given(spaces, st.integers(0, 1000))
def test_optuna_draws_from_the_same_space(raw: dict[str, Any], seed: int) -> None:
    space = Space.parse(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna warns of what it changes in a distribution
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        drawn = space.draw(study.ask())
        fixed = space.draw(optuna.trial.FixedTrial(drawn.params))
    assert all(holds(space.distributions[name], value) for name, value in drawn.params.items())
    (stored,) = study.get_trials()
    assert json.dumps(stored.params) == json.dumps(drawn.params)
    assert fixed == drawn


def test_options_keep_their_types_through_optuna() -> None:
    options = [1, "1", None, 0.5, "true", [1], {"name": "one"}]
    space = Space.parse({"x": {"choice": options}})
    study = optuna.create_study()
    for label, option in zip(labels(*options), options, strict=True):
        study.enqueue_trial({"x": label})
        assert repr(space.draw(study.ask()).tree["x"]) == repr(option)
    assert repr([trial.params["x"] for trial in study.get_trials()]) == repr(list(labels(*options)))


@pytest.mark.parametrize(
    ("raw", "bound"),
    [
        ({"training": {"epochs": 5}}, 5),
        ({"training": {"epochs": {"int": [2, 9]}}}, 9),
        ({"training": {"epochs": {"choice": [2, 9, {"int": [3, 12]}]}}}, 12),
        ({"training": {"choice": [{"epochs": 3}, {"epochs": {"int": [2, 7]}}, {}]}}, 7),
        ({"training": {}}, None),
        ({"training": {"epochs": "many"}}, None),
    ],
)
def test_upper_bound(raw: dict[str, Any], bound: int | None) -> None:
    assert Space.parse(raw).upper_bound("training.epochs") == bound


def test_draws_are_the_same_for_the_same_seed() -> None:
    space = Space.parse({"a": {"float": [1e-6, 1.0], "log": True}, "b": {"choice": ["x", "y", "z"]}})
    assert space.draw(RandomSuggester(3)) == space.draw(RandomSuggester(3)) != space.draw(RandomSuggester(4))


def test_distributions_made_in_python_are_checked_like_those_of_a_file() -> None:
    width = IntDistribution(low=16, high=64, step=16)
    lr = FloatDistribution(low=1e-4, high=1e-2, log=True)
    optimizer = ChoiceDistribution(options=({"name": "adam", "lr": lr}, {"name": "sgd", "lr": 0.1}))
    hidden = RepeatDistribution(low=1, high=2, of=width)
    made = Space.parse({"hidden": hidden, "optimizer": optimizer})
    assert made == Space.parse(made.to_raw())
    assert made.to_raw()["optimizer"]["choice"][0]["lr"] == {"float": [1e-4, 1e-2], "log": True}
    with pytest.raises(SpaceError, match=r"optimizer.choice.0.lr.float: given low 2.0 above high 1.0"):
        Space.parse({"optimizer": ChoiceDistribution(options=(({"lr": FloatDistribution(low=2.0, high=1.0)}),))})
    texts = [describe(node) for node in (width, lr, optimizer, hidden, ChoiceDistribution(options=(True, 3)))]
    assert texts == ["16 to 64, by 16", "0.0001 to 0.01, logarithmic", "adam, sgd", "1 to 2 items", "true, 3"]
