"""Which metrics a trial will have: what is refused before it runs is what it would not measure."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.study.config import TrialConfig
from sweeper.sweep.measured import metric_fault

TASKS: dict[str, dict[str, Any]] = {
    "classes": {"data": {"name": "digits"}, "model": "logistic"},
    "noise": {"data": {"name": "digits", "noise": {"8": {"3": 5}}}, "model": "logistic"},
    "numbers": {"data": {"name": "functions"}, "model": "linear", "loss": "mse"},
    "pictures": {"data": {"name": "digits"}, "model": "autoencoder", "loss": "mse"},
}


def fault_of(task: str, metric: str) -> str | None:
    parts = dict(TASKS[task])
    training = {"epochs": 1, "batch_size": 1, "optimizer": "adam"}
    if "loss" in parts:
        training["loss"] = parts.pop("loss")
    config = TrialConfig.model_validate({**parts, "training": training})
    is_regression = task == "numbers"
    return metric_fault(
        metric,
        config,
        class_names=() if is_regression else tuple("0123456789"),
        output_names=("y_0", "y_1") if is_regression else (),
    )


@pytest.mark.parametrize(
    ("task", "metrics"),
    [
        ("classes", ["val/loss", "val/accuracy", "train/accuracy/8", "val/balanced_accuracy", "val/auc", "seconds"]),
        ("noise", ["val/accuracy", "val/true_accuracy", "val/true_accuracy/8", "val/true_balanced_accuracy"]),
        ("numbers", ["val/loss", "train/loss/y_1", "lr", "pictures_per_second"]),
        ("pictures", ["val/loss", "train/loss", "seconds"]),
    ],
)
def test_what_is_measured_is_allowed(task: str, metrics: list[str]) -> None:
    assert [fault_of(task, metric) for metric in metrics] == [None] * len(metrics)


@pytest.mark.parametrize(
    ("task", "metric", "fault"),
    [
        (
            "numbers",
            "val/accuracy",
            (
                "given 'val/accuracy' with data functions, whose outputs are no classes; allowed: train/ or val/ with "
                "loss or loss/<output> (y_0, y_1); seconds"
            ),
        ),
        (
            "pictures",
            "val/auc",
            (
                "given 'val/auc' with model autoencoder, whose outputs are no classes; allowed: train/ or val/ with "
                "loss; seconds"
            ),
        ),
        ("numbers", "val/loss/y_4", "given 'val/loss/y_4'"),
        ("classes", "val/loss/3", "given 'val/loss/3'; allowed: val/loss, whose parts only a regression has"),
        ("classes", "val/accuracy/ten", "given 'val/accuracy/ten'; allowed classes: 0, 1, 2"),
        ("noise", "train/true_accuracy/ten", "given 'train/true_accuracy/ten'; allowed classes: 0, 1, 2"),
        (
            "classes",
            "val/true_accuracy/8",
            (
                "given 'val/true_accuracy/8' with labels that are all as given; allowed: with wrong labels "
                "(data.noise), or val/accuracy/8"
            ),
        ),
    ],
)
def test_what_is_not_is_refused(task: str, metric: str, fault: str) -> None:
    assert (fault_of(task, metric) or "").startswith(fault)
