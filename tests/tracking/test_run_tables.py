"""Writing straight into MLflow's tables leaves what MLflow's client leaves, in SQLite and in PostgreSQL."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from sqlalchemy import create_engine, text

from sweeper.errors import TrackingError
from sweeper.tracking import mlflow
from sweeper.tracking.mlflow import MlflowTracker
from sweeper.tracking.outbox import Row
from sweeper.tracking.run_tables import open_run_tables
from sweeper.tracking.tracker import RunInfo

TABLES = {
    "runs": (
        "name, status, start_time, end_time, lifecycle_stage, experiment_id, replace(artifact_uri, run_uuid, '*'), "
        "user_id, source_type, source_name, source_version, entry_point_name, deleted_time"
    ),
    "params": "key, value",
    "metrics": "key, value, timestamp, step, is_nan",
    "latest_metrics": "key, value, timestamp, step, is_nan",
    "tags": "key, value",
}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgres"))])
def url(request: pytest.FixtureRequest) -> str:
    """Of a database with MLflow's tables."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("mlflow_db"))
    return str(request.getfixturevalue("databases").mlflow)


def new_run(tracker: MlflowTracker) -> str:
    tags = {"sweeper.state": "RUNNING", "mlflow.user": "somebody"}
    info = RunInfo(key="0f8e/0", name="trial-000", start_time_ms=1000, params={}, tags=tags)
    return tracker.create_run(tracker.open_experiment("study", {}), info, None)


def row(epoch: int, time: int = 0, **values: float) -> Row:
    return Row(epoch=epoch, timestamp_ms=1_700_000_000_000 + epoch + time, values=values)


def track(tracker: MlflowTracker) -> str:
    """A run with all that could make a difference; each request is sent twice, as after a lost answer."""
    run_id = new_run(tracker)
    special = {"nan": math.nan, "high": math.inf, "low": -math.inf, "tiny": 5e-324, "third": 1 / 3, "whole": 2}
    batches: tuple[dict[str, Any], ...] = (
        {"params": {"seed": 0, "model.hidden": [200, 100]}, "rows": [row(1, loss=0.5), row(2, loss=0.25)]},
        {"params": {"seed": 0, "late": "é" * 7000}},
        {"rows": [row(3, **special), row(4, **special)], "tags": {"sweeper.state": "PRUNED", "why": "r" * 20_000}},
        {"rows": [row(1, 5, loss=0.125)]},  # later, of an earlier epoch
        {"rows": [row(2, loss=0.75), row(2, loss=0.5)]},  # others of the same epoch at the same time
        {"rows": [row(e, **{f"accuracy_{i}": i / 300 for i in range(300)}) for e in range(1, 6)]},
        {"tags": {f"tag.{i}": str(i) for i in range(250)}},
        {},
    )
    for batch in batches:
        for _ in range(2):
            tracker.log_batch(run_id, **batch)
    tracker.set_status(run_id, "SCHEDULED", None)
    tracker.set_status(run_id, "FINISHED", 1_700_000_009_000, tags={"sweeper.state": "COMPLETE", "new": "tag"})
    return run_id


def rows_of(url: str, run_id: str) -> dict[str, list[tuple[Any, ...]]]:
    """What the tables hold of a run."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = {
            table: sorted(
                tuple(found)
                for found in connection.execute(
                    text(f"SELECT {columns} FROM {table} WHERE run_uuid = :run"),
                    {"run": run_id},
                )
            )
            for table, columns in TABLES.items()
        }
    engine.dispose()
    return found


def test_the_tables_are_those_that_mlflow_leaves(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    by_tables = rows_of(url, track(MlflowTracker(url)))
    monkeypatch.setattr(mlflow, "open_run_tables", lambda url: None)
    by_client = rows_of(url, track(MlflowTracker(url)))
    assert by_tables == by_client
    assert {table: len(rows) for table, rows in by_client.items()} == {
        "runs": 1,
        "params": 3,
        "metrics": 5 + 2 * 6 + 300 * 5,
        "latest_metrics": 1 + 6 + 300,
        "tags": 256,
    }


def test_nothing_is_written_to_a_run_that_is_not_there(url: str) -> None:
    tracker = MlflowTracker(url)
    run_id = new_run(tracker)
    tracker.delete_run(run_id)
    for gone in (run_id, "0" * 32):
        with pytest.raises(TrackingError, match=gone):
            tracker.log_batch(gone, params={"seed": 0}, rows=[row(1, loss=0.5)], tags={"a": "b"})
        with pytest.raises(TrackingError, match=gone):
            tracker.set_status(gone, "FINISHED", 1)
        found = rows_of(url, gone)
        assert (found["params"], found["metrics"]) == ([], [])
        assert not [status for _, status, *_ in found["runs"] if status != "RUNNING"]


def test_a_batch_is_written_as_a_whole(url: str) -> None:
    tracker = MlflowTracker(url)
    run_id = new_run(tracker)
    tracker.log_batch(run_id, params={"seed": 0})
    with pytest.raises(TrackingError, match=r"seed.*0.*1"):
        tracker.log_batch(run_id, params={"seed": 1, "epochs": 2}, rows=[row(1, loss=0.5)], tags={"a": "b"})
    found = rows_of(url, run_id)
    assert (found["params"], found["metrics"]) == ([("seed", "0")], [])


def test_no_run_is_made_in_an_experiment_that_is_not_there(url: str) -> None:
    tracker = MlflowTracker(url)
    info = RunInfo(key="0f8e/0", name="trial-000", start_time_ms=1000, params={}, tags={})
    experiment_id = tracker.open_experiment("gone", {})
    MlflowClient(tracking_uri=url).delete_experiment(experiment_id)
    for gone, why in ((experiment_id, "is deleted"), ("123456", "does not exist")):
        with pytest.raises(TrackingError, match=f"experiment {gone} {why}"):
            tracker.create_run(gone, info, None)


@pytest.mark.parametrize(
    "uri", ["http://localhost:5000", "mysql://localhost/mlflow", "mssql+pyodbc://localhost/mlflow"]
)
def test_elsewhere_mlflow_writes(uri: str) -> None:
    assert open_run_tables(uri) is None


def test_a_database_that_is_out_of_reach(tmp_path: Path) -> None:
    tables = open_run_tables(f"sqlite:///{tmp_path / 'none' / 'mlflow.db'}")
    assert tables is not None
    with pytest.raises(Exception, match="unable to open database file"):
        tables.set_status("0" * 32, "FINISHED", None, {})
