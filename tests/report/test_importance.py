"""Importance, marginal effects and interactions, on trials of which is known what each parameter does."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from sweeper.report.blocks import Figure, Note, Row, Table
from sweeper.report.drawn import Drawn
from sweeper.report.levels import configuration_words
from sweeper.report.sections.importance import build_importance, gather_importance
from sweeper.report.sections.marginal import gather_marginal
from sweeper.report.sections.pairs import draw_contour, gather_interactions
from sweeper.report.sections.parallel import build_parallel, gather_parallel
from sweeper.report.sections.search import build_search
from sweeper.report.study_data import StudyData
from sweeper.report.surrogate import _N_TREES, Surrogate

from .synthetic import MemoryReader, make_record, make_run

LR, MOMENTUM, OPTIMIZER, DROPOUT = (
    "training.optimizer.lr",
    "training.optimizer.momentum",
    "training.optimizer.name",
    "model.dropout",
)
SPACE: dict[str, Any] = {
    "model": {"name": "mlp", "dropout": {"float": [0.0, 0.5]}, "hidden": [{"int": [8, 64]}, 16]},
    "training": {
        "optimizer": {
            "choice": [
                {"name": "adam", "lr": {"float": [1e-5, 1e-1], "log": True}},
                {"name": "sgd", "lr": {"float": [1e-5, 1e-1], "log": True}, "momentum": {"float": [0.0, 0.9]}},
            ]
        }
    },
}


def study(n: int, value: Callable[[dict[str, Any]], float], **changes: Any) -> StudyData:
    rng = random.Random(0)
    runs = []
    for number in range(n):
        params: dict[str, Any] = {
            LR: 10 ** rng.uniform(-5, -1),
            OPTIMIZER: rng.choice(["adam", "sgd"]),
            DROPOUT: rng.uniform(0, 0.5),
            "model.hidden": [rng.randint(8, 64), 16],
            "seed": 0,
        }
        params[MOMENTUM] = 0.0
        if params[OPTIMIZER] == "sgd":
            params[MOMENTUM] = rng.uniform(0, 0.9)
        runs.append(make_run(number, value=value(params), params=params, **changes))
    return StudyData(make_record(runs, trial=SPACE), MemoryReader())


def of_rate(params: dict[str, Any]) -> float:
    """Best at 1e-3, whatever else."""
    return float(0.9 - 0.1 * abs(np.log10(params[LR]) + 3))


@pytest.fixture(scope="module")
def by_rate() -> StudyData:
    return study(40, of_rate)


def test_what_matters_comes_first(by_rate: StudyData) -> None:
    frame = gather_importance(by_rate, Drawn(by_rate))
    assert frame["parameter"].iloc[0] == LR
    first = frame.iloc[0]
    assert first["fanova"] > 0.8
    assert first["ped_anova"] > 0.5
    assert first["explained"] > 0.5
    assert frame["fanova"].dropna().sum() == pytest.approx(1.0)
    assert frame["ped_anova"].sum() == pytest.approx(1.0)


def test_what_only_some_trials_drew_counts_for_these_alone(by_rate: StudyData) -> None:
    drawn = Drawn(by_rate)
    frame = gather_importance(by_rate, drawn).set_index("parameter")
    n_sgd = sum(run.params[OPTIMIZER] == "sgd" for run in by_rate.runs)
    assert 0 < n_sgd < 40
    assert frame.loc[MOMENTUM, "n_trials"] == n_sgd
    assert frame.loc[MOMENTUM, "fanova"] is None


def test_lists_count_item_by_item(by_rate: StudyData) -> None:
    paths = [p.path for p in Drawn(by_rate).parameters]
    assert "model.hidden.0" in paths
    assert "model.hidden" not in paths
    assert "model.hidden.1" not in paths


def test_the_effect_has_the_shape_that_was_put_in(by_rate: StudyData) -> None:
    drawn = Drawn(by_rate)
    surrogate = Surrogate(drawn)
    assert surrogate.explained > 0.8
    lr = next(p for p in drawn.parameters if p.path == LR)
    frame = gather_marginal(by_rate, surrogate, surrogate.marginal(lr))
    best = frame["x"].tolist()[int(frame["mean"].argmax())]
    assert 3e-4 < best < 3e-3
    assert (frame["low"] <= frame["mean"]).all()
    assert (frame["mean"] <= frame["high"]).all()
    assert frame["mean"].max() - frame["mean"].min() > 0.1
    dropout = surrogate.marginal(next(p for p in drawn.parameters if p.path == DROPOUT))
    assert dropout.span < 0.05


def test_values_without_reason_are_said_to_have_none() -> None:
    rng = random.Random(1)
    noise = study(20, lambda params: rng.uniform(0.5, 0.6))
    notes = [block for block in build_importance(noise) if isinstance(block, Note)]
    assert any(note.level == "warning" and "chance alone" in note.text for note in notes)
    assert not any("Worth a look" in note.text or "read by itself" in note.text for note in notes)
    assert any("would have to explain 50 %" in note.text for note in notes)
    assert not any(isinstance(block, Table) and block.key == "interactions" for block in build_importance(noise))


def test_what_follows_from_another_parameter_has_no_effect_of_its_own() -> None:
    """The learning rate comes with the optimizer; dropout has few values too, but was searched."""
    fixed = [{"name": "adam", "lr": 1e-3}, {"name": "sgd", "lr": 1e-2}]
    space = {"model": {"name": "mlp", "dropout": {"choice": [0.1, 0.2]}}, "training": {"optimizer": {"choice": fixed}}}
    runs = [
        make_run(
            n,
            value=0.5 + 0.1 * (n % 2) + 0.02 * (n % 3),
            params={
                OPTIMIZER: fixed[n % 2]["name"],
                LR: fixed[n % 2]["lr"],
                DROPOUT: (0.1, 0.2)[n // 2 % 2],
                "seed": 0,
            },
        )
        for n in range(12)
    ]
    data = StudyData(make_record(runs, trial=space), MemoryReader())
    drawn = Drawn(data)
    assert [parameter.path for parameter in drawn.parameters] == [DROPOUT, OPTIMIZER]
    assert drawn.determined == data.determined == {LR: OPTIMIZER}
    assert {configuration_words(data, run) for run in data.runs} == {
        f"dropout {dropout}, {optimizer}" for dropout in (0.1, 0.2) for optimizer in ("adam", "sgd")
    }
    for build in (build_importance, build_search):
        texts = [block.text for block in build(data) if isinstance(block, Note)]
        assert any(text.endswith("from which it follows in every trial: it is not shown.") for text in texts)
        rows = [block for block in build(data) if isinstance(block, Row)]
        assert not any("lr" in item.key for row in rows for item in row.items)


def test_a_parameter_with_a_value_a_trial_determines_nothing(by_rate: StudyData) -> None:
    assert Drawn(by_rate).determined == {}


def test_an_interaction_is_found() -> None:
    def together(params: dict[str, Any]) -> float:
        high = params[LR] > 1e-3
        return 0.8 if high == (params[DROPOUT] > 0.25) else 0.5

    data = study(80, together)
    drawn = Drawn(data)
    surrogate = Surrogate(drawn)
    parameters = [p for p in drawn.parameters if p.path in (LR, DROPOUT, OPTIMIZER)]
    first = gather_interactions(surrogate, parameters)[0]
    assert {first.first.path, first.second.path} == {LR, DROPOUT}
    assert first.share > 0.3
    figure = draw_contour(data, surrogate, first.first, first.second)
    assert [trace.type for trace in figure.figure.data] == ["contour", "scatter"]
    assert len(figure.data) == 14 * 14


def test_too_few_trials_have_no_importance_but_lines() -> None:
    blocks = build_importance(study(4, of_rate))
    assert isinstance(blocks[0], Note)
    assert "at least 10 complete trials; there are 4" in blocks[0].text
    assert not any(isinstance(block, Table) for block in blocks)
    row = blocks[-1]
    assert isinstance(row, Row)
    assert isinstance(row.items[0], Figure)


def test_parallel_lines_come_best_first(by_rate: StudyData) -> None:
    frame = gather_parallel(Drawn(by_rate))
    assert frame["value"].tolist() == sorted(frame["value"], reverse=True)
    assert frame["group"].value_counts().to_dict() == dict.fromkeys(range(5), 8)
    adam = frame[frame[OPTIMIZER] == "adam"]
    assert adam[MOMENTUM].isna().all()


def test_equal_trials_are_in_one_group() -> None:
    values = [0.5, 0.9, 0.5, 0.5, 0.7, 0.5]
    runs = [make_run(n, value=value, params={LR: 0.1 * (n + 1), DROPOUT: 0.1 * n}) for n, value in enumerate(values)]
    frame = gather_parallel(Drawn(StudyData(make_record(runs), MemoryReader())))
    assert set(frame["group"]) == set(range(frame["group"].nunique()))
    assert frame.groupby("value")["group"].nunique().eq(1).all()


def test_of_very_many_trials_some_lines_are_drawn() -> None:
    """As many as can be followed, the best and the worst among them; the data of the figure has all."""
    runs = [
        make_run(n, value=n / 1300, params={LR: 10.0 ** -(n % 7), DROPOUT: n / 2600, "training.epochs": 2})
        for n in range(1300)
    ]
    data = StudyData(make_record(runs), MemoryReader())
    figure = build_parallel(data, Drawn(data))
    texts = {t.split(":")[0] for trace in figure.figure.data for t in trace.text or () if t.startswith("trial ")}
    drawn = {int(text.removeprefix("trial ").split(",")[0]) for text in texts}
    assert len(drawn) == 500
    assert {0, 1299} <= drawn
    assert len(figure.data) == 1300
    assert "Of 1,300 trials 500 are drawn" in figure.note


def test_same_trials_same_numbers(by_rate: StudyData) -> None:
    other = StudyData(by_rate.record, by_rate.reader)
    one, two = (gather_importance(data, Drawn(data)) for data in (by_rate, other))
    assert one.equals(two)
    lr = next(p for p in Drawn(by_rate).parameters if p.path == LR)
    means = [Surrogate(Drawn(data)).marginal(lr).mean.tolist() for data in (by_rate, other)]
    assert means[0] == means[1]


def test_nothing_varied_nothing_said() -> None:
    runs = [make_run(n, value=0.5, params={"training.epochs": 2, "seed": 0}) for n in range(3)]
    assert build_importance(StudyData(make_record(runs), MemoryReader())) == []


def test_a_single_parameter_is_given_no_share_of_all() -> None:
    """It would be 100 %, whether it mattered or not."""
    rng = random.Random(0)
    runs = [make_run(n, value=rng.random(), params={DROPOUT: rng.uniform(0, 0.5)}) for n in range(20)]
    tables = [
        b for b in build_importance(StudyData(make_record(runs, trial=SPACE), MemoryReader())) if isinstance(b, Table)
    ]
    assert [column.key for column in tables[0].columns] == ["label", "explained", "n_trials"]
    assert "100" not in tables[0].note


def test_trees_are_those_of_a_forest_and_leave_warnings_alone(
    by_rate: StudyData, monkeypatch: pytest.MonkeyPatch
) -> None:
    surrogate = Surrogate(Drawn(by_rate))
    with monkeypatch.context() as patch:
        patch.setattr(warnings, "resetwarnings", lambda: pytest.fail("other threads lose their filters"))
        found = surrogate._predictions(surrogate._x)
    for k in (0, 7):
        own = surrogate._samples[k]
        forest = ExtraTreesRegressor(n_estimators=_N_TREES, min_samples_leaf=2, random_state=k)
        forest.fit(surrogate._x[own], surrogate._y[own])
        np.testing.assert_allclose(found[k], forest.predict(surrogate._x), rtol=1e-12)
