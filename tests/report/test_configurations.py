"""Seeds taken together, true labels, and comparisons that claim no more than they can."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from scipy.stats import ttest_rel

from sweeper.report.augmentations import augment_words, fold_augmentations
from sweeper.report.blocks import Note, Row, Table
from sweeper.report.class_accuracies import gather_class_accuracies, gather_comparison, gather_parts
from sweeper.report.comparison import paired_difference
from sweeper.report.sections.classes import build_classes, draw_class_table
from sweeper.report.sections.confusion import gather_confusion
from sweeper.report.sections.outputs import build_outputs, gather_outputs
from sweeper.report.sections.trials import build_best_trials, gather_best_configurations
from sweeper.report.statistics import (
    describe_sample,
    difference_interval,
    mean_share_interval,
    wilson_interval,
)
from sweeper.report.study_data import StudyData
from sweeper.tracking.records import RunRecord

from .synthetic import MemoryReader, data_json, make_record, make_run

CLASSES = ("car", "truck", "cat")


def study_of(runs: list[RunRecord], reader: MemoryReader | None = None, **changes: Any) -> StudyData:
    return StudyData(make_record(runs, **changes), reader or MemoryReader())


def seeded(number: int, balance: str, seed: int, value: float | None, **changes: Any) -> RunRecord:
    return make_run(number, params={"training.balance": balance, "seed": seed}, value=value, **changes)


@pytest.fixture
def balance() -> StudyData:
    """Two configurations of three seeds; `loss` is better for each seed, and `none` has the best single trial."""
    values = {"loss": [0.80, 0.70, 0.90], "none": [0.75, 0.64, 0.86], "both": [0.95]}
    runs = [
        seeded(3 * i + seed, name, seed, value)
        for i, (name, several) in enumerate(values.items())
        for seed, value in enumerate(several)
    ]
    runs.append(seeded(7, "both", 1, None, state="FAIL", tags={"sweeper.reason": "diverged"}))
    reader = MemoryReader()
    for run in runs:
        if run.value is not None:
            reader.histories[run.run_id] = {
                "val/accuracy": [run.value],
                **{f"val/accuracy/{c}": [run.value - 0.1 * i] for i, c in enumerate(CLASSES)},
            }
        reader.artifacts[run.run_id, "data.json"] = data_json(CLASSES, {"val": [100, 50, 50]})
    return study_of(runs, reader)


def test_seeds_are_taken_together_and_what_is_incomplete_comes_last(balance: StudyData) -> None:
    assert balance.has_seeds
    assert [c.name for c in balance.configurations] == ["trials 0, 1, 2", "trials 3, 4, 5", "trial 6"]
    assert [c.value for c in balance.configurations] == pytest.approx([0.8, 0.75, 0.95])
    # The median trial stands for it, not the luckiest of all.
    assert balance.best is not None
    assert balance.best.number == 0
    assert balance.factors == ["training.balance"]


def test_without_seeds_each_trial_is_a_configuration() -> None:
    runs = [make_run(0, value=0.5), make_run(1, value=0.7), make_run(2, value=0.6)]
    data = study_of(runs)
    assert not data.has_seeds
    assert [c.typical.number for c in data.configurations] == [1, 2, 0]


def test_mean_and_spread_over_seeds(balance: StudyData) -> None:
    frame = gather_class_accuracies(balance, "val")
    row = frame.iloc[0]
    assert row["overall"] == pytest.approx(0.8)
    assert row["overall:sd"] == pytest.approx(0.1)
    assert row["class:cat"] == pytest.approx(0.6)
    sample = describe_sample([0.8, 0.7, 0.9])
    assert sample is not None
    assert sample.interval is not None
    assert row["low"] == pytest.approx(sample.interval.low)
    table = draw_class_table(balance, "val", frame)
    assert [c.label for c in table.columns] == [
        *("trials", "seeds", "balance", "overall", "95 % interval", "avg", "95 % interval", *CLASSES),
        *("against the first (points)", "verdict"),
    ]
    assert table.frame["overall:text"].iloc[0] == "80.0 ± 10.0"
    assert table.frame["seeds"].tolist() == ["3", "3", "1 of 2"]
    best = gather_best_configurations(balance)
    assert best["value"].tolist() == pytest.approx([0.8, 0.75, 0.95])
    note, _ = build_best_trials(balance)
    assert isinstance(note, Note)
    assert note.text.startswith("Best is the configuration of trials 0, 1, 2, with 80.0 % in the mean over 3 seeds")


def test_differences_are_paired_by_seed(balance: StudyData) -> None:
    # Means 5 points apart with deviations of 10: no seed contradicts, and pairing sees that.
    compared = gather_comparison(balance)
    assert compared["verdict"].tolist() == ["first", "worse", "unknown"]
    a, b = [0.75, 0.64, 0.86], [0.80, 0.70, 0.90]
    expected = ttest_rel(a, b).confidence_interval(0.95)  # one pair can be compared; of `both` there is but one trial
    assert (compared["low"][1], compared["high"][1]) == pytest.approx((expected.low, expected.high))
    assert paired_difference({0: 0.5}, {0: 0.4}) is None
    assert paired_difference({0: 0.5, 1: 0.6}, {0: 0.4, 1: 0.5}) is None
    assert paired_difference({0: 0.5, 1: 0.6}, {2: 0.5, 3: 0.6}) is None


def test_single_trials_are_compared_over_their_pictures() -> None:
    runs = [make_run(0, value=0.80), make_run(1, value=0.78), make_run(2, value=0.50)]
    reader = MemoryReader(histories={r.run_id: {"val/accuracy": [r.value or 0.0]} for r in runs})
    reader.artifacts["s-000", "data.json"] = data_json(CLASSES, {"val": [100, 50, 50]})
    assert gather_comparison(study_of(runs, reader))["verdict"].tolist() == ["first", "alike", "worse"]


def test_difference_of_two_shares_against_newcombe() -> None:
    # Newcombe (1998), table II, case (a): 56/70 and 48/80, method 10.
    a, b = 56 / 70, 48 / 80
    interval = difference_interval(a, wilson_interval(a, 70), b, wilson_interval(b, 80))
    assert (interval.low, interval.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_intervals_of_a_mean_of_classes_cover() -> None:
    rng = random.Random(1)
    truth, counts = (0.95, 0.5, 0.7), (100, 30, 40)
    covered = 0
    for _ in range(400):
        shares = [sum(rng.random() < p for _ in range(n)) / n for p, n in zip(truth, counts, strict=True)]
        interval = mean_share_interval(shares, counts)
        covered += interval.low <= sum(truth) / 3 <= interval.high
    assert 0.92 <= covered / 400 <= 0.98


def test_true_labels_have_tables_and_matrices_of_their_own() -> None:
    run = make_run(0, value=0.8)
    reader = MemoryReader(histories={"s-000": {}})
    for part in ("train", "val"):
        for kind, accuracy in (("", 0.8), ("true_", 0.7)):
            reader.histories["s-000"][f"{part}/{kind}accuracy"] = [accuracy]
            reader.histories["s-000"] |= {f"{part}/{kind}accuracy/{c}": [accuracy] for c in CLASSES}
    reader.artifacts["s-000", "data.json"] = data_json(CLASSES, {"val": [120, 50, 30]})
    matrices = {"val": [[120, 0, 0], [50, 0, 0], [30, 0, 0]], "true_val": [[100, 0, 0], [50, 0, 0], [50, 0, 0]]}
    content = {"class_names": CLASSES, "epoch": 1, **matrices}
    reader.artifacts["s-000", "confusion.json"] = json.dumps(content).encode()
    data = study_of([run], reader)
    parts = gather_parts(data)
    assert parts[["part", "true", "overall"]].values.tolist() == [
        *(["train", False, 0.8], ["train", True, 0.7]),
        *(["val", False, 0.8], ["val", True, 0.7]),
    ]
    # Classes have other numbers of pictures by their true labels.
    expected = mean_share_interval([0.7] * 3, [100, 50, 50])
    assert (parts["avg_low"].iloc[3], parts["avg_high"].iloc[3]) == (expected.low, expected.high)
    table, figures = build_classes(data)
    assert isinstance(table, Table)
    names = ["training, given labels", "training, true labels", "validation, given labels", "validation, true labels"]
    assert table.frame["name"].tolist() == names
    assert isinstance(figures, Row)
    assert [figure.key for figure in figures.items] == [
        "curves-val",
        "curves-val-true",
        "curves-train",
        "curves-train-true",
    ]
    assert gather_confusion(data)[0]["part"].unique().tolist() == ["val", "true_val"]


def test_a_regression_has_outputs_and_no_classes() -> None:
    runs = [make_run(i, params={"data.name": "functions", "model.name": m}) for i, m in enumerate(("linear", "cnn"))]
    reader = MemoryReader()
    for run, losses in zip(runs, ([0.01, 0.9], [0.3, 0.1]), strict=True):
        reader.histories[run.run_id] = {
            "val/loss": [1.0, sum(losses) / 2],
            "val/loss/y_0": [1.0, losses[0]],
            "val/loss/y_1": [1.0, losses[1]],
        }
    runs = [make_run(r.number, params=r.params, metrics={"val/loss/y_0": 0.0, "val/loss/y_1": 0.0}) for r in runs]
    data = study_of(runs, reader, objective={"metric": "val/loss"})
    assert build_classes(data) == []
    frame = gather_outputs(data)
    assert frame[["loss:y_0", "loss:y_1"]].values.tolist() == [[0.01, 0.9], [0.3, 0.1]]
    table, figures = build_outputs(data)
    assert isinstance(table, Table)
    assert isinstance(figures, Row)
    assert [trace.name for trace in figures.items[0].figure.data] == ["y_0", "y_1"]
    ranges = {figure.figure.layout.yaxis.range for figure in figures.items}
    assert len(ranges) == 1


# --- augmentations in words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("augment", "words"),
    [
        ([], "none"),
        (["horizontal_flip"], "horizontal flip"),
        ([{"name": "rotation", "degrees": 8.0}], "rotation 8°"),
        ([{"name": "center_crop", "share": 0.75}], "center crop 0.75"),
        (["horizontal_flip", {"name": "color_jitter", "hue": 0.1}], "horizontal flip + color jitter hue 0.1"),
        ([{"name": "affine", "degrees": 15.0, "translate": 0.1}], "affine 15° translate 0.1"),
    ],
)
def test_augmentations_in_words(augment: list[Any], words: str) -> None:
    assert augment_words(augment) == words


def test_leaves_of_augmentations_are_folded() -> None:
    leaves = {
        "data.augment.repeat": 2,
        "data.augment.0.name": "horizontal_flip",
        "data.augment.0.probability": 0.5,
        "data.augment.1.name": "rotation",
        "data.augment.1.degrees": 8.0,
        "seed": 0,
    }
    assert fold_augmentations(leaves) == {"data.augment": "horizontal flip + rotation 8°", "seed": 0}
    assert fold_augmentations({"data.augment": []}) == {"data.augment": "none"}
    assert fold_augmentations({"seed": 0}) == {"seed": 0}
