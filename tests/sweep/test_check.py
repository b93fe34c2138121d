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


def test_an_objective_must_be_measured_whatever_branch_of_data_is_drawn(tmp_path: Path) -> None:
    branches = "trial.data={choice: [{name: digits, noise: {'8': {'3': 20}}}, {name: digits}]}"
    (fault,) = faults_of(tmp_path, NOISE, branches)
    assert fault.startswith("objective.metric: given 'val/true_accuracy' with labels that are all as given; allowed: ")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("classes=['3', '11']", "data.classes: given '11'; allowed classes: 0, 1, 2"),
        ("counts={'3': 184}", "data.counts.3: given 184; allowed: at most 183"),
        ("noise={'3': {'8': 200}}", "data.noise.3: given 200 wrong labels; allowed: at most 183"),
        ("test={counts: {'3': 5}}", "data.test.counts: says nothing of '0'; the data set has no test pictures"),
        ("relabel=nowhere.csv", "data.relabel: nowhere.csv cannot be read"),
    ],
)
def test_options_of_the_data_are_checked_against_what_is_known(tmp_path: Path, override: str, expected: str) -> None:
    faults = faults_of(tmp_path, NOISE, "objective.metric=val/loss", "trial.data.noise=null", f"trial.data.{override}")
    assert [fault.removeprefix("trial.").startswith(expected) for fault in faults] == [True]


def test_a_folder_of_pictures_is_looked_into(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in range(3):
            (tmp_path / "pictures" / name / f"{index}.png").touch()
    file = tmp_path / "study.yaml"
    file.write_text(NOISE.replace("objective: {metric: val/true_accuracy}\n", ""), encoding="utf-8")
    overrides = ["trial.data={name: folder, path: pictures, counts: {cat: 4}}"]
    with pytest.raises(StudyFileError, match=r"data\.counts\.cat: given 4; allowed: at most 3"):
        check_study(file, overrides, data_dir=tmp_path)
    assert check_study(file, overrides, data_dir=tmp_path / "elsewhere").complete
