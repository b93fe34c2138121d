"""Studies as text: read back as they are, a line for what fits on one, comments that cannot break out."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.study.wandb.write import write_study
from sweeper.study.yaml import parse_yaml

RAW: dict[str, Any] = {
    "name": "a",
    "description": "two lines: one\nand # another",
    "objective": {"metric": "val/loss", "at": "last"},
    "trial": {
        "data": {"name": "digits", "counts": {"8": 25}, "classes": ["1", "true", "null", "1e-3"]},
        "model": {
            "name": "mlp",
            "hidden": [{"choice": [8, 16]}],
            "dropout": [{"float": [0.0, 0.5], "step": 0.1}, 0.25],
        },
        "training": {
            "optimizer": {"choice": [{"name": "sgd", "lr": {"float": [1e-10, 1e5], "log": True}}, "adam"]},
            "loss": {"choice": [{"name": "nll", "class_weights": {"choice": ["balanced", None]}}, None]},
            "early_stopping": None,
            "batch_size": {"choice": list(range(16, 600, 8))},
        },
    },
}


def test_what_is_written_is_read_back() -> None:
    document = parse_yaml(write_study(RAW, ["a comment"]), "s.yaml")
    assert document.faults == []
    assert document.data == RAW


def test_what_fits_stands_on_one_line() -> None:
    lines = write_study(RAW).splitlines()
    assert "objective: {metric: val/loss, at: last}" in lines
    assert "      - {choice: [8, 16]}" in lines
    assert all(len(line) <= 120 for line in lines)


@pytest.mark.parametrize(
    "comment", ["a\nname: b", "a\r\nname: b", "a\u2028name: b", "a\x85name: b", "a\x07b\x00", "x" * 300, ""]
)
def test_comments_stay_comments(comment: str) -> None:
    text = write_study({"name": "a"}, [comment])
    assert parse_yaml(text, "s.yaml").data == {"name": "a"}
    assert all(line.startswith("#") for line in text.splitlines()[:-1])
