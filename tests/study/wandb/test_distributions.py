"""W&B's distributions in the form of a study: the same values, as likely; what differs is said, the rest refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sweeper.study.wandb.distributions import Converted, NotCarriedError, convert_distribution
from sweeper.study.wandb.sweep_file import parse_sweep_file


def convert(spec: str, *, integer: bool = False, grid: bool = False, **bounds: float) -> Converted:
    (parameter,) = parse_sweep_file(f"method: random\nparameters: {{x: {spec}}}", source="s.yaml").parameters
    return convert_distribution(parameter, integer=integer, grid=grid, **bounds)


def ranged(kind: str, low: float, high: float, more: str = "") -> str:
    return f"{{distribution: {kind}, min: {low}, max: {high}{more}}}"


@pytest.mark.parametrize(
    ("spec", "raw"),
    [
        ("{value: [64, 32]}", [64, 32]),
        ("{values: [16, 32]}", {"choice": [16, 32]}),
        ("{values: [adam]}", "adam"),
        ("{values: [16, 32], probabilities: [0.5, 0.5]}", {"choice": [16, 32]}),
        ("{values: [16, 32, 64], probabilities: [0.5, 0, 0.5]}", {"choice": [16, 64]}),
        ("{min: 1, max: 8}", {"int": [1, 8]}),
        ("{min: 0.25, max: 1.5}", {"float": [0.25, 1.5]}),
        (ranged("uniform", 0, 1), {"float": [0.0, 1.0]}),
        (ranged("log_uniform_values", 0.001, 1), {"float": [0.001, 1.0], "log": True}),
        (ranged("inv_log_uniform_values", 0.001, 1), {"float": [0.001, 1.0], "log": True}),
        (ranged("log_uniform", -9, -2), {"float": [math.exp(-9), math.exp(-2)], "log": True}),
        # log(1/X) between 2 and 9 is log(X) between -9 and -2.
        (ranged("inv_log_uniform", 2, 9), {"float": [math.exp(-9), math.exp(-2)], "log": True}),
    ],
)
def test_these_draw_the_same(spec: str, raw: Any) -> None:
    assert convert(spec) == Converted(raw=raw)


@pytest.mark.parametrize(
    ("spec", "raw"),
    [
        (ranged("q_uniform", 1, 9), {"int": [1, 9], "step": 1}),
        (ranged("q_uniform", 10, 50, ", q: 8"), {"int": [8, 48], "step": 8}),
        (ranged("q_uniform", 0.0, 0.5, ", q: 0.1"), {"float": [0.0, 0.5], "step": 0.1}),
        (ranged("q_log_uniform_values", 8, 256), {"int": [8, 256], "log": True}),
        (ranged("q_log_uniform", math.log(8), math.log(256), ", q: 1"), {"int": [8, 256], "log": True}),
    ],
)
def test_steps_have_the_values_of_wandb_whose_ends_are_rarer(spec: str, raw: Any) -> None:
    converted = convert(spec)
    assert converted.raw == raw
    (change,) = converted.changes
    assert "less often" in change


@pytest.mark.parametrize(
    ("spec", "raw"),
    [
        (ranged("q_uniform", 0, 4), {"int": [0, 3], "step": 1}),
        (ranged("q_uniform", 0.5, 2, ", q: 0.5"), {"float": [0.5, 1.5], "step": 0.5}),
        (ranged("q_uniform", 1, 2), 1),
        ("{min: 0, max: 4}", {"int": [0, 4]}),
    ],
)
def test_a_grid_counts_as_wandb_does(spec: str, raw: Any) -> None:
    assert convert(spec, grid=True) == Converted(raw=raw)


@pytest.mark.parametrize(
    ("spec", "raw", "change"),
    [
        ("{values: [1, 2], probabilities: [0.25, 0.75]}", {"choice": [1, 2]}, "the probabilities 0.25, 0.75 are not "),
        ("{values: [1, 2, 2, 2.0]}", {"choice": [1, 2]}, "the probabilities 0.25, 0.75 are not carried over"),
        (
            ranged("log_uniform", 0.00001, 0.1),
            {"float": [math.exp(1e-5), math.exp(0.1)], "log": True},
            "log_unif",
        ),
    ],
)
def test_a_difference_is_said(spec: str, raw: Any, change: str) -> None:
    converted = convert(spec)
    assert converted.raw == raw
    assert converted.changes[0].startswith(change)


def test_an_end_that_a_field_does_not_take_moves_by_less_than_a_draw_could_tell() -> None:
    converted = convert(ranged("uniform", 0, 0.1), above=0.0)
    assert converted.raw == {"float": [1e-10, 0.1]}
    assert converted.changes == ("from 1e-10 instead of 0: the field takes numbers above 0 only",)
    assert convert(ranged("uniform", 0, 1), below=1.0).raw == {"float": [0.0, 0.999999999]}
    assert convert(ranged("uniform", 0.1, 0.9), above=0.0, below=1.0).changes == ()


def test_whole_numbers_are_written_as_such_where_a_field_takes_no_others() -> None:
    assert convert("{value: 5.0}", integer=True).raw == 5
    assert convert("{values: [16.0, 32]}", integer=True).raw == {"choice": [16, 32]}
    assert convert("{value: [64.0, 32]}", integer=True).raw == [64, 32]
    assert convert(ranged("q_uniform", 0, 8, ", q: 4.0"), integer=True).raw == {"int": [0, 8], "step": 4}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{value: {choice: [16, 32]}}", "a mapping, which W&B hands to the script as it is"),
        ("{values: [{a: 1}, 2]}", "a mapping, which W&B hands to the script as it is"),
        ("{distribution: normal, mu: 0.1}", "normal: it has no bounds; "),
        ("{distribution: q_log_normal}", "q_log_normal: it has no bounds; "),
        ("{distribution: beta, a: 2, b: 5}", "beta: a study has no such shape; "),
        ("{distribution: q_beta}", "q_beta: a study has no such shape; "),
        (ranged("uniform", 16, 64), "uniform draws fractions, .* W&B's int_uniform draws whole ones"),
        (ranged("log_uniform_values", 16, 64), "fractions, .* W&B's q_log_uniform_values draws whole ones"),
        (ranged("q_uniform", 0, 1, ", q: 0.1"), "q of 0.1 makes fractions"),
        (ranged("q_log_uniform_values", 32, 256, ", q: 8"), r"allowed: {int: \[32, 256\], log: true} or .*step: 8}"),
        (ranged("q_log_uniform", -9, -2), "it rounds to 0"),
        (ranged("log_uniform", 0, 10000), "exp.max. is no number"),
    ],
)
def test_what_a_study_cannot_draw_is_refused(spec: str, message: str) -> None:
    with pytest.raises(NotCarriedError, match=message):
        convert(spec, integer=True)
