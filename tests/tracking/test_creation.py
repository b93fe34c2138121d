"""A process killed while it makes MLflow's database leaves none, or a whole one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sweeper.tracking import mlflow
from sweeper.tracking.mlflow import MlflowTracker, create_database

CREATE = (
    "import sys; from sweeper.tracking.mlflow import create_database; print(flush=True); create_database(sys.argv[1])"
)


def test_killed_while_tables_are_made(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    process = subprocess.Popen([sys.executable, "-c", CREATE, uri], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".mlflow.db.*.new")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (partial,) = tmp_path.glob(".mlflow.db.*.new")
    partial.with_name(f"{partial.name}-journal").touch()  # SQLite's, there or not
    assert not (tmp_path / "mlflow.db").exists()

    MlflowTracker(uri).open_experiment("mine", {})

    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db"]


def test_what_is_there_stays(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    experiment_id = MlflowTracker(uri).open_experiment("mine", {})
    assert MlflowTracker(uri).open_experiment("mine", {}) == experiment_id


def test_the_second_database_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (f"sqlite:///{tmp_path / name / 'mlflow.db'}" for name in ("first", "second"))
    create_database(first, cache_dir=tmp_path / "cache")
    monkeypatch.setattr(mlflow, "initialize_tables", lambda engine: pytest.fail("migrated again"))
    create_database(second, cache_dir=tmp_path / "cache")

    assert MlflowTracker(second).open_experiment("mine", {}) == MlflowTracker(first).open_experiment("mine", {})
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_cache_that_cannot_be_used_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file and no folder")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    MlflowTracker(uri, cache_dir=tmp_path / "cache").open_experiment("mine", {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "mlflow.db"]
