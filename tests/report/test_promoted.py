"""The report's section on trials that were continued for longer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeper.report.blocks import Figure, Note, Table
from sweeper.report.sections.promoted import build_promoted, gather_promoted, gather_promoted_curves
from sweeper.report.study_data import StudyData
from sweeper.report.write import write_report
from sweeper.tracking.promoted import read_promoted
from sweeper.tracking.records import RunRecord, StudyRecord

from .synthetic import MemoryReader, make_record, make_run, shuffled

UUID = "0" * 32
CURVES = {3: (0.60, 0.70, 0.80, 0.75), 5: (0.50, 0.72, 0.71, 0.70)}
"""The objective of two trials that had two epochs, and then four."""


def promoted_of(run: RunRecord, number: int, values: tuple[float, ...], **changes: Any) -> RunRecord:
    tags = {
        "sweeper.source_trial": str(run.number),
        "sweeper.continued_from_epoch": "2",
        "sweeper.best_epoch": str(values.index(max(values)) + 1),
    }
    params = {**run.params, "training.epochs": len(values)}
    return make_run(number, study="p", value=max(values), params=params, tags=tags, **changes)


def with_promoted(**changes: Any) -> tuple[StudyRecord, StudyRecord, MemoryReader]:
    """A study of 8 trials, two of which were continued, and a reader of both; `changes` are of the second one's run."""
    runs = [
        make_run(
            n,
            value=max(CURVES[n][:2]) if n in CURVES else 0.1,
            params={"training.epochs": 2, "training.optimizer.lr": n / 1000},
        )
        for n in range(8)
    ]
    study = replace(make_record(runs), tags={"sweeper.study_uuid": UUID})
    second = {5: changes}
    continued = [promoted_of(runs[n], i, CURVES[n], **second.get(n, {})) for i, n in enumerate((5, 3))]
    name = f"{study.name}.promoted"
    promoted = replace(make_record(continued, name=name), tags={"sweeper.promoted_of": UUID})
    histories = {run.run_id: {"val/accuracy": CURVES[n]} for run, n in zip(continued, (5, 3), strict=True)}
    return study, promoted, MemoryReader(records={study.name: study, name: promoted}, histories=dict(histories))


def test_before_and_after_the_best_now_first() -> None:
    study, promoted, reader = with_promoted()
    frame = gather_promoted(read_promoted(study, reader), maximize=True)
    assert frame["trial"].tolist() == [3, 5]
    assert frame["run"].tolist() == [f"{promoted.name}/1", f"{promoted.name}/0"]
    assert frame["value_before"].tolist() == [0.70, 0.72]
    assert frame["value"].tolist() == [0.80, 0.72]
    assert frame["gain"].tolist() == pytest.approx([0.10, 0.0])
    assert frame["best_epoch"].tolist() == [3, 2]
    assert frame[["epochs_before", "continued_from_epoch", "epochs"]].to_numpy().tolist() == [[2, 2, 4]] * 2
    assert frame["training.optimizer.lr"].tolist() == [0.003, 0.005]
    assert "training.epochs" not in frame


def test_a_loss_that_fell_is_a_gain() -> None:
    study, _, reader = with_promoted()
    frame = gather_promoted(read_promoted(study, reader), maximize=False).set_index("trial")
    assert frame.loc[3, "gain"] == pytest.approx(-0.10)


def test_lines_go_over_both_parts() -> None:
    study, _, reader = with_promoted()
    curves = gather_promoted_curves(read_promoted(study, reader), StudyData(study, reader)).set_index("trial")
    assert curves.loc[3, "epoch"].tolist() == [1, 2, 3, 4]
    assert curves.loc[3, "value"].tolist() == list(CURVES[3])
    assert curves.loc[3, "continued"].tolist() == [False, False, True, True]


def test_what_is_said_and_drawn() -> None:
    study, _, reader = with_promoted()
    note, table, figure = build_promoted(StudyData(study, reader))
    assert isinstance(note, Note)
    assert note.text == (
        "2 trials of the search were continued, to at most 4 epochs. 1 of the 2 that ended is better than before. "
        "The best now is trial 3, with validation accuracy 80.0 % after 4 epochs; it had 70.0 % after 2."
    )
    assert isinstance(table, Table)
    assert "state" not in [column.key for column in table.columns]
    assert isinstance(figure, Figure)
    lines = [trace for trace in figure.figure.data if "lines" in trace.mode]
    assert [trace.name for trace in lines] == ["trial 3", "trial 5"]
    ends = [trace for trace in figure.figure.data if trace.mode == "markers"]
    assert [(trace.x, trace.y) for trace in ends] == [((2,), (0.70,)), ((2,), (0.72,))]


def test_one_that_has_not_ended_gains_nothing_yet() -> None:
    study, _, reader = with_promoted(state="RUNNING")
    frame = gather_promoted(read_promoted(study, reader), maximize=True).set_index("trial")
    assert frame.loc[5, "value"] is None
    assert frame.loc[5, "gain"] is None
    note, table, _ = build_promoted(StudyData(study, reader))
    assert isinstance(note, Note)
    assert "1 of the 1 that ended is better" in note.text
    assert isinstance(table, Table)
    assert "state" in [column.key for column in table.columns]


@pytest.mark.parametrize("tags", [{"sweeper.promoted_of": "1" * 32}, {}])
def test_no_section_where_nothing_was_continued(tags: dict[str, str]) -> None:
    study, promoted, reader = with_promoted()
    assert build_promoted(StudyData(promoted, reader)) == []
    reader.records = {**reader.records, promoted.name: replace(promoted, tags=tags)}
    assert build_promoted(StudyData(study, reader)) == []


def test_same_runs_same_bytes(tmp_path: Path) -> None:
    study, promoted, reader = with_promoted()
    first = write_report([study], reader, tmp_path / "a")
    reader.records = {study.name: study, promoted.name: shuffled(promoted)}
    second = write_report([shuffled(study)], reader, tmp_path / "b")
    assert [p.read_bytes() for p in first.paths] == [p.read_bytes() for p in second.paths]
    assert any("promoted" in path.name for path in first.data)
