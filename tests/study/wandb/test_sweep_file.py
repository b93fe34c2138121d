"""W&B sweep files: the distribution that is meant where none is named, and every fault with its line."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.errors import StudyFileError
from sweeper.study.wandb.sweep_file import parse_sweep_file

HEAD = "method: random\nparameters:\n"


def faults(text: str) -> list[str]:
    with pytest.raises(StudyFileError) as raised:
        parse_sweep_file(text, source="sweep.yaml")
    return [str(fault) for fault in raised.value.faults]


@pytest.mark.parametrize(
    ("spec", "distribution"),
    [
        ("{value: adam}", "constant"),
        ("{value: null}", "constant"),
        ("{values: [1, 2]}", "categorical"),
        ("{values: [1, 2], probabilities: [0.3, 0.7]}", "categorical_w_probabilities"),
        ("{min: 1, max: 8}", "int_uniform"),
        ("{min: 1, max: 8.0}", "uniform"),
        ("{min: 0.0, max: 1}", "uniform"),
        ("{min: 0, max: 1, distribution: uniform}", "uniform"),
        ("{min: !!float 1e-5, max: 0.1, distribution: log_uniform_values}", "log_uniform_values"),
        ("{distribution: normal}", "normal"),
        ("{distribution: q_beta, a: 2, b: 5, q: 0.1}", "q_beta"),
    ],
)
def test_the_distribution_is_the_one_that_wandb_takes(spec: str, distribution: str) -> None:
    (parameter,) = parse_sweep_file(f"{HEAD}  x: {spec}\n", source="sweep.yaml").parameters
    assert (parameter.name, parameter.line, parameter.distribution) == ("x", 3, distribution)
    assert "distribution" not in parameter.spec


def test_nested_parameters_are_named_by_their_path() -> None:
    text = f"{HEAD}  optimizer:\n    parameters:\n      name: {{value: sgd}}\n      lr: {{min: 0.1, max: 0.5}}\n"
    parameters = parse_sweep_file(text, source="sweep.yaml").parameters
    assert [(each.name, each.field, each.line) for each in parameters] == [
        ("optimizer.name", "parameters.optimizer.parameters.name", 5),
        ("optimizer.lr", "parameters.optimizer.parameters.lr", 6),
    ]


def test_a_sweep_that_searches_by_itself_needs_no_parameters() -> None:
    assert parse_sweep_file("method: custom\n", source="sweep.yaml").parameters == ()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("5", "3: parameters.x: given 5; allowed: a mapping such as {value: 5}"),
        ("{min: 1}", "3: parameters.x: given {min: 1}, from which W&B infers no distribution; allowed: value, "),
        ("{min: 1, max: 8, q: 2}", "3: parameters.x: given {min: 1, max: 8, q: 2}, from which W&B infers no "),
        ("{distribution: unifrom, min: 0, max: 1}", "3: parameters.x.distribution: given 'unifrom'; did you mean "),
        ("{distribution: [], min: 0, max: 1}", "3: parameters.x.distribution: given []; allowed: constant, "),
        ("{distribution: uniform, min: 0}", "3: parameters.x: `max` is missing, which uniform needs"),
        ("{distribution: uniform, min: 0, max: 1, q: 1}", "3: parameters.x.q: unknown key; allowed with uniform: min"),
        ("{distribution: int_uniform, min: 0.5, max: 1}", "3: parameters.x.min: given 0.5; allowed: an integer"),
        ("{min: a, max: 1}", "3: parameters.x.min: given 'a'; allowed: a number"),
        ("{min: 3, max: 3}", "3: parameters.x.min: given 3; allowed: below max, which is 3"),
        ("{distribution: log_uniform_values, min: 0, max: 1}", "3: parameters.x.min: given 0; allowed with log_un"),
        ("{distribution: q_uniform, min: 0, max: 1, q: 0}", "3: parameters.x.q: given 0; allowed: a number above 0"),
        ("{values: []}", "3: parameters.x.values: given []; allowed: a list of values"),
        ("{values: [1, 2], probabilities: [1.0]}", "3: parameters.x.probabilities: given [1.0]; allowed: 2 numbers"),
        ("{values: [1, 2], probabilities: [0, 0]}", "3: parameters.x.probabilities: given [0, 0]; allowed: 2 numbers"),
        ("{parameters: {y: {value: 1}}, value: 2}", "3: parameters.x.value: unknown key; allowed beside nested "),
        ("{parameters: {}}", "3: parameters.x.parameters: given {}; allowed: a mapping of names to distributions"),
        ("{value: !!python/name:os.system x}", "3: parameters.x.value: given the tag "),
    ],
)
def test_a_malformed_parameter_is_named_with_its_line(spec: str, message: str) -> None:
    (fault,) = faults(f"{HEAD}  x: {spec}\n")
    assert fault.startswith(f"sweep.yaml:{message}")


@pytest.mark.parametrize(
    ("top", "messages"),
    [
        ({"method": "method: bays"}, ["1: method: given 'bays'; allowed: grid, random, bayes, custom"]),
        ({"method": ""}, ["2: `method` is missing; allowed: grid, random, bayes, custom"]),
        (
            {"parameters": "parameter: {x: {value: 1}}"},
            ["1: `parameters` is missing", "2: parameter: unknown key; di"],
        ),
        ({"parameters": "parameters: []"}, ["2: parameters: given []; allowed: a mapping of names"]),
        ({"more": "run_cap: 0"}, ["3: run_cap: given 0; allowed: an integer above 0"]),
        ({"more": "metric: val_loss"}, ["3: metric: given 'val_loss'; allowed: a mapping"]),
        ({"more": "metric: {goal: minimise}"}, ["3: metric: `name` is missing", "3: metric.goal: given 'minimise'; "]),
        (
            {"more": "early_terminate: {type: median, min_iter: 3}"},
            ["3: early_terminate.type: given 'median'; "],
        ),
        ({"more": "early_terminate: {type: hyperband}"}, ["3: early_terminate: its brackets are not known; allowed: "]),
        ({"more": "early_terminate: {type: hyperband, max_iter: 9}"}, ["3: early_terminate: its brackets are not "]),
        ({"more": "early_terminate: {type: hyperband, min_iter: 3, eta: 1}"}, ["3: early_terminate.eta: given 1; "]),
    ],
)
def test_a_malformed_top_level_is_named_with_its_line(top: dict[str, Any], messages: list[str]) -> None:
    parts = {"method": "method: random", "parameters": "parameters: {x: {value: 1}}", "more": ""} | top
    found = faults("\n".join(parts.values()))
    assert len(found) == len(messages)
    for fault, message in zip(found, messages, strict=True):
        assert fault.startswith(f"sweep.yaml:{message}")


@pytest.mark.parametrize("text", ["", "- a", "a: [", "5"])
def test_what_is_no_sweep_at_all_is_one_fault(text: str) -> None:
    assert faults(text)[0].startswith("sweep.yaml")
