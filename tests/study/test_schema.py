"""The JSON Schema: committed as printed, right about every study here, and against what `sweeper check` refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import sweeper
from sweeper.study.schema import study_schema
from sweeper.study.yaml import parse_yaml
from sweeper.sweep.check import check_study
from tests.study.conftest import check, faults, plain
from tests.study.test_load import ONE_FAULT

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "studies").glob("**/*.yaml"))
SCHEMA = Path(sweeper.__file__).parent / "study" / "schema.json"

BEYOND_THE_SCHEMA = {
    "float for an integer",  # 3.0 is an integer in JSON Schema
    "name ends in a line break",  # `$` matches before one
    "infinite",
    "infinite outside of the trial",
    "not a number",  # JSON has neither this nor infinity
    "infinite bound",
    "option not a number",
    # Comparisons of two values
    "low above high",
    "log from 0",
    "log and step",
    "same option twice",
    "equal options",
    "repeat of fewer than min",
    "repeat that may be empty",
    "within a repeat",
    "end of a range",
    "dropout a layer",
    "warm-up",
    "nesterov",
    "shares",
    "folder without path",
    "path without folder",
    "class weights",
    "class of the objective",
    "class of early stopping",
}
"""Kinds of faults that no schema of this kind can see."""


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = study_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def data(text: str) -> Any:
    """What a study file holds."""
    return parse_yaml(text, "s.yaml").data


def test_the_committed_schema_is_the_one_that_is_printed() -> None:
    printed = json.dumps(study_schema(), indent=2, ensure_ascii=False) + "\n"
    assert SCHEMA.read_text(encoding="utf-8") == printed, (
        "regenerate it with: .venv/bin/sweeper schema > sweeper/study/schema.json"
    )


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: str(path.relative_to(ROOT / "studies")))
def test_a_study_of_this_repository_is_valid_and_names_its_schema(
    path: Path, validator: jsonschema.Draft202012Validator
) -> None:
    text = path.read_text(encoding="utf-8")
    validator.validate(data(text))
    check_study(path)
    prefix, _, reference = text.splitlines()[0].partition("$schema=")
    assert prefix == "# yaml-language-server: "
    assert (path.parent / reference).resolve() == SCHEMA.resolve()


@pytest.mark.parametrize("kind", ONE_FAULT)
def test_what_is_refused_is_not_valid(kind: str, validator: jsonschema.Draft202012Validator) -> None:
    old, new, _ = ONE_FAULT[kind]
    assert validator.is_valid(data(plain((old, new)))) == (kind in BEYOND_THE_SCHEMA)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("optimizer: adam", "optimizer: {choice: [adam, {name: sgd, lr: {float: [0.1, 1.0], log: true}}]}"),
        ("hidden: [16]", "hidden: [16, {int: [3, 4]}]"),
        ("hidden: [16]", "hidden: {repeat: {min: 1, max: 2}, of: {choice: [8, 16]}}"),
        ("hidden: [16]", "hidden: {choice: [[16], {repeat: 2, of: {int: [3, 4]}}]}"),
        ("hidden: [16]", "hidden: [16], dropout: {choice: [0.1, [0.2]]}"),
        ("hidden: [16]", "hidden: [16], dropout: [{float: [0.1, 0.2]}]"),
        ("batch_size: 32", "batch_size: {choice: [{choice: [1, 4]}, 8]}"),
        ("{name: mlp, hidden: [16]}", "{choice: [logistic, {name: mlp, hidden: [16]}]}"),
        ("{name: mlp, hidden: [16]}", "logistic"),
        ("name: digits", "name: {choice: [digits, mnist]}"),
        ("name: digits", "name: digits, augment: [horizontal_flip, {name: rotation, degrees: {float: [1, 9]}}]"),
        ("name: digits", "name: digits, augment: {choice: [[], [horizontal_flip]]}"),
        ("epochs: 3", "epochs: 3\n    early_stopping: {choice: [null, {patience: {int: [1, 3]}}]}"),
        ("optimizer: adam", "optimizer: {name: adam, betas: [{float: [0.5, 0.9]}, 0.99]}"),
        ("name: plain", "name: plain\npruner: {name: patient, wrapped: median}"),
        ("name: plain", "name: plain\nbudget: {trials: 3, seeds: 2, timeout_seconds: 10}"),
    ],
)
def test_what_is_accepted_is_valid(old: str, new: str, validator: jsonschema.Draft202012Validator) -> None:
    text = plain((old, new))
    check(text)
    validator.validate(data(text))


def test_every_field_has_a_description() -> None:
    schema = study_schema()
    for name, model in {**schema["$defs"], "Study": schema}.items():
        for field, described in model.get("properties", {}).items():
            assert described.get("description") or "const" in described, f"{name}.{field}"


def test_faults_of_the_schema_are_faults_of_the_check() -> None:
    assert faults(plain(("epochs: 3", "epochs: {choice: [{int: [0, 3]}]}")))
