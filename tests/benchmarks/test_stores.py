"""Stores that benchmarks measure on: they hold what a sweep would, and a report reads the same from any place."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import create_engine, text

from benchmarks.stores import MadeTrial, fill_store, make_study, make_trials
from sweeper.report.write import write_report
from sweeper.search.storage import StoredStudy
from sweeper.study.study import Study
from sweeper.sweep.record import connect_tracker, study_info
from sweeper.sweep.store import open_store
from sweeper.tracking.outbox import OutboxWriter
from sweeper.tracking.provenance import provenance_tags
from sweeper.tracking.reading import open_reader
from sweeper.tracking.recording import record_study, record_study_status, record_trial
from sweeper.tracking.workspace import Workspace, write_json
from tests.faults.postgres import PostgresServer
from tests.tracking.mlflow_server import MlflowServer
from tests.tracking.templates import copy_mlflow_db

pytestmark = pytest.mark.xdist_group("server")
N_EPOCHS = 4
N_TRIALS = 30
COLUMNS = {
    "runs": "name, source_type, source_name, entry_point_name, source_version, user_id, status, start_time, end_time, "
    "lifecycle_stage",
    "params": "r.name, x.key, x.value",
    "tags": "r.name, x.key, x.value",
    "metrics": "r.name, x.key, x.step, x.timestamp, x.value, x.is_nan",
    "latest_metrics": "r.name, x.key, x.step, x.timestamp, x.value, x.is_nan",
}


def workspace_in(folder: Path, **environment: str) -> Workspace:
    folder.mkdir(exist_ok=True)
    return Workspace.from_environment(folder, environment)


def record(workspace: Workspace, study: Study, trials: list[MadeTrial], stored: StoredStudy) -> None:
    """What the recorder makes of the files of these trials."""
    tracker = connect_tracker(workspace)
    files = workspace.study_files(study.name, stored.uuid)
    parent = record_study(tracker, files, study_info(files, stored, provenance_tags(workspace.root)))
    for trial in trials:
        of_trial = files.trial(trial.number)
        begin = {"key": trial.key, "name": trial.name, "start_time_ms": trial.start_time_ms}
        write_json(of_trial.trial, {**begin, "params": trial.params, "tags": trial.tags})
        writer = OutboxWriter(of_trial.outbox)
        for row in trial.rows:
            writer.append(row)
        writer.release()
        writer.close()
        for name, content in trial.artifacts.items():
            write_json(of_trial.artifacts / name, content)
        end = {"state": trial.state, "end_time_ms": trial.end_time_ms, "tags": trial.end_tags}
        write_json(of_trial.end, end)
        record_trial(tracker, of_trial, parent)
    record_study_status(tracker, files, parent, "FINISHED", 1)


def rows_of(url: str) -> dict[str, list[tuple[object, ...]]]:
    """What MLflow's tables say of the trials' runs, but for ids, which are drawn."""
    tables = {}
    with create_engine(url).connect() as connection:
        for table, columns in COLUMNS.items():
            source = "runs r" if table == "runs" else f"{table} x JOIN runs r ON r.run_uuid = x.run_uuid"
            rows = connection.execute(text(f"SELECT {columns} FROM {source} WHERE r.name LIKE 'trial-%'"))
            tables[table] = sorted(tuple(row) for row in rows if row[1] not in ("mlflow.parentRunId", "sweeper.trial"))
    return tables


def test_runs_are_those_that_the_recorder_writes(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    study = make_study("made", n_trials=26)
    bulk, recorded = workspace_in(tmp_path / "bulk"), workspace_in(tmp_path / "recorded")
    for workspace in (bulk, recorded):
        copy_mlflow_db(tmp_path_factory, workspace.root)
    fill_store(bulk, study, n_epochs=N_EPOCHS)
    store = open_store(recorded, create=True)
    store.create(study, n_trials=26)
    stored = store.read("made")
    tags = provenance_tags(recorded.root)
    trials = list(make_trials(study, stored.uuid, n_trials=26, n_epochs=N_EPOCHS, tags=tags))
    trials = [trials[0], trials[24]]
    record(recorded, study, trials, stored)
    names = {trial.name for trial in trials}
    in_bulk = {table: [row for row in rows if row[0] in names] for table, rows in rows_of(bulk.tracking_uri).items()}
    assert in_bulk == rows_of(recorded.tracking_uri)
    assert [row[6] for row in in_bulk["runs"]] == ["FINISHED", "FAILED"]
    assert len(in_bulk["metrics"]) == 2 * N_EPOCHS * 20
    of_optuna = open_store(bulk).read("made")
    assert of_optuna.count("COMPLETE") == 25
    assert of_optuna.trials[0].value == trials[0].frozen.value
    assert of_optuna.trials[0].params == trials[0].frozen.params
    assert of_optuna.trials[0].epochs == trials[0].frozen.intermediate_values


@pytest.fixture(scope="module")
def places(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, server: MlflowServer
) -> dict[str, Workspace]:
    """One study in SQLite, in PostgreSQL, and behind an MLflow server that keeps its artifacts."""
    folder = tmp_path_factory.mktemp("places")
    study = make_study("made", n_trials=N_TRIALS)
    made = {
        "sqlite": workspace_in(folder / "sqlite"),
        "postgresql": workspace_in(folder / "postgresql", **postgres.create_databases().environment()),
        "server": workspace_in(folder / "server", MLFLOW_TRACKING_URI=server.url),
    }
    copy_mlflow_db(tmp_path_factory, folder / "sqlite")
    for place, workspace in made.items():
        where = {"database_url": server.database_url, "artifacts": server.folder / "artifacts"}
        fill_store(workspace, study, n_epochs=N_EPOCHS, **(where if place == "server" else {}))
    return made


def test_a_report_has_the_same_bytes_from_any_place(places: dict[str, Workspace], tmp_path: Path) -> None:
    written = {}
    for place, workspace in places.items():
        reader = open_reader(workspace.tracking_uri)
        write_report([reader.read_study("made")], reader, tmp_path / place)
        files = [path for path in (tmp_path / place).rglob("*") if path.is_file()]
        written[place] = {str(path.relative_to(tmp_path / place)): path.read_bytes() for path in files}
    assert {"index.html", "report.md", "data/trials.csv", "data/confusion-val.csv"} < set(written["sqlite"])
    assert written["postgresql"] == written["sqlite"]
    assert written["server"] == written["sqlite"]


def test_histories_are_the_same_from_any_place(places: dict[str, Workspace]) -> None:
    readers = [open_reader(workspace.tracking_uri) for workspace in places.values()]
    runs = readers[0].read_study("made").runs
    ids = [run.run_id for run in runs]
    for metrics in (None, ["val/loss", "val/accuracy/cat", "none"]):
        frames = [reader.read_histories(ids, metrics) for reader in readers]
        for frame in frames[1:]:
            pd.testing.assert_frame_equal(frame, frames[0])
    assert len(frames[0]) == N_TRIALS * N_EPOCHS * 2
    assert len(readers[0].read_histories(ids)) == N_TRIALS * N_EPOCHS * 20
