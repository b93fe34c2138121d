"""What every tracker does: in memory, MLflow on SQLite, MLflow over HTTP."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from sweeper.errors import TrackingError
from sweeper.study.flatten import decode
from sweeper.tracking.memory import MemoryTracker
from sweeper.tracking.mlflow import MlflowTracker
from sweeper.tracking.names import original_name
from sweeper.tracking.outbox import Row
from sweeper.tracking.tracker import EXPERIMENT_ID, MAX_TAG_LENGTH, RunInfo, Tracker
from sweeper.tracking.view import described, runs_path
from tests.tracking.mlflow_server import MlflowServer, free_port

SERIAL = itertools.count()


@dataclass
class SeenRun:
    """A run as an onlooker sees it."""

    status: str
    start_time_ms: int
    end_time_ms: int | None
    name: str
    params: Mapping[str, Any]
    tags: Mapping[str, str]
    rows: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    """How often each (metric, epoch, value as text) is there."""


class Place(Protocol):
    """A tracker and a look at what it keeps."""

    tracker: Tracker

    def look(self, run_id: str) -> SeenRun: ...

    def artifact(self, run_id: str, path: str) -> bytes: ...


class MemoryPlace:
    def __init__(self) -> None:
        self.tracker = MemoryTracker()

    def look(self, run_id: str) -> SeenRun:
        run = self.tracker.runs[run_id]
        tags = dict(run.tags)
        if run.parent_run_id:
            tags["mlflow.parentRunId"] = run.parent_run_id
        rows = Counter({(metric, epoch, repr(value)): n for (metric, epoch, value), n in run.rows.items()})
        return SeenRun(run.status, run.info.start_time_ms, run.end_time_ms, run.info.name, run.params, tags, rows)

    def artifact(self, run_id: str, path: str) -> bytes:
        return self.tracker.runs[run_id].artifacts[path]


class MlflowPlace:
    def __init__(self, uri: str, artifact_root: Path | None) -> None:
        self.uri = uri
        self.tracker = MlflowTracker(uri, artifact_root=artifact_root)
        self.client = MlflowClient(tracking_uri=uri)

    def look(self, run_id: str) -> SeenRun:
        run = self.client.get_run(run_id)
        rows: Counter[tuple[str, int, str]] = Counter()
        for key in run.data.metrics:
            for metric in self.client.get_metric_history(run_id, key):
                rows[(original_name(key), metric.step, repr(metric.value))] += 1
        return SeenRun(
            run.info.status,
            run.info.start_time,
            run.info.end_time,
            run.info.run_name,
            {key: decode(text) for key, text in run.data.params.items()},
            run.data.tags,
            rows,
        )

    def artifact(self, run_id: str, path: str) -> bytes:
        return Path(download_artifacts(run_id=run_id, artifact_path=path, tracking_uri=self.uri)).read_bytes()


@pytest.fixture(params=["memory", "sqlite", pytest.param("http", marks=pytest.mark.xdist_group("server"))])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "memory":
        yield MemoryPlace()
    elif request.param == "sqlite":
        yield MlflowPlace(request.getfixturevalue("mlflow_db"), tmp_path / "mlruns")
    else:
        yield MlflowPlace(request.getfixturevalue("server").url, None)


@pytest.fixture
def name() -> str:
    """A name that no other experiment on the server has."""
    return f"study-{next(SERIAL)}"


@pytest.fixture
def experiment_id(place: Place, name: str) -> str:
    return place.tracker.open_experiment(name, {"sweeper.study": name})


def info(key: str = "0f8e/0", start: int = 1700000000000) -> RunInfo:
    return RunInfo(
        key=key,
        name="trial-000",
        start_time_ms=start,
        params={},
        tags={"sweeper.number": "0", "sweeper.state": "RUNNING"},
    )


@pytest.fixture
def run_id(place: Place, experiment_id: str) -> str:
    return place.tracker.create_run(experiment_id, info(), None)


def test_an_experiment_is_opened_again(place: Place, name: str) -> None:
    first = place.tracker.open_experiment(name, {"sweeper.study": name})
    assert place.tracker.open_experiment(name, {"sweeper.study": name}) == first
    assert place.tracker.open_experiment(name, {"sweeper.study": name, "mlflow.note.content": "new"}) == first


def test_an_experiment_is_described_at_length(place: Place, name: str) -> None:
    text = described("What this study is about. " * 2000)
    opened = place.tracker.open_experiment(name, {"mlflow.note.content": text})
    place.tracker.open_experiment(name, {"mlflow.note.content": text})
    if isinstance(place, MlflowPlace):
        kept = place.client.get_experiment(opened).tags["mlflow.note.content"]
        assert kept.endswith(f"… [Trials, best first]({runs_path(opened)})")
        assert 4900 < len(kept) <= MAX_TAG_LENGTH


@pytest.mark.parametrize("there_before", [False, True])
def test_tags_of_an_experiment_may_hold_its_id(place: Place, name: str, there_before: bool) -> None:
    if not isinstance(place, MlflowPlace):
        pytest.skip("keeps no tags of experiments")
    if there_before:
        place.tracker.open_experiment(name, {"sweeper.study": name})
    opened = place.tracker.open_experiment(name, {"sweeper.study": name, "link": f"#/experiments/{EXPERIMENT_ID}/runs"})
    tags = place.client.get_experiment(opened).tags
    assert {"sweeper.study": name, "link": f"#/experiments/{opened}/runs"}.items() <= tags.items()


def test_runs_are_found_by_their_key(place: Place, experiment_id: str) -> None:
    assert place.tracker.find_runs(experiment_id, "0f8e/1") == []
    first = place.tracker.create_run(experiment_id, info("0f8e/1", 1700000000001), None)
    second = place.tracker.create_run(experiment_id, info("0f8e/1", 1700000000002), None)
    place.tracker.create_run(experiment_id, info("0f8e/11"), None)
    assert place.tracker.find_runs(experiment_id, "0f8e/1") == [first, second]
    place.tracker.delete_run(second)
    assert place.tracker.find_runs(experiment_id, "0f8e/1") == [first]


def test_runs_of_other_experiments_are_not_found(place: Place, experiment_id: str, name: str) -> None:
    other = place.tracker.open_experiment(f"{name}-other", {})
    place.tracker.create_run(other, info("0f8e/1"), None)
    assert place.tracker.find_runs(experiment_id, "0f8e/1") == []


def test_a_new_run(place: Place, experiment_id: str, run_id: str) -> None:
    child = place.tracker.create_run(experiment_id, info("0f8e/1"), run_id)
    seen = place.look(child)
    assert (seen.status, seen.name, seen.start_time_ms, seen.end_time_ms) == (
        "RUNNING",
        "trial-000",
        1700000000000,
        None,
    )
    assert seen.tags["mlflow.parentRunId"] == run_id
    assert seen.tags["sweeper.number"] == "0"


PARAMS: dict[str, Any] = {
    "training.optimizer.lr": 1e-05,
    "training.epochs": 3,
    "model.hidden": [200, 100],
    "model.blocks.0.channels": 6,
    "model.batch_norm": True,
    "training.early_stopping": None,
    "data.augment": [],
    "model.name": "mlp",
    "data.path": "1e-4",
    "quoted": '"a"',
    "empty": "",
}


def test_params_keep_their_types(place: Place, run_id: str) -> None:
    place.tracker.log_batch(run_id, params=PARAMS)
    place.tracker.log_batch(run_id, params=PARAMS)  # after a lost answer
    seen = place.look(run_id).params
    assert seen == PARAMS
    assert {key: type(value) for key, value in seen.items()} == {key: type(value) for key, value in PARAMS.items()}


def test_a_param_never_changes(place: Place, run_id: str) -> None:
    place.tracker.log_batch(run_id, params={"seed": 0})
    with pytest.raises(TrackingError):
        place.tracker.log_batch(run_id, params={"seed": 1})
    assert place.look(run_id).params == {"seed": 0}


def test_more_params_than_a_request_takes(place: Place, run_id: str) -> None:
    params = {f"model.blocks.{i}.channels": i for i in range(250)}
    place.tracker.log_batch(run_id, params=params)
    assert place.look(run_id).params == params


def test_long_values_are_kept_or_cut(place: Place, run_id: str) -> None:
    place.tracker.log_batch(run_id, params={"data.path": "p" * 7000})
    place.tracker.log_batch(run_id, tags={"sweeper.reason": "r" * 20_000})
    place.tracker.log_batch(run_id, params={"data.path": "p" * 7000})
    seen = place.look(run_id)
    assert seen.params["data.path"][:5000] == "p" * 5000
    assert seen.tags["sweeper.reason"][:5000] == "r" * 5000


def rows(values: Mapping[str, float], n: int = 2) -> list[Row]:
    return [Row(epoch=e, timestamp_ms=1700000000000 + e, values=values) for e in range(1, n + 1)]


def test_rows_sent_again_are_there_once(place: Place, run_id: str) -> None:
    sent = rows({"val/accuracy": 0.5, "train/loss": 1.25})
    place.tracker.log_batch(run_id, rows=sent)
    place.tracker.log_batch(run_id, rows=sent)
    place.tracker.log_batch(
        run_id, rows=[*sent, Row(epoch=3, timestamp_ms=1700000000003, values={"val/accuracy": 0.5})]
    )
    assert place.look(run_id).rows == {
        ("val/accuracy", 1, "0.5"): 1,
        ("val/accuracy", 2, "0.5"): 1,
        ("val/accuracy", 3, "0.5"): 1,
        ("train/loss", 1, "1.25"): 1,
        ("train/loss", 2, "1.25"): 1,
    }


def test_nan_is_kept_and_there_once(place: Place, run_id: str) -> None:
    for _ in range(2):
        place.tracker.log_batch(run_id, rows=rows({"val/auc": float("nan"), "val/accuracy": 0.5}, n=1))
    assert place.look(run_id).rows == {("val/auc", 1, "nan"): 1, ("val/accuracy", 1, "0.5"): 1}


def test_values_come_back_to_the_last_bit(place: Place, run_id: str) -> None:
    values = {"a": 1 / 3, "b": 5e-324, "c": 1.7976931348623157e308, "d": -0.1, "e": 0.1 + 0.2}
    place.tracker.log_batch(run_id, rows=rows(values, n=1))
    assert {float(text) for _, _, text in place.look(run_id).rows} == set(values.values())


def test_more_metrics_than_a_request_takes(place: Place, run_id: str) -> None:
    sent = rows({f"val/accuracy/{i}": i / 100 for i in range(101)}, n=12)
    place.tracker.log_batch(run_id, rows=sent)
    place.tracker.log_batch(run_id, rows=sent)
    seen = place.look(run_id).rows
    assert len(seen) == 1212
    assert set(seen.values()) == {1}


CLASS_NAMES = (
    "T-shirt/top",
    "a//b",
    "a/b",
    "../x",
    "é",
    "bird's",
    "bird_s",
    "bird:s",
    "a/",
    "/a",
    ".",
    "猫",
    "_x27_",
    "x" * 255,
)


def test_class_names_that_mlflow_refuses(place: Place, run_id: str) -> None:
    values = {f"val/accuracy/{class_name}": i / 100 for i, class_name in enumerate(CLASS_NAMES)}
    place.tracker.log_batch(run_id, rows=rows(values, n=1))
    seen = place.look(run_id).rows
    assert len(seen) == len(CLASS_NAMES)
    by_value = {float(text): metric for metric, _, text in seen}
    for metric, value in values.items():
        if len(metric) < 250:
            assert by_value[value] == metric


def test_tags_are_set_anew(place: Place, run_id: str) -> None:
    place.tracker.log_batch(run_id, tags={"sweeper.state": "PRUNED", "sweeper.reason": "why"})
    place.tracker.log_batch(run_id, tags={"sweeper.state": "COMPLETE"})
    tags = place.look(run_id).tags
    assert (tags["sweeper.state"], tags["sweeper.reason"]) == ("COMPLETE", "why")
    place.tracker.log_batch(run_id, tags={f"tag.{i}": "x" for i in range(250)})
    assert sum(key.startswith("tag.") for key in place.look(run_id).tags) == 250


@pytest.mark.parametrize("status", ["FINISHED", "KILLED", "FAILED"])
def test_ends(place: Place, run_id: str, status: str) -> None:
    for _ in range(2):
        place.tracker.set_status(run_id, status, 1700000009000)
    seen = place.look(run_id)
    assert (seen.status, seen.end_time_ms) == (status, 1700000009000)


def test_waiting_and_running_have_no_end(place: Place, run_id: str) -> None:
    for status in ("SCHEDULED", "RUNNING", "SCHEDULED"):
        place.tracker.set_status(run_id, status, None)
        seen = place.look(run_id)
        assert (seen.status, seen.end_time_ms) == (status, None)


def test_a_study_that_goes_on_keeps_its_end_until_the_next_one(place: Place, run_id: str) -> None:
    place.tracker.set_status(run_id, "FINISHED", 1700000009000)
    place.tracker.set_status(run_id, "RUNNING", None)
    seen = place.look(run_id)
    assert (seen.status, seen.end_time_ms) == ("RUNNING", 1700000009000)
    place.tracker.set_status(run_id, "FINISHED", 1700000009999)
    assert place.look(run_id).end_time_ms == 1700000009999


def test_artifacts(place: Place, run_id: str, tmp_path: Path) -> None:
    file = tmp_path / "config é.json"
    contents = os.urandom(3000)
    file.write_bytes(contents)
    for _ in range(2):
        place.tracker.log_artifact(run_id, file, "")
        place.tracker.log_artifact(run_id, file, "model")
    assert place.artifact(run_id, "config é.json") == contents
    assert place.artifact(run_id, "model/config é.json") == contents
    file.write_bytes(b"new")
    place.tracker.log_artifact(run_id, file, "")
    assert place.artifact(run_id, "config é.json") == b"new"


def test_deleting_twice(place: Place, experiment_id: str, run_id: str) -> None:
    place.tracker.delete_run(run_id)
    place.tracker.delete_run(run_id)
    assert place.tracker.find_runs(experiment_id, "0f8e/0") == []


def test_an_unknown_run(place: Place) -> None:
    with pytest.raises(TrackingError, match=r"\S"):
        place.tracker.log_batch("0" * 32, rows=rows({"a": 1.0}))
    with pytest.raises(TrackingError, match=r"\S"):
        place.tracker.set_status("0" * 32, "FINISHED", 1)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("http", marks=pytest.mark.xdist_group("server"))])
def test_an_experiment_in_the_trash(request: pytest.FixtureRequest, kind: str, tmp_path: Path, name: str) -> None:
    uri = request.getfixturevalue("mlflow_db") if kind == "sqlite" else request.getfixturevalue("server").url
    tracker = MlflowTracker(uri, artifact_root=tmp_path / "mlruns" if kind == "sqlite" else None)
    experiment_id = tracker.open_experiment(name, {})
    MlflowClient(tracking_uri=uri).delete_experiment(experiment_id)
    with pytest.raises(TrackingError, match=rf"{name}.*trash.*restore --experiment-id {experiment_id}|trash"):
        tracker.open_experiment(name, {})


def test_a_server_that_is_down() -> None:
    url = f"http://user:canary@127.0.0.1:{free_port()}"
    with pytest.raises(TrackingError) as raised:
        MlflowTracker(url)
    assert "canary" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.xdist_group("server")
def test_nothing_is_printed(server: MlflowServer, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    tracker = MlflowTracker(server.url)
    run_id = tracker.create_run(tracker.open_experiment(name, {}), info(), None)
    tracker.set_status(run_id, "FINISHED", 1700000009000)
    assert capfd.readouterr() == ("", "")


@pytest.mark.xdist_group("server")
def test_a_server_keeps_its_artifacts_itself(server: MlflowServer, tmp_path: Path, name: str) -> None:
    tracker = MlflowTracker(server.url)
    run_id = tracker.create_run(tracker.open_experiment(name, {}), info(), None)
    (tmp_path / "a.txt").write_text("x")
    tracker.log_artifact(run_id, tmp_path / "a.txt", "")
    assert list((server.folder / "artifacts").rglob("a.txt"))


def test_errors_have_a_reason_even_without_words() -> None:
    from requests.exceptions import ConnectionError as RequestsConnectionError

    from sweeper.tracking.mlflow import reason_of

    assert reason_of(RequestsConnectionError()) == "ConnectionError"
    assert reason_of(OSError("no http://u:p@h/ and postgresql://u:p:w@h/x\nmore")) == (
        "no http://u:***@h/ and postgresql://u:***@h/x"
    )
