"""Numbers, durations, tables."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.cli.output import duration, number, print_json, print_table, short_names


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "true"),
        (12288, "12,288"),
        (0.95342, "0.9534"),
        (0.0, "0"),
        (1.3e-5, "1.3e-05"),
        (-2.5e-4, "-2.5e-04"),
        (123456.0, "1.235e+05"),
        (float("nan"), "nan"),
        ([200, 100], "[200, 100]"),
        ([0.16506931606108277, 0], "[0.1651, 0]"),
        ("adam", "adam"),
    ],
)
def test_number(value: Any, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0 s"),
        (0.043, "0.04 s"),
        (0.96, "1.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (42.4, "42 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7800, "2 h 10 min"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("nan"), "b": [1, float("inf")], "c": "ü", "d": {1: None}})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [1, None], "c": "ü", "d": {"1": None}}


def test_short_names() -> None:
    paths = [
        "training.optimizer.name",
        "training.optimizer.lr",
        "training.loss.name",
        "model.name",
        "model.hidden.repeat",
        "model.hidden.0",
        "model.blocks.0.channels",
        "model.blocks.1.channels",
        "training.optimizer[sgd].lr",
        "seed",
    ]
    assert list(short_names(paths).values()) == [
        "optimizer",
        "optimizer.lr",
        "loss",
        "model",
        "hidden.repeat",
        "hidden.0",
        "blocks.0.channels",
        "blocks.1.channels",
        "optimizer[sgd].lr",
        "seed",
    ]


@given(st.lists(st.from_regex(r"[a-c](\.[a-c0-2]){0,3}(\.name)?", fullmatch=True), unique=True))
def test_short_names_tell_paths_apart(paths: list[str]) -> None:
    plain = {path.removesuffix(".name") for path in paths}
    assert len(set(short_names(paths).values())) == len(plain)


def test_a_table_in_a_pipe_has_every_column_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "val/balanced_accuracy", "[a]"], [["x" * 50, 0.5, "[red]"], ["line\nbreak", None, "y" * 99]])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[-2:]] == [["x" * 50, "0.5", "[red]"], ["line", "break", "–", "y" * 59 + "…"]]
    assert " ".join(lines[0].split()) == "name val/ [a]"


def test_a_table_without_rows_is_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["a", "b"], [])
    assert capsys.readouterr().out.splitlines()[0].split() == ["a", "b"]
