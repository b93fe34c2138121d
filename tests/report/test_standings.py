"""Several studies: the Pareto front, and by which part each is ranked."""

from __future__ import annotations

import pytest

from sweeper.report.blocks import Figure, Note, Row
from sweeper.report.cost import gather_costs, pareto_front
from sweeper.report.overview import build_overview
from sweeper.report.standings import gather_overview, rank_studies
from sweeper.report.study_data import StudyData

from .synthetic import MemoryReader, make_record, make_run
from .test_final import with_tests


def test_the_front_holds_what_no_other_beats() -> None:
    values, costs = [0.5, 0.7, 0.6, 0.9, 0.9, 0.99], [10.0, 20.0, 30.0, 40.0, 50.0, None]
    assert pareto_front(values, costs, maximize=True) == [True, True, False, True, False, False]
    assert pareto_front(values, costs, maximize=False) == [True, False, False, False, False, False]


def test_of_equal_costs_the_better_one_is_on_the_front() -> None:
    assert pareto_front([0.5, 0.7, 0.7], [1.0, 1.0, 1.0], maximize=True) == [False, True, False]


def searched(name: str, values: list[float], n_parameters: list[int]) -> StudyData:
    reader = MemoryReader()
    runs = []
    for number, (value, n) in enumerate(zip(values, n_parameters, strict=True)):
        run = make_run(number, study=name, value=value, tags={"sweeper.n_parameters": str(n)})
        reader.histories[run.run_id] = {"val/accuracy": [value], "train/accuracy": [value]}
        runs.append(run)
    return StudyData(make_record(runs, name=name), reader)


def test_costs_are_of_all_trials_of_all_studies() -> None:
    studies = [searched("small", [0.5, 0.6], [100, 200]), searched("large", [0.45, 0.9], [150, 10_000])]
    frame = gather_costs(studies, quantity="accuracy", maximize=True)
    front = frame[frame["front_n_parameters"]]
    assert set(zip(front["study"], front["trial"], strict=True)) == {
        ("small", 0),
        ("small", 1),
        ("large", 1),
    }
    assert frame[frame["is_best"]]["trial"].tolist() == [1, 1]
    blocks = build_overview(studies)
    figures = [f for b in blocks if isinstance(b, Row) for f in b.items if isinstance(f, Figure)]
    assert "cost-n-parameters" in [f.key for f in figures]


def test_a_study_with_seeds_is_ranked_by_their_mean() -> None:
    reader = MemoryReader()
    runs = []
    for number, (lr, seed, value) in enumerate([(0.1, 0, 0.7), (0.1, 1, 0.5), (0.2, 0, 0.6), (0.2, 1, 0.62)]):
        run = make_run(number, value=value, params={"training.optimizer.lr": lr, "seed": seed})
        reader.histories[run.run_id] = {"val/accuracy": [value], "train/accuracy": [value + 0.1]}
        runs.append(run)
    row = gather_overview([StudyData(make_record(runs), reader)]).iloc[0]
    assert (row["trial"], row["n_seeds"]) == (2, 2)
    assert row["value"] == pytest.approx(0.61)
    assert row["gap"] == pytest.approx(0.1)
    assert row["low"] < 0.61 < row["high"]


def test_a_finalized_study_is_ranked_by_test() -> None:
    record, _, reader = with_tests()
    tested = StudyData(record, reader)
    other = searched("other", [0.999], [10])
    frame = gather_overview(rank_studies([tested, other])).set_index("study")
    row = frame.loc[record.name]
    assert row["part"] == "test"
    assert row["value"] == pytest.approx(row["test_accuracy"])
    assert row["n_seeds"] > 1
    assert frame.loc["other", "part"] == "val"
    notes = [b for b in build_overview([tested, other]) if isinstance(b, Note)]
    assert any(n.level == "warning" and "1 study was finalized" in n.text for n in notes)
