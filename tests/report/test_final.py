"""The report's section on test: what it computes, and from what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

from sweeper.report.blocks import Facts, Note, Table
from sweeper.report.final import FinalData, open_final
from sweeper.report.sections.final_curves import gather_test_curves
from sweeper.report.sections.final_tables import draw_test_classes, draw_test_table, gather_test, gather_test_classes
from sweeper.report.sections.test import build_test, gather_test_confusion
from sweeper.report.statistics import wilson_interval
from sweeper.report.study_data import StudyData
from sweeper.report.write import write_report
from sweeper.tracking.records import RunRecord, StudyRecord

from .synthetic import MemoryReader, data_json, make_record, make_run, shuffled

UUID = "0" * 32
CLASSES = ("cat", "dog")
TESTED = {7: (0.80, 0.90), 3: (0.85, 0.79)}
"""Value in validation of both seeds of two configurations."""


def with_tests(
    values: dict[int, tuple[float, ...]] | None = None, **changes: Any
) -> tuple[StudyRecord, StudyRecord, MemoryReader]:
    """A study, its tests, and a reader of both. At the judged epoch, the second of three, test accuracy is 0.1 below
    validation, and 0.05 below at true labels; all is worse at the others, test excepted, which is best at the last.
    """
    reader = MemoryReader()
    study = replace(make_record([make_run(n) for n in range(8)], **changes), tags={"sweeper.study_uuid": UUID})
    runs: list[RunRecord] = []
    for source, of_seeds in (values or TESTED).items():
        for seed, value in enumerate(of_seeds, start=1):
            number = len(runs)
            tags = {
                "sweeper.source_trial": str(source),
                "sweeper.source_run": f"s-{source:03d}",
                "sweeper.final_round": str(seed),
                "sweeper.final_round_time_ms": str(1_700_000_000_000 + seed * 86_400_000),
                "sweeper.best_epoch": "2",
            }
            params = {"training.optimizer.name": "adam", "training.optimizer.lr": source / 1000, "seed": seed}
            run = make_run(number, study="f", value=value, tags=tags, params=params)
            runs.append(run)
            reader.histories[run.run_id] = histories(value)
            reader.artifacts[run.run_id, "data.json"] = data_json(CLASSES, {"test": [60, 40]})
            matrices = {"test": [[50, 10], [5, 35]], "true_test": [[55, 5], [2, 38]]}
            content = {"class_names": CLASSES, "epoch": 2, **matrices}
            reader.artifacts[run.run_id, "confusion.json"] = json.dumps(content).encode()
    name = f"{study.name}.final"
    final = replace(make_record(runs, name=name), name=name, tags={"sweeper.final_of": UUID})
    reader.records = {study.name: study, name: final}
    return study, final, reader


def histories(value: float) -> dict[str, Sequence[float]]:
    test = value - 0.1
    found: dict[str, Sequence[float]] = {
        "val/accuracy": (value - 0.2, value, value - 0.1),
        "train/accuracy": (0.5, 0.6, 0.7),
        "test/loss": (0.9, 0.5, 0.1),
        "test/accuracy": (0.1, test, 0.99),
        "test/true_accuracy": (0.1, value - 0.05, 0.99),
        "test/balanced_accuracy": (0.1, test, 0.99),
    }
    for name, offset in zip(CLASSES, (0.05, -0.05), strict=True):
        found[f"test/accuracy/{name}"] = (0.1, test + offset, 0.99)
    return found


def opened(values: dict[int, tuple[float, ...]] | None = None) -> FinalData:
    study, _, reader = with_tests(values)
    final = open_final(study, reader)
    assert final is not None
    return final


def test_counts_at_the_epoch_that_validation_chose() -> None:
    frame = gather_test(opened()).set_index("trial")
    assert frame.index.tolist() == [7, 3]  # 0.85 against 0.82 in validation
    assert frame.loc[7, "test/accuracy"] == pytest.approx(mean([0.7, 0.8]))
    assert frame.loc[7, "test/accuracy sd"] == pytest.approx(stdev([0.7, 0.8]))
    assert frame.loc[7, "test/true_accuracy"] == pytest.approx(0.8)
    assert frame.loc[7, "test/loss"] == pytest.approx(0.5)
    assert frame.loc[7, "val/accuracy"] == pytest.approx(0.85)
    assert frame["training.optimizer.lr"].tolist() == [0.007, 0.003]
    assert "seed" not in frame


def test_what_is_better_on_test_is_not_chosen_for_it() -> None:
    study, final, reader = with_tests()
    worse = next(run for run in final.runs if run.tags["sweeper.source_trial"] == "3")
    reader.histories[worse.run_id] = {**reader.histories[worse.run_id], "test/accuracy": (1.0, 1.0, 1.0)}
    opened_again = open_final(study, reader)
    assert opened_again is not None
    assert opened_again.chosen is not None
    assert opened_again.chosen.source == 7


def test_one_seed_has_wilson_s_interval_over_the_pictures() -> None:
    final = opened({7: (0.80,)})
    sample = final.sample(final.configurations[0], "test/accuracy")
    assert sample is not None
    assert sample.interval == wilson_interval(0.7, 100)
    balanced = final.sample(final.configurations[0], "test/balanced_accuracy")
    assert balanced is not None
    assert balanced.interval is None  # a mean of classes is no share of pictures


def test_no_interval_leaves_what_is_possible() -> None:
    final = opened({7: (0.80, 1.09)})
    sample = final.sample(final.configurations[0], "test/accuracy")
    assert sample is not None
    assert sample.interval is not None
    assert 0.0 <= sample.interval.low <= sample.mean <= sample.interval.high == 1.0


def test_failed_and_waiting_trainings_count_for_nothing_but_are_said() -> None:
    study, final, reader = with_tests({7: (0.8, 0.9, 0.1), 3: (0.99,)})
    states = {2: "FAIL", 3: "WAITING"}
    runs = [replace(run, state=states.get(run.number, run.state)) for run in final.runs]
    reader.records = {**reader.records, final.name: replace(final, runs=runs)}
    data = open_final(study, reader)
    assert data is not None
    frame = gather_test(data).set_index("trial")
    assert frame.loc[7, ["n_seeds", "n_failed", "n_left"]].tolist() == [2, 1, 0]
    assert frame.loc[3, ["n_seeds", "n_failed", "n_left"]].tolist() == [0, 0, 1]
    assert frame.loc[7, "test/accuracy"] == pytest.approx(0.75)
    assert data.chosen is not None
    assert data.chosen.source == 7


def test_confusions_are_summed_over_the_seeds_and_curves_have_their_range() -> None:
    final = opened()
    cells = gather_test_confusion(final, "test")
    assert cells["count"].tolist() == [100, 20, 10, 70]
    assert cells["rate"].tolist() == pytest.approx([100 / 120, 20 / 120, 10 / 80, 70 / 80])
    assert gather_test_confusion(final, "true_test")["count"].tolist() == [110, 10, 4, 76]
    curves = gather_test_curves(final, "accuracy")
    test = curves[curves["part"] == "test"].set_index("epoch")
    assert test.loc[2, ["mean", "low", "high", "n_seeds"]].tolist() == pytest.approx([0.75, 0.7, 0.8, 2])


def test_classes_stand_beside_overall_and_their_mean() -> None:
    final = opened()
    frame = gather_test_classes(final, "accuracy").set_index("trial")
    assert frame.loc[7, ["overall", "avg", "class:cat", "class:dog"]].tolist() == pytest.approx([0.75, 0.75, 0.8, 0.7])
    table = draw_test_classes(final, "accuracy", frame.reset_index())
    assert [column.label for column in table.columns] == [
        *("trial", "overall", "95 % interval", "avg", "95 % interval", "cat", "dog"),
    ]
    (row, _) = table.frame[[column.key for column in table.columns]].to_numpy().tolist()
    assert row == [7, "75", "11–100", "75", "11–100", "80", "70"]
    # What stands there is not repeated beside the objective; what does not stand there is not lost.
    keys = [column.key for column in draw_test_table(final, gather_test(final)).columns]
    assert "test/accuracy" in keys
    assert "test/balanced_accuracy" not in keys
    assert "test/true_accuracy" in keys  # not measured of classes here
    assert gather_test_classes(final, "true_accuracy").empty


def test_how_often_test_was_touched() -> None:
    study, _, reader = with_tests()
    blocks = build_test(StudyData(study, reader))
    (facts,) = [block for block in blocks if isinstance(block, Facts)]
    items = dict(facts.items)
    assert items["Test part"] == ["100 pictures"]
    assert items["Touched"][0].startswith("2 rounds, 4 trainings, 12 evaluations")
    assert items["Rounds"] == [
        "round 1, 2023-11-15 22:13 UTC: 2 trainings of trials 3, 7",
        "round 2, 2023-11-16 22:13 UTC: 2 trainings of trials 3, 7",
    ]
    titles = [block.title for block in blocks if isinstance(block, Table)]
    assert titles == [
        "The configurations on test, best in validation first",
        "Accuracy of each class on test (%), given labels",
    ]


@pytest.mark.parametrize("tags", [{"sweeper.final_of": "1" * 32}, {}])
def test_tests_of_another_study_of_that_name_are_not_shown(tags: dict[str, str]) -> None:
    study, final, reader = with_tests()
    reader.records = {**reader.records, final.name: replace(final, tags=tags)}
    (note,) = build_test(StudyData(study, reader))
    assert note == Note(text="The test part has not been touched: nothing of this study was finalized.")


def test_the_tests_themselves_have_no_such_section() -> None:
    _, final, reader = with_tests()
    assert build_test(StudyData(final, reader)) == []


def test_losses_of_a_regression() -> None:
    study, final, reader = with_tests({7: (0.2, 0.3), 3: (0.1, 0.1)}, objective={"metric": "val/loss"})
    for run in final.runs:
        value = run.value or 0.0
        reader.histories[run.run_id] = dict.fromkeys(("val/loss", "test/loss", "test/loss/y_0"), (9.0, value, 9.0))
        data = {"name": "functions", "class_names": [], "output_names": ["y_0"], "counts": {"test": [500]}}
        reader.artifacts[run.run_id, "data.json"] = json.dumps(data).encode()
        del reader.artifacts[run.run_id, "confusion.json"]
    data_of_tests = open_final(study, reader)
    assert data_of_tests is not None
    frame = gather_test(data_of_tests)
    assert frame["trial"].tolist() == [3, 7]
    assert frame["test/loss"].tolist() == pytest.approx([0.1, 0.25])
    tables = [block for block in build_test(StudyData(study, reader)) if isinstance(block, Table)]
    assert [table.title for table in tables][1] == "Loss of each output on test"


def test_same_runs_same_bytes(tmp_path: Path) -> None:
    study, final, reader = with_tests()
    write_report([study], reader, tmp_path / "a")
    reader.records = {study.name: shuffled(study), final.name: shuffled(final)}
    reader.histories = dict(reversed(reader.histories.items()))
    write_report([shuffled(study)], reader, tmp_path / "b")
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert Path("data/test-confusion-true-test.csv") in files
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
