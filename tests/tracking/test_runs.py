"""What `sweeper.runs` and `sweeper.best_runs` make of what was read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from sweeper.errors import NotFoundError
from sweeper.tracking.histories import history_frame, rows_at
from sweeper.tracking.records import RunRecord, StudyRecord
from sweeper.tracking.runs import TrackedRun, best_of, frame_of


def record(number: int, value: float | None, state: str = "COMPLETE", **fields: Any) -> RunRecord:
    defaults: dict[str, Any] = {
        "run_id": f"run-{number}",
        "name": f"trial-{number:03d}",
        "params": {},
        "metrics": {},
        "tags": {},
        "start_time": datetime(2025, 1, 1, tzinfo=UTC),
        "end_time": datetime(2025, 1, 1, 0, 1, tzinfo=UTC),
        "artifact_uri": "",
    }
    return RunRecord(number=number, value=value, state=state, **{**defaults, **fields})


def study(*runs: RunRecord, **objective: str) -> StudyRecord:
    return StudyRecord(
        name="birds", experiment_id="1", study={"objective": objective}, parent_run_id="p", tags={}, runs=runs
    )


class FakeReader:
    """Implements `RunReader` with the rows and artifacts of one run."""

    def __init__(self, rows: Sequence[tuple[str, int, float]] = (), artifacts: dict[str, Any] | None = None) -> None:
        self.rows = rows
        self.artifacts = artifacts or {}

    def list_studies(self) -> list[str]:
        return []

    def read_study(self, name: str) -> StudyRecord:
        raise NotImplementedError

    def read_histories(self, run_ids: Sequence[str], metrics: Sequence[str] | None = None) -> pd.DataFrame:
        metric, epoch, value = ([row[i] for row in self.rows] for i in range(3))
        return history_frame(
            {"run_id": [run_ids[0]] * len(self.rows), "metric": metric, "epoch": epoch, "value": value}
        )

    def read_epochs(self, epochs: Mapping[str, int], metrics: Sequence[str]) -> pd.DataFrame:
        return rows_at(self.read_histories(list(epochs), metrics), epochs)

    def read_artifact(self, run: RunRecord, path: str) -> bytes | None:
        return json.dumps(self.artifacts[path]).encode() if path in self.artifacts else None


def test_the_best_come_first_and_ties_go_to_the_earlier() -> None:
    runs = [record(0, 0.5), record(1, 0.9), record(2, 0.9), record(3, 0.7), record(4, 1.0, "PRUNED"), record(5, None)]
    assert [run.number for run in best_of(study(*reversed(runs)), 10)] == [1, 2, 3, 0]
    assert [run.number for run in best_of(study(*runs, metric="val/loss"), 2)] == [0, 3]
    assert [run.number for run in best_of(study(*runs, metric="val/loss", direction="maximize"), 1)] == [1]
    assert best_of(study(), 3) == []


def test_columns_are_typed() -> None:
    frame = frame_of(
        study(
            record(0, 0.5, params={"training.epochs": 3, "model.hidden": [16], "model.name": "mlp"}),
            record(1, None, "FAIL", params={"training.epochs": 4, "model.batch_norm": True}, end_time=None),
            record(2, 0.25, metrics={"seconds": 0.125, "val/accuracy": 0.25}, params={"training.epochs": 5}),
        )
    )
    assert list(frame.columns[:6]) == ["number", "state", "value", "run_id", "start", "trial_seconds"]
    assert frame["training.epochs"].dtype == "int64"
    assert frame["value"].dtype == "float64"
    assert frame["start"].dt.tz is not None
    assert frame["model.hidden"][0] == [16]
    assert frame["trial_seconds"][0] == 60.0
    assert math.isnan(frame["trial_seconds"][1])
    assert frame["seconds"][2] == 0.125, "the metric, not the trial's length"


def test_a_study_without_runs_has_the_columns() -> None:
    frame = frame_of(study())
    assert frame.empty
    assert frame.query("state == 'COMPLETE'").sort_values("value").empty


def test_history() -> None:
    reader = FakeReader([("lr", 1, 0.1), ("lr", 2, 0.2), ("val/auc", 1, math.nan), ("val/auc", 2, math.nan)])
    frame = TrackedRun(record(0, 0.5), reader).history()
    assert frame.index.tolist() == [1, 2]
    assert frame.columns.tolist() == ["lr", "val/auc"]
    assert frame["lr"].tolist() == [0.1, 0.2]
    assert frame["val/auc"].isna().all()


def test_a_run_without_an_epoch() -> None:
    run = TrackedRun(record(0, None, "FAIL"), FakeReader())
    assert run.history().empty
    with pytest.raises(NotFoundError, match="trial-000 has no epoch"):
        run.per_class()
    with pytest.raises(NotFoundError, match="no confusion matrix"):
        run.confusion()
    with pytest.raises(NotFoundError, match="kept no model"):
        run.load_model()


def test_per_class_is_at_the_best_epoch_in_the_order_of_the_classes() -> None:
    names = ["dog", "cat", "a/b"]
    rows = [
        (f"{part}/accuracy/{name}", epoch, epoch / 10 + i / 100)
        for epoch in (1, 2, 3)
        for part in ("train", "val")
        for i, name in enumerate(names)
    ]
    reader = FakeReader([*rows, ("val/accuracy", 1, 0.0)], {"data.json": {"class_names": names}})
    run = TrackedRun(record(0, 0.5, tags={"sweeper.best_epoch": "2"}), reader)
    frame = run.per_class()
    assert frame.index.tolist() == names
    assert frame.columns.tolist() == ["train", "val"]
    assert frame["val"].tolist() == pytest.approx([0.2, 0.21, 0.22])
    assert run.per_class(3)["val"]["dog"] == pytest.approx(0.3)
    with pytest.raises(NotFoundError, match="no epoch 4; it has 3"):
        run.per_class(4)


def test_confusion() -> None:
    artifact = {"class_names": ["a", "b"], "epoch": 1, "train": [[5, 0], [1, 4]], "val": [[1, 2], [3, 4]]}
    run = TrackedRun(record(0, 0.5), FakeReader(artifacts={"confusion.json": artifact}))
    assert run.confusion().loc["b", "a"] == 3
    assert run.confusion("train").to_numpy().sum() == 10
    with pytest.raises(NotFoundError, match="'test'"):
        run.confusion("test")
