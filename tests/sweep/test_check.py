"""Checks of whole study files that depend on the task and on what is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import StudyFileError
from sweeper.sweep.check import check_study

REGRESSION = """\
name: regression
trial:
  data: {name: functions}
  model: linear
  training: {epochs: 1, batch_size: 10, optimizer: adam, loss: mse}
"""
NOISE = """\
name: noise
objective: {metric: val/true_accuracy}
trial:
  data: {name: digits, noise: {choice: [{"8": {"3": 20}}, {"3": {"8": 20}}]}}
  model: logistic
  training: {epochs: 1, batch_size: 10, optimizer: adam}
"""


def faults_of(tmp_path: Path, text: str, *overrides: str) -> list[str]:
    file = tmp_path / "study.yaml"
    file.write_text(text, encoding="utf-8")
    try:
        check_study(file, overrides)
    except StudyFileError as error:
        return [f"{fault.field}: {fault.message}" for fault in error.faults]
    return []


def test_the_default_objective_is_refused_where_there_are_no_classes(tmp_path: Path) -> None:
    (fault,) = faults_of(tmp_path, REGRESSION)
    assert fault == (
        "objective.metric: given by default 'val/accuracy' with data functions, whose outputs are no classes; allowed: "
        "train/ or val/ with loss or loss/<output> (y_0, y_1, y_2); seconds"
    )


@pytest.mark.parametrize("metric", ["val/loss", "val/loss/y_2", "train/loss"])
def test_losses_of_a_regression_are_objectives(tmp_path: Path, metric: str) -> None:
    assert faults_of(tmp_path, REGRESSION, f"objective.metric={metric}") == []


def test_an_objective_must_be_measured_whatever_data_is_drawn(tmp_path: Path) -> None:
    assert faults_of(tmp_path, NOISE) == []
    sometimes = NOISE.replace('{"3": {"8": 20}}', "null")
    (fault,) = faults_of(tmp_path, sometimes)
    assert fault.startswith("objective.metric: given 'val/true_accuracy' with labels that are all as given; allowed: ")
