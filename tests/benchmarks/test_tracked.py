"""What a benchmark reads from the tracked runs of a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric

from benchmarks.tracked import TrackedRun, idle_seconds, read_runs, seconds_per_trial
from tests.tracking.templates import copy_mlflow_db


def make_run(training_start: float, training_end: float) -> TrackedRun:
    return TrackedRun(
        start=training_start - 0.1,
        end=training_end + 0.1,
        n_epochs=2,
        best_accuracy=0.5,
        training_start=training_start,
        training_end=training_end,
    )


def test_runs_are_read_from_a_database_of_mlflows(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy_mlflow_db(tmp_path_factory, tmp_path)
    mlflow_db = tmp_path / "mlflow.db"
    client = MlflowClient(tracking_uri=f"sqlite:///{mlflow_db}")
    experiment = client.create_experiment("sweep")
    for accuracy, start in (("val/accuracy", 2_000), ("val_accuracy", 1_000)):
        run = client.create_run(experiment, start_time=start).info.run_id
        for epoch, value in enumerate((0.7, 0.6), start=1):
            time = start + 500 * epoch
            metrics = [Metric(accuracy, value, time, epoch), Metric("seconds", 0.25, time, epoch)]
            client.log_batch(run, metrics=[*metrics, Metric("lr", 0.1, time, epoch)])
        client.set_terminated(run, end_time=start + 1_100)
    client.create_run(experiment)  # the study's own, without metrics
    expected = [
        TrackedRun(
            start=start,
            end=start + 1.1,
            n_epochs=2,
            best_accuracy=0.7,
            training_start=start + 0.25,
            training_end=start + 1,
        )
        for start in (1.0, 2.0)
    ]
    assert read_runs(mlflow_db) == expected


def test_a_trial_takes_the_time_of_all_shared_by_the_workers() -> None:
    runs = [make_run(1.0, 2.0), make_run(1.0, 2.5), make_run(2.2, 3.9)]
    assert seconds_per_trial(runs, n_workers=2) == pytest.approx((4.0 - 0.9) * 2 / 3)


def test_idle_is_a_worker_between_two_trials() -> None:
    runs = [make_run(1.0, 2.0), make_run(1.0, 2.5), make_run(2.1, 3.0), make_run(2.8, 4.0)]
    assert idle_seconds(runs, n_workers=2) == pytest.approx([0.1, 0.3])
    assert idle_seconds(runs[:2], n_workers=2) == []
