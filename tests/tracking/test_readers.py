"""Reading back: straight from MLflow's database and through MLflow's client, from SQLite and from a server."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from sweeper.errors import InputError, NotFoundError, TrackingError
from sweeper.tracking import bulk_requests
from sweeper.tracking.client_reader import ClientRunReader
from sweeper.tracking.histories import HistoryBuilder, rows_at
from sweeper.tracking.mlflow import MlflowTracker
from sweeper.tracking.outbox import OutboxWriter, Row
from sweeper.tracking.reading import open_reader
from sweeper.tracking.recording import record_study, record_study_status, record_trial
from sweeper.tracking.records import RunReader, StudyRecord
from sweeper.tracking.sql_reader import SqlRunReader
from sweeper.tracking.workspace import write_json
from tests.tracking.mlflow_server import MlflowServer, free_port
from tests.tracking.trials import PARAMS, begin_trial, end_trial, study_files, study_info, train_trial

STATES = ("COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING", "COMPLETE")


def track_study(tracker: MlflowTracker, folder: Path, uuid: str = "0f8e", *, start: int = 1000) -> None:
    """A study with a trial in each state, and one with values that are not numbers."""
    files = study_files(folder, uuid)
    parent = record_study(tracker, files, study_info(folder, uuid, start=start))
    for number, state in enumerate(STATES):
        trial = files.trial(number)
        begin_trial(trial, number, uuid)
        train_trial(trial, 1, number)
        if number == 5:
            writer = OutboxWriter(trial.outbox)
            values = {"val/auc": math.nan, "val/accuracy/bird's": 0.25, "val/accuracy/a//b": math.nan}
            writer.append(Row(epoch=6, timestamp_ms=5006, values=values))
            writer.release()
        if state == "WAITING":
            write_json(trial.end, {"state": "WAITING"})
        elif state != "RUNNING":
            end_trial(trial, state, publish=number == 0)
        record_trial(tracker, trial, parent)
    record_study_status(tracker, files, parent, "FINISHED", 9999)


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.xdist_group("postgres")),
        pytest.param("http", marks=pytest.mark.xdist_group("server")),
    ]
)
def readers(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[SqlRunReader, ClientRunReader]:
    """Both readers on one tracked study; the client reads the database itself, or a server that stands before it."""
    if request.param == "sqlite":
        uri = database_url = request.getfixturevalue("mlflow_db")
    elif request.param == "postgresql":
        uri = database_url = request.getfixturevalue("databases").mlflow
    else:
        server: MlflowServer = request.getfixturevalue("server")
        database_url, uri = server.database_url, server.url
        for experiment in MlflowClient(tracking_uri=uri).search_experiments(filter_string="name = 'birds'"):
            MlflowClient(tracking_uri=uri).rename_experiment(experiment.experiment_id, f"birds-{tmp_path.name}")
    track_study(MlflowTracker(database_url, artifact_root=tmp_path / "mlruns"), tmp_path)
    return SqlRunReader(database_url), ClientRunReader(uri)


def test_both_read_the_same(readers: tuple[SqlRunReader, ClientRunReader]) -> None:
    by_sql, by_client = readers
    one, other = by_sql.read_study("birds"), by_client.read_study("birds")
    assert repr(one) == repr(other)  # NaN is not equal to itself
    assert by_sql.list_studies() == by_client.list_studies()
    ids = [run.run_id for run in one.runs]
    for metrics in (None, ["val/accuracy"], ["lr", "val/accuracy/bird's", "val/accuracy/a//b", "none"], []):
        pd.testing.assert_frame_equal(by_sql.read_histories(ids, metrics), by_client.read_histories(ids, metrics))
    for path in ("confusion.json", "model/model.pt", "none.json", "model"):
        assert by_sql.read_artifact(one.runs[0], path) == by_client.read_artifact(one.runs[0], path)


def test_both_read_one_epoch_of_each_run(readers: tuple[SqlRunReader, ClientRunReader]) -> None:
    by_sql, by_client = readers
    runs = by_sql.read_study("birds").runs
    epochs = {runs[1].run_id: 1, runs[3].run_id: 2, runs[4].run_id: 2, runs[5].run_id: 99}
    metrics = ["val/accuracy", "lr", "none"]
    rows = by_sql.read_epochs(epochs, metrics)
    pd.testing.assert_frame_equal(rows, by_client.read_epochs(epochs, metrics))
    pd.testing.assert_frame_equal(rows, rows_at(by_sql.read_histories([*epochs], metrics), epochs))
    found = rows[rows["metric"] == "val/accuracy"].set_index("run_id")["value"].to_dict()
    assert found == {runs[1].run_id: 0.1, runs[3].run_id: 0.2, runs[4].run_id: 0.2}
    assert by_sql.read_epochs({}, metrics).empty
    assert by_sql.read_epochs(epochs, []).empty


@pytest.mark.xdist_group("server")
def test_a_server_is_asked_for_many_runs_at_once(
    server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for experiment in MlflowClient(tracking_uri=server.url).search_experiments(filter_string="name = 'birds'"):
        MlflowClient(tracking_uri=server.url).rename_experiment(experiment.experiment_id, f"birds-{tmp_path.name}")
    track_study(MlflowTracker(server.database_url, artifact_root=tmp_path / "mlruns"), tmp_path)
    reader, client = ClientRunReader(server.url), MlflowClient(tracking_uri=server.url)
    ids = [run.run_id for run in reader.read_study("birds").runs]
    expected = {
        (run_id, metric.key, metric.step): metric.value
        for run_id in ids
        for key in ("val/accuracy", "lr")
        for metric in client.get_metric_history(run_id, key)
    }
    n_alone = 0

    def count(run_id: str, key: str) -> object:
        nonlocal n_alone
        n_alone += 1
        return client.get_metric_history(run_id, key)

    monkeypatch.setattr(reader._client, "get_metric_history", count)

    def read() -> dict[tuple[str, str, int], float]:
        rows = reader.read_histories(ids, ["val/accuracy", "lr"])
        assert len(rows) == len(expected)
        return {(row.run_id, row.metric, row.epoch): row.value for row in rows.itertuples()}

    assert read() == expected
    assert n_alone == 0
    monkeypatch.setattr(bulk_requests, "_MAX_ROWS", 4)  # of 6 runs with up to 5 rows each: some do not fit alone
    assert read() == expected
    assert 0 < n_alone < 12
    monkeypatch.setattr(bulk_requests, "_ROUTE", "/ajax-api/2.0/mlflow/metrics/not-there")
    n_alone = 0
    assert read() == expected
    assert n_alone == 12


def test_rows_come_sorted_whatever_their_order() -> None:
    columns = [
        ("b", "loss", 1, 10, 0.5, False),
        ("a", "loss", 2, 30, 0.3, False),
        ("a", "loss", 2, 20, 0.4, False),
        ("a", "lr", 1, 10, 0.1, False),
        ("a", "loss", 1, 10, 0.0, True),
    ]
    frames = []
    for rows in (columns, columns[::-1]):
        builder = HistoryBuilder(["b", "a", "c"])
        builder.add(*zip(*rows[:2], strict=True))
        builder.add(*zip(*rows[2:], strict=True))
        frames.append(builder.frame({"loss": "z", "lr": "y"}.__getitem__))
    pd.testing.assert_frame_equal(*frames)
    assert frames[0]["run_id"].tolist() == ["a", "a", "a", "a", "b"]
    assert frames[0]["metric"].tolist() == ["y", "z", "z", "z", "z"]
    assert frames[0]["epoch"].tolist() == [1, 1, 2, 2, 1]
    assert frames[0]["value"].fillna(-1.0).tolist() == [0.1, -1.0, 0.4, 0.3, 0.5]


def test_what_is_read(readers: tuple[SqlRunReader, ClientRunReader]) -> None:
    for reader in readers:
        check_study(reader, reader.read_study("birds"))


def check_study(reader: RunReader, study: StudyRecord) -> None:
    assert study.study["objective"] == {"metric": "val/accuracy"}
    assert study.tags["sweeper.study_uuid"] == "0f8e"
    assert [run.number for run in study.runs] == [0, 1, 2, 3, 4, 5]
    assert [run.state for run in study.runs] == list(STATES)
    assert [run.value for run in study.runs] == [None, 0.1, None, 0.3, 0.4, 0.5]
    assert dict(study.runs[1].params) == PARAMS
    assert study.runs[1].start_time == datetime.fromtimestamp(2.001, UTC)
    assert study.runs[1].end_time == datetime.fromtimestamp(9, UTC)
    assert study.runs[3].end_time is None
    last = study.runs[5]
    assert math.isnan(last.metrics["val/auc"])
    assert last.metrics["val/accuracy/bird's"] == 0.25
    histories = reader.read_histories([last.run_id])
    assert list(histories.columns) == ["run_id", "metric", "epoch", "value"]
    assert histories.dtypes.astype(str).to_dict() == {
        "run_id": "object",
        "metric": "object",
        "epoch": "int64",
        "value": "float64",
    }
    accuracy = histories[histories.metric == "val/accuracy"]
    assert accuracy.epoch.tolist() == [1, 2, 3, 4, 5]
    assert accuracy.value.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert histories[histories.metric == "val/accuracy/a//b"].value.isna().tolist() == [True]
    assert reader.read_histories([]).empty
    assert reader.read_artifact(study.runs[0], "model/model.pt") == b"weights"
    assert reader.read_artifact(study.runs[1], "model/model.pt") is None


def test_an_unknown_study(readers: tuple[SqlRunReader, ClientRunReader]) -> None:
    for reader in readers:
        with pytest.raises(NotFoundError, match=r"no tracked study 'brids'.*studies there: .*birds"):
            reader.read_study("brids")


@pytest.mark.parametrize("read", [SqlRunReader, ClientRunReader])
def test_of_two_studies_of_one_name_the_later_counts(mlflow_db: str, tmp_path: Path, read: type) -> None:
    tracker = MlflowTracker(mlflow_db, artifact_root=tmp_path / "mlruns")
    track_study(tracker, tmp_path / "first", "aaaa", start=1000)
    track_study(tracker, tmp_path / "second", "0123", start=2000)
    study = read(mlflow_db).read_study("birds")
    assert study.tags["sweeper.study_uuid"] == "0123"
    assert [run.number for run in study.runs] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("read", [SqlRunReader, ClientRunReader])
def test_deleted_runs_and_experiments_are_not_read(mlflow_db: str, tmp_path: Path, read: type) -> None:
    track_study(MlflowTracker(mlflow_db, artifact_root=tmp_path / "mlruns"), tmp_path)
    client = MlflowClient(tracking_uri=mlflow_db)
    reader = read(mlflow_db)
    study = reader.read_study("birds")
    client.delete_run(study.runs[2].run_id)
    assert [run.number for run in reader.read_study("birds").runs] == [0, 1, 3, 4, 5]
    client.delete_experiment(study.experiment_id)
    assert reader.list_studies() == []
    with pytest.raises(NotFoundError, match="studies there: none"):
        reader.read_study("birds")


@pytest.mark.parametrize("read", [SqlRunReader, ClientRunReader])
def test_an_experiment_that_is_not_ours(mlflow_db: str, read: type) -> None:
    client = MlflowClient(tracking_uri=mlflow_db)
    experiment_id = client.create_experiment("birds")
    client.create_run(experiment_id)
    with pytest.raises(NotFoundError, match="the MLflow experiment of that name holds none"):
        read(mlflow_db).read_study("birds")


def test_a_database_that_is_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nothing is tracked yet.*does not exist"):
        open_reader(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert not (tmp_path / "mlflow.db").exists()
    (tmp_path / "mlflow.db").touch()
    with pytest.raises(NotFoundError, match="nothing is tracked yet"):
        open_reader(f"sqlite:///{tmp_path / 'mlflow.db'}").read_study("birds")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database " * 1000)
    with pytest.raises(TrackingError, match="cannot read MLflow's database"):
        open_reader(f"sqlite:///{tmp_path / 'mlflow.db'}").read_study("birds")


def test_a_server_that_is_down() -> None:
    with pytest.raises(TrackingError) as raised:
        open_reader(f"http://user:canary@127.0.0.1:{free_port()}").read_study("birds")
    assert "canary" not in str(raised.value)


def test_passwords_are_not_shown(mlflow_db: str) -> None:
    reader = ClientRunReader(mlflow_db)
    reader._uri = "http://user:canary@host:5000"
    with pytest.raises(NotFoundError) as raised:
        reader.read_study("birds")
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("uri", ["./mlruns", "file:///mlruns", "databricks", "redis://host"])
def test_places_that_are_no_database_and_no_server(uri: str, tmp_path: Path) -> None:
    from sweeper.tracking.workspace import Workspace

    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI: allowed are a database"):
        Workspace.from_environment(tmp_path, {"MLFLOW_TRACKING_URI": uri})


def test_artifacts_outside_of_a_run_are_refused(readers: tuple[SqlRunReader, ClientRunReader]) -> None:
    for reader in readers:
        run = reader.read_study("birds").runs[0]
        with pytest.raises(TrackingError, match="leads out of"):
            reader.read_artifact(run, "../../../study.json")
