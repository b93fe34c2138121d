"""What each section gathers, against values worked out by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from sweeper.errors import InputError
from sweeper.report.axes import log_ticks
from sweeper.report.blocks import Facts, Note, Row, Table
from sweeper.report.class_accuracies import gather_class_accuracies
from sweeper.report.matrix import CELLS, tabulate_matrix
from sweeper.report.sections.class_curves import gather_class_curves
from sweeper.report.sections.classes import build_classes, draw_class_table
from sweeper.report.sections.confusion import build_confusion, describe_confusions, draw_confusion, gather_confusion
from sweeper.report.sections.curves import build_curves, gather_curves
from sweeper.report.sections.gap import build_gap, describe_gap, gather_gaps
from sweeper.report.sections.head import build_head, gather_classes, gather_facts, gather_failures
from sweeper.report.sections.layers import build_layers, gather_layers
from sweeper.report.sections.rates import gather_class_rates
from sweeper.report.sections.search import (
    draw_optimization,
    draw_slice,
    drawn_rows,
    gather_optimization,
    gather_slices,
    value_range,
)
from sweeper.report.sections.trials import (
    build_all_trials,
    describe_best,
    describe_best_configuration,
    draw_trials,
    gather_constants,
    gather_trials,
)
from sweeper.report.statistics import wilson_interval
from sweeper.report.study_data import StudyData
from sweeper.tracking.records import RunRecord, StudyRecord

from .synthetic import START, MemoryReader, data_json, make_record, make_run

CLASSES = ("car", "truck", "cat")


def trial(number: int, value: float | None, state: str = "COMPLETE", **changes: Any) -> RunRecord:
    return make_run(number, value=value, state=state, **changes)


def study_of(*runs: RunRecord, reader: MemoryReader | None = None, top: int = 5, **changes: Any) -> StudyData:
    return StudyData(make_record(runs, **changes), reader or MemoryReader(), top=top)


@pytest.fixture
def three() -> StudyData:
    """Three classes of 100, 50 and 50 validation pictures; trial 1 is best, at epoch 2 of 3."""
    runs = [
        trial(0, 0.60, params={"training.optimizer.name": "adam", "training.optimizer.lr": 1e-3}),
        trial(
            1,
            0.70,
            params={"training.optimizer.name": "sgd", "training.optimizer.lr": 1e-1},
            tags={"sweeper.best_epoch": "2", "sweeper.n_parameters": "1234"},
        ),
        trial(
            2, None, "FAIL", tags={"sweeper.reason": "diverged: nan\nTraceback"}, end_time=START + timedelta(seconds=5)
        ),
        trial(3, 0.65, "PRUNED", params={"training.optimizer.name": "sgd", "training.optimizer.lr": 1e-2}),
    ]
    reader = MemoryReader()
    reader.histories["s-000"] = {"val/accuracy": [0.5, 0.55, 0.6], "train/accuracy": [0.5, 0.6, 0.7]}
    reader.histories["s-001"] = {
        "val/accuracy": [0.5, 0.7, 0.68],
        "train/accuracy": [0.6, 0.95, 0.97],
        "val/loss": [1.0, 0.8, 1.0],
        "train/loss": [0.9, 0.5, math.nan],
        "val/accuracy/car": [0.9, 1.0, 0.9],
        "val/accuracy/truck": [0.1, 0.2, 0.1],
        "val/accuracy/cat": [0.3, 0.6, 0.3],
    }
    counts = {"train": [400, 200, 200], "val": [100, 50, 50]}
    for run in runs:
        reader.artifacts[run.run_id, "data.json"] = data_json(CLASSES, counts)
    reader.artifacts["s-001", "confusion.json"] = json.dumps(
        {"class_names": list(CLASSES), "epoch": 2, "train": None, "val": [[100, 0, 0], [25, 10, 15], [20, 0, 30]]}
    ).encode()
    return study_of(*runs, reader=reader)


# --- ranking ------------------------------------------------------------------------------------------------------


def test_complete_trials_rank_by_direction_and_number() -> None:
    runs = [
        trial(0, 2.0),
        trial(1, 1.0),
        trial(2, 1.0),
        trial(3, math.nan),
        trial(4, 0.1, "PRUNED"),
        trial(5, None, "FAIL"),
    ]
    data = study_of(*runs, objective={"metric": "val/loss"})
    assert [run.number for run in data.complete] == [1, 2, 0]
    assert [run.number for run in data.ranked] == [1, 2, 0, 3, 4, 5]
    raised = study_of(*runs, objective={"metric": "val/loss", "direction": "maximize"})
    assert [run.number for run in raised.complete] == [0, 1, 2]


def test_epoch_that_a_trial_is_judged_by(three: StudyData) -> None:
    assert three.epoch_of == {"s-000": 3, "s-001": 2, "s-002": None, "s-003": None}
    last = StudyData(replace(three.record, study={**three.record.study, "objective": {"at": "last"}}), three.reader)
    assert last.epoch_of["s-001"] == 3


def test_everything_is_read_in_bulk(three: StudyData) -> None:
    reader = three.reader
    assert isinstance(reader, MemoryReader)
    for _ in range(2):
        gather_trials(three)
        gather_class_accuracies(three, "val")
        gather_gaps(three)
        gather_curves(three, "loss")
    # One query for all runs, one for the best ones, one for data.json.
    assert reader.n_calls == 3


def test_a_definition_that_cannot_be_read_says_so() -> None:
    record = replace(make_record([]), study={"name": "x", "trial": {}, "colour": "red"})
    with pytest.raises(InputError, match=r"study 'digits-cnn': this version of sweeper cannot read"):
        StudyData(record, MemoryReader())
    with pytest.raises(InputError, match="at least 1"):
        StudyData(make_record([]), MemoryReader(), top=0)


# --- head ---------------------------------------------------------------------------------------------------------


def test_facts(three: StudyData) -> None:
    facts = dict(gather_facts(three))
    assert facts["Objective"] == ["maximize validation accuracy at a trial's best epoch"]
    assert facts["Trials"] == ["4 of a budget of 40 trials: 2 complete, 1 pruned, 1 failed"]
    assert facts["Compute"] == ["3 min 05 s over 4 ended runs, 6 epochs"]
    assert facts["When"] == ["2025-03-01 14:05 UTC to 2025-03-01 14:06 UTC (1 min 00 s)"]
    assert facts["Sampler"] == ["tpe (seed 7)"]
    assert facts["Pruner"] == ["median (min_epochs 3)"]
    assert facts["Commit"] == ["000000000000"]
    assert facts["Data"] == ["digits, 3 classes, 64×64 pixels, 3 channels, 800 training, 200 validation, split seed 0"]
    assert "Hosts" not in facts


def test_failures_are_counted_by_first_line() -> None:
    runs = [
        trial(0, None, "FAIL", tags={"sweeper.reason": "diverged: nan"}),
        trial(1, None, "FAIL", tags={"sweeper.reason": "OSError: /home/me/x.npy is gone"}),
        trial(2, None, "FAIL", tags={"sweeper.reason": "diverged: nan\nmore"}),
        trial(3, None, "FAIL"),
        trial(4, None, "FAIL", tags={"sweeper.reason": "error", "sweeper.error": "ValueError: no"}),
        trial(5, None, "FAIL", tags={"sweeper.reason": "error", "sweeper.error": "KeyError: 'x'"}),
    ]
    assert gather_failures(study_of(*runs)).values.tolist() == [
        ["diverged: nan", 2, "0, 2"],
        ["OSError: …/x.npy is gone", 1, "1"],
        ["error: KeyError: 'x'", 1, "5"],
        ["error: ValueError: no", 1, "4"],
        ["not recorded", 1, "3"],
    ]


def test_class_counts(three: StudyData) -> None:
    assert gather_classes(three).to_dict("list") == {
        "class": [*CLASSES],
        "train": [400, 200, 200],
        "val": [100, 50, 50],
    }
    assert gather_classes(study_of()).empty


# --- trials -------------------------------------------------------------------------------------------------------


def test_all_trials_best_first(three: StudyData) -> None:
    frame = gather_trials(three)
    assert frame["trial"].tolist() == [1, 0, 3, 2]
    assert frame["rank"].tolist() == [1, 2, None, None]
    best = frame.iloc[0]
    assert (best["best_epoch"], best["n_epochs"], best["train_accuracy"], best["n_parameters"]) == (2, 3, 0.95, 1234)
    assert best["training.optimizer.lr"] == 0.1
    assert frame["reason"].tolist() == ["", "", "", "diverged: nan"]
    labels = [column.label for column in draw_trials(three, frame).columns]
    assert labels[:4] == ["rank", "trial", "state", "validation accuracy (%)"]
    assert {"optimizer", "lr", "reason of failure"} <= set(labels)


def test_the_best_is_described_by_what_its_numbers_support(three: StudyData) -> None:
    interval = wilson_interval(0.7, 200)
    assert describe_best(three) == (
        "Trial 1 is best, with 70.0 % at epoch 2. On 200 pictures the 95 % interval (Wilson) of one accuracy is "
        f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %. It was chosen from 2 on the very pictures it is "
        "measured on, so that its value is an optimistic estimate for new ones."
    )


def test_constants_are_listed_once() -> None:
    runs = [
        trial(0, 0.1, params={"seed": 0, "model.hidden": [8]}),
        trial(1, 0.2, params={"seed": 1, "model.hidden": [8]}),
    ]
    data = study_of(*runs)
    assert gather_constants(data).values.tolist() == [["model.hidden", "[8]", 2]]
    table = next(block for block in build_all_trials(data) if isinstance(block, Table) and block.key == "constants")
    assert [table.columns[1].show(value) for value in ("[8]", "[]", "[0.9, 0.999]", "none", 3)] == [
        "8",
        "none",
        "0.9, 0.999",
        "none",
        "3",
    ]


# --- classes and confusion ----------------------------------------------------------------------------------------


def test_class_table(three: StudyData) -> None:
    frame = gather_class_accuracies(three, "val")
    row = frame.iloc[0]
    assert row["trial"] == 1
    assert row["overall"] == 0.7
    assert row["avg"] == pytest.approx((1.0 + 0.2 + 0.6) / 3)
    assert [row[f"class:{name}"] for name in CLASSES] == [1.0, 0.2, 0.6]
    assert (row["low"], row["high"]) == (wilson_interval(0.7, 200).low, wilson_interval(0.7, 200).high)
    assert (row["training.optimizer.name"], row["training.optimizer.lr"]) == ("sgd", 0.1)
    assert row["avg_low"] < row["avg"] < row["avg_high"]
    table = draw_class_table(three, "val", frame)
    assert [c.label for c in table.columns][:6] == ["trial", "optimizer", "lr", "overall", "95 % interval", "avg"]
    # Trial 0 has no accuracies of classes.
    assert frame.iloc[1]["avg"] is None


def test_many_classes_become_rows() -> None:
    names = tuple(f"flower {i}" for i in range(102))
    classes = {f"val/accuracy/{name}": [i / 102] for i, name in enumerate(names)}
    reader = MemoryReader(histories={"s-000": {"val/accuracy": [0.5], **classes}})
    reader.artifacts["s-000", "data.json"] = data_json(names, {"val": [10] * 102})
    data = study_of(trial(0, 0.5), reader=reader)
    table, figures = build_classes(data)
    assert isinstance(table, Table)
    assert isinstance(figures, Row)
    assert table.frame["class"].tolist()[-1] == "flower 101"
    assert [column.key for column in table.columns] == ["class", "validation"]
    (figure,) = figures.items
    assert len(figure.figure.data) == 12
    assert len({(line.line.color, line.line.dash) for line in figure.figure.data}) == 12
    assert table.frame["validation"].iloc[-1] == "99.02"
    assert len(gather_class_curves(data, "val")) == 102


def test_confusion_rates_are_shares_of_the_truth(three: StudyData) -> None:
    frame, epoch = gather_confusion(three)
    assert epoch == 2
    assert set(frame["part"]) == {"val"}
    row = frame[(frame["truth"] == "truck") & (frame["predicted"] == "car")].iloc[0]
    assert (row["count"], row["rate"]) == (25, 0.5)
    words = describe_confusions(frame, "val")
    assert words == (
        "Most often in validation: truck taken for car (25 of 50); cat taken for car (20 of 50); "
        "truck taken for cat (15 of 50)."
    )
    heat = draw_confusion(three, "val", frame, epoch).figure.data[0]
    assert heat.z[1] == [0.5, 0.2, 0.3]
    assert heat.text[1][0] == "25<br>50 %"


@pytest.mark.parametrize("content", [b"not json", b"[]", b'{"class_names": ["a"], "val": [[1, 2]]}'])
def test_a_broken_confusion_matrix_is_no_error(content: bytes) -> None:
    reader = MemoryReader(artifacts={("s-000", "confusion.json"): content})
    (note,) = build_confusion(study_of(trial(0, 0.5), reader=reader))
    assert note == Note(text="No confusion matrix of trial 0 was recorded.")


def test_single_confusions_are_not_called_frequent() -> None:
    matrix = {"class_names": ["a", "b"], "epoch": 1, "val": [[3, 1], [0, 4]]}
    reader = MemoryReader(artifacts={("s-000", "confusion.json"): json.dumps(matrix).encode()})
    frame, _ = gather_confusion(study_of(trial(0, 0.5), reader=reader))
    assert describe_confusions(frame, "val") == "In validation no confusion occurs more than once."


def test_a_class_without_pictures_has_no_rate() -> None:
    matrix = {"class_names": ["a", "b"], "epoch": 1, "val": [[3, 1], [0, 0]]}
    reader = MemoryReader(artifacts={("s-000", "confusion.json"): json.dumps(matrix).encode()})
    frame, _ = gather_confusion(study_of(trial(0, 0.5), reader=reader))
    assert frame["rate"].tolist()[:2] == [0.75, 0.25]
    assert frame["rate"].isna().tolist()[2:] == [True, True]


# --- curves and gap -----------------------------------------------------------------------------------------------


def test_curves_keep_gaps(three: StudyData) -> None:
    curves = gather_curves(three, "loss")
    assert curves["epoch"].tolist() == [1, 2, 3]
    assert curves["val"].tolist() == [1.0, 0.8, 1.0]
    assert math.isnan(curves["train"].iloc[2])
    (row,) = build_curves(three)
    assert isinstance(row, Row)
    assert row.items[0].figure.data[0].y == (0.9, 0.5, None)


def test_gap_with_its_interval(three: StudyData) -> None:
    gap = gather_gaps(three).iloc[0]
    interval = wilson_interval(0.7, 200)
    assert gap["gap"] == pytest.approx(0.25)
    assert (gap["low"], gap["high"]) == (pytest.approx(0.95 - interval.high), pytest.approx(0.95 - interval.low))
    assert gap["overfit"] is True
    assert (gap["val_loss_lowest_epoch"], gap["val_loss_rise"]) == (2, pytest.approx(0.25))
    words, overfit = describe_gap(three, gap)
    assert overfit
    assert "lies 25.0 points above validation accuracy 70.0 %" in words
    assert "lowest at epoch 2 and rose by 25 %" in words


@pytest.mark.parametrize(
    ("train", "words"),
    [(0.71, "not distinguishable from chance"), (0.5, "It is not over-fitted"), (0.9, "It is over-fitted")],
)
def test_over_fitting_is_claimed_only_beyond_chance(train: float, words: str) -> None:
    reader = MemoryReader(histories={"s-000": {"val/accuracy": [0.7], "train/accuracy": [train]}})
    reader.artifacts["s-000", "data.json"] = data_json(CLASSES, {"val": [100, 50, 50]})
    data = study_of(trial(0, 0.7), reader=reader)
    assert words in describe_gap(data, gather_gaps(data).iloc[0])[0]


def test_the_seeds_of_a_configuration_have_a_say_on_over_fitting() -> None:
    trains = {0: 0.9, 1: 0.75, 2: 0.95}
    reader = MemoryReader(
        histories={f"s-00{n}": {"val/accuracy": [0.7], "train/accuracy": [train]} for n, train in trains.items()}
    )
    for n in trains:
        reader.artifacts[f"s-00{n}", "data.json"] = data_json(CLASSES, {"val": [100, 50, 50]})
    runs = [make_run(n, value=0.7, params={"seed": n}) for n in trains]
    note = build_gap(StudyData(make_record(runs), reader))[0]
    assert isinstance(note, Note)
    assert note.text.endswith("Of the 3 seeds of this configuration, 2 are over-fitted.")
    best = describe_best_configuration(StudyData(make_record(runs[:2]), reader))
    assert "that is trial 1, with the worse value." in best


def test_a_gap_without_a_number_of_pictures_claims_nothing() -> None:
    reader = MemoryReader(histories={"s-000": {"val/accuracy": [0.5], "train/accuracy": [0.9]}})
    data = study_of(trial(0, 0.5), reader=reader)
    words, overfit = describe_gap(data, gather_gaps(data).iloc[0])
    assert not overfit
    assert words.endswith("no interval can be given.")


# --- search -------------------------------------------------------------------------------------------------------


def test_optimization_history_counts_complete_trials_only() -> None:
    runs = [trial(0, 0.9, "PRUNED"), trial(1, 0.5), trial(2, 0.4), trial(3, None, "FAIL"), trial(4, 0.6)]
    frame = gather_optimization(study_of(*runs))
    assert frame["trial"].tolist() == [0, 1, 2, 4]
    assert frame["best"].tolist()[1:] == [0.5, 0.5, 0.6]
    assert math.isnan(frame["best"].iloc[0])


def test_pruned_trials_do_not_press_the_others_together() -> None:
    runs = [trial(0, 0.90), trial(1, 0.95), trial(2, 1.00), trial(3, 0.1, "PRUNED"), trial(4, 0.92, "PRUNED")]
    frame = gather_optimization(study_of(*runs))
    assert value_range(frame) == (pytest.approx(0.88), pytest.approx(1.02))
    assert value_range(frame[frame["trial"] != 3]) is None
    figure = draw_optimization(study_of(*runs), frame)
    assert figure.figure.layout.yaxis.range == (pytest.approx(0.88), pytest.approx(1.02))
    assert figure.note.endswith("1 pruned trial outside of the axis; a double click shows all.")


def test_of_very_many_trials_the_best_and_a_share_of_the_others_are_drawn() -> None:
    values = [(number * 7919 % 10007) / 10007 for number in range(5000)]
    adam = {"training.optimizer.name": "adam"}
    lrs = [adam | {"training.optimizer.lr": 10.0 ** -(1 + number % 300 / 100)} for number in range(5000)]
    data = study_of(*(trial(n, v, params=p) for n, (v, p) in enumerate(zip(values, lrs, strict=True))))
    frame = gather_optimization(data)
    drawn = drawn_rows(data, frame)
    assert 2000 <= len(drawn) <= 2100
    assert drawn["trial"].is_monotonic_increasing
    assert set(sorted(values)[-100:]) <= set(drawn["value"])
    assert drawn["trial"].diff().max() <= 3
    assert drawn_rows(data, frame.head(2000)) is not None
    assert len(drawn_rows(data, frame.head(2000))) == 2000
    figure = draw_optimization(data, frame)
    assert len(figure.data) == 5000
    assert len(figure.figure.data[0].x) == len(drawn)
    assert figure.note == f"Drawn are {len(drawn):,} of 5,000 trials, the best 100 among them; the CSV file has all."
    line = figure.figure.data[1]
    assert (line.x[0], line.x[-1], line.y[-1]) == (0, 4999, max(values))
    assert list(line.y[:-1]) == sorted(set(frame["best"]))
    lr = draw_slice(data, "training.optimizer.lr", "lr", gather_slices(data)["training.optimizer.lr"])
    assert len(lr.data) == 5000
    assert len(lr.figure.data[0].x) == len(drawn)


def test_slices_name_branches_and_follow_the_space(three: StudyData) -> None:
    slices = gather_slices(three)
    assert list(slices) == ["training.optimizer.name", "training.optimizer.lr"]
    lr = slices["training.optimizer.lr"]
    assert lr[["trial", "x", "branch"]].values.tolist() == [[0, 1e-3, "adam"], [1, 1e-1, "sgd"], [3, 1e-2, "sgd"]]
    figure = draw_slice(three, "training.optimizer.lr", "lr", lr).figure
    assert figure.layout.xaxis.type == "log"
    assert [trace.name for trace in figure.data] == ["adam", "sgd"]
    assert figure.data[1].marker.symbol == ("square", "square-open")
    names = draw_slice(three, "training.optimizer.name", "optimizer", slices["training.optimizer.name"]).figure
    assert names.layout.xaxis.categoryarray == ("adam", "sgd")


def test_slices_leave_out_branches_that_do_not_search_a_parameter() -> None:
    names = ["adam", "adam", "sgd"]
    values = [0.3, 0.6, 0.0]
    runs = [
        trial(i, 0.5, params={"training.optimizer.name": name, "training.optimizer.momentum": value})
        for i, (name, value) in enumerate(zip(names, values, strict=True))
    ]
    space = {
        "training": {"optimizer": {"choice": [{"name": "adam", "momentum": {"float": [0.1, 0.9], "log": True}}, "sgd"]}}
    }
    data = study_of(*runs, trial=space)
    momentum = gather_slices(data)["training.optimizer.momentum"]
    assert momentum["trial"].tolist() == [0, 1]
    figure = draw_slice(data, "training.optimizer.momentum", "momentum", momentum).figure
    assert figure.layout.xaxis.type == "log"


def test_the_axis_of_a_slice_has_its_few_values() -> None:
    data = study_of(*(trial(i, 0.5, params={"training.epochs": n}) for i, n in enumerate((20, 20, 60))))
    axis = draw_slice(data, "training.epochs", "epochs", gather_slices(data)["training.epochs"]).figure.layout.xaxis
    assert axis.ticktext == ("20", "60")


def test_slices_take_lists_apart() -> None:
    runs = [trial(0, 0.1, params={"model.hidden": [64]}), trial(1, 0.2, params={"model.hidden": [64, 32]})]
    assert list(gather_slices(study_of(*runs))) == ["model.hidden.repeat"]
    runs.append(trial(2, 0.3, params={"model.hidden": [128, 32]}))
    assert list(gather_slices(study_of(*runs))) == ["model.hidden.repeat", "model.hidden.0"]


def test_log_ticks() -> None:
    assert [tick for tick in log_ticks(6, 140) if 6 <= tick <= 140] == [10.0, 20.0, 50.0, 100.0]
    assert all(math.log10(tick) % 1 == pytest.approx(0) for tick in log_ticks(1e-5, 1e-1))
    assert len([tick for tick in log_ticks(1e-12, 1.0) if 1e-12 <= tick <= 1.0]) <= 7


# --- layers and head as blocks ------------------------------------------------------------------------------------


def test_layers(sweep: tuple[StudyRecord, MemoryReader]) -> None:
    data = StudyData(*sweep)
    assert gather_layers(data).values.tolist()[0] == ["blocks.0.conv", "Conv2d", "16×62×62", 448]
    (table,) = build_layers(data)
    assert isinstance(table, Table)
    assert table.title.endswith("1,458 parameters")
    assert build_layers(study_of(trial(0, 0.5))) == []


def test_head_blocks(sweep: tuple[StudyRecord, MemoryReader]) -> None:
    description, facts, tables = build_head(StudyData(*sweep))
    assert isinstance(description, Note)
    assert isinstance(facts, Facts)
    assert isinstance(tables, Row)
    assert [table.key for table in tables.items] == ["space", "classes", "failures"]


def test_pictures_drawn_evenly_give_no_verdict_on_over_fitting() -> None:
    reader = MemoryReader(histories={"s-000": {"val/accuracy": [0.15], "train/accuracy": [0.9]}})
    reader.artifacts["s-000", "data.json"] = data_json(CLASSES, {"val": [100, 50, 50]})
    data = study_of(trial(0, 0.15, params={"training.balance": "both"}), reader=reader)
    words, overfit = describe_gap(data, gather_gaps(data).iloc[0])
    assert not overfit
    assert words.endswith("compare class by class.")


def test_counts_and_rates_of_each_class() -> None:
    cells = pd.DataFrame(tabulate_matrix(("a", "b", "c"), [[8, 2, 0], [1, 9, 0], [0, 0, 0]]), columns=list(CELLS))
    frame = gather_class_rates(cells).set_index("class")
    assert frame.loc["a", ["n", "n_found", "recall", "n_predicted"]].tolist() == [10, 8, 0.8, 9]
    assert frame.loc["a", "precision"] == pytest.approx(8 / 9)
    assert frame.loc["a", ["taken_for", "n_taken"]].tolist() == ["b", 2]
    assert frame.loc["c", ["recall", "precision", "taken_for"]].tolist() == [None, None, None]
