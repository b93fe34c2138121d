"""What training losses say of learning rates, with losses that are known to be slow, useless or fine."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sweeper.report.blocks import Note, Row, Table
from sweeper.report.learning import LR, gather_learning
from sweeper.report.sections.learning_rate import build_learning_rate, gather_rate_ranges
from sweeper.report.study_data import StudyData

from .synthetic import MemoryReader, data_json, make_record, make_run

N_EPOCHS = 20


def exponential(rate: float, start: float = 1.0, end: float = 0.1) -> list[float]:
    """A loss that falls to `end`."""
    return [end + (start - end) * math.exp(-rate * epoch) for epoch in range(N_EPOCHS)]


@pytest.fixture
def rates() -> StudyData:
    """Entropy of the classes is ln 2 ≈ 0.693."""
    losses = {
        1e-5: exponential(0.02, start=0.69),
        1e-3: exponential(0.5),
        2e-3: exponential(0.45),
        1e-1: [0.70, 0.69, 0.70, 0.69] * 5,
        1.0: [2.0] * N_EPOCHS,
        10.0: [3.0, 9.0],
    }
    values = {1e-5: 0.6, 1e-3: 0.95, 2e-3: 0.94, 1e-1: 0.5, 1.0: 0.5, 10.0: None}
    runs, reader = [], MemoryReader()
    for number, (lr, train) in enumerate(losses.items()):
        failed = values[lr] is None
        run = make_run(
            number,
            value=values[lr],
            state="FAIL" if failed else "COMPLETE",
            params={LR: lr, "training.optimizer.name": "adam", "seed": 0},
            tags={"sweeper.reason": "diverged: loss is NaN"} if failed else {},
        )
        reader.histories[run.run_id] = {"train/loss": train, "val/accuracy": [values[lr] or 0.0] * len(train)}
        reader.artifacts[run.run_id, "data.json"] = data_json(("a", "b"), {"train": [500, 500], "val": [250, 250]})
        runs.append(run)
    return StudyData(make_record(runs), reader)


@pytest.mark.parametrize("setting", [("label_smoothing", 0.1), ("class_weights", "balanced")], ids=lambda s: s[0])
def test_another_scale_hides_no_trial_that_learnt_nothing(setting: tuple[str, Any]) -> None:
    reader = MemoryReader()
    runs = []
    for number, last in enumerate([0.69, 0.4]):
        params = {LR: 0.1 * (number + 1), f"training.loss.{setting[0]}": setting[1], "seed": 0}
        run = make_run(number, value=0.5 + 0.2 * number, params=params)
        reader.histories[run.run_id] = {"train/loss": [0.7, last], "val/accuracy": [0.5 + 0.2 * number] * 2}
        reader.artifacts[run.run_id, "data.json"] = data_json(("a", "b"), {"train": [900, 100], "val": [250, 250]})
        runs.append(run)
    frame = gather_learning(StudyData(make_record(runs), reader))
    assert frame["verdict"].tolist() == ["learnt nothing", "fine"]


def test_each_rate_has_its_verdict(rates: StudyData) -> None:
    frame = gather_learning(rates)
    assert dict(zip(frame["lr"], frame["verdict"], strict=True)) == {
        1e-5: "too slow",
        1e-3: "fine",
        2e-3: "fine",
        1e-1: "learnt nothing",
        1.0: "blew up",
        10.0: "diverged",
    }


def test_a_rate_as_good_as_the_best_is_never_too_slow(rates: StudyData) -> None:
    slow = rates.runs[0]
    runs = [*rates.runs[1:], make_run(0, value=0.95, params=dict(slow.params))]
    frame = gather_learning(StudyData(make_record(runs), rates.reader))
    assert frame.set_index("lr")["verdict"][1e-5] == "fine"


def test_losses_with_smoothed_labels_are_not_compared_with_others(rates: StudyData) -> None:
    slow = rates.runs[0]
    smoothed = make_run(0, value=0.6, params={**slow.params, "training.loss.label_smoothing": 0.1})
    frame = gather_learning(StudyData(make_record([smoothed, *rates.runs[1:]]), rates.reader))
    assert frame.set_index("lr")["verdict"][1e-5] == "fine"


def test_ranges_of_an_optimizer(rates: StudyData) -> None:
    ranges = gather_rate_ranges(gather_learning(rates)).set_index("verdict")
    assert (ranges.loc["fine", "lowest"], ranges.loc["fine", "highest"]) == (1e-3, 2e-3)
    assert ranges.loc["fine", "rates"] == "1e-3, 2e-3"
    assert ranges.loc["diverged", "trials"] == "5"


def test_the_section_names_the_best_rate(rates: StudyData) -> None:
    note, table, row = build_learning_rate(rates)
    assert isinstance(note, Note)
    assert "trial, 1, had learning rate 1e-3 with adam" in note.text
    assert isinstance(table, Table)
    assert isinstance(row, Row)


def test_without_losses_nothing_is_said() -> None:
    run = make_run(0, value=0.5, params={LR: 0.1, "seed": 0})
    assert build_learning_rate(StudyData(make_record([run]), MemoryReader())) == []
