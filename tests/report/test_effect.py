"""What one parameter did: which is chosen, its values, and what is said of trials that went wrong."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go
import pytest

from sweeper.errors import InputError
from sweeper.report.axes import rate_axis, spread_axis
from sweeper.report.blocks import Note, Row, Table
from sweeper.report.divergence import blew_up, last_losses
from sweeper.report.document import build_document
from sweeper.report.effect import Effect, choose_parameter, gather_explained, resolve_parameter
from sweeper.report.levels import CONFIGURATION, levels_of
from sweeper.report.sections.effect import build_effect, describe_failures, draw_levels, gather_levels
from sweeper.report.sections.effect_curves import build_level_curves, gather_level_curves
from sweeper.report.sections.effect_values import build_value_figures, gather_gap
from sweeper.report.study_data import StudyData
from sweeper.tracking.records import RunRecord, StudyRecord

from .synthetic import (
    MemoryReader,
    data_json,
    make_record,
    make_run,
    open_study,
)

CLASSES = ("car", "truck", "cat")
LR = "training.optimizer.lr"


def trial(number: int, value: float | None, lr: float, **changes: Any) -> RunRecord:
    return make_run(number, value=value, **({"params": {LR: lr, "seed": 0}} | changes))


def study(runs: list[RunRecord], histories: dict[str, Any], **changes: Any) -> StudyData:
    reader = MemoryReader(histories=histories)
    for run in runs:
        reader.artifacts[run.run_id, "data.json"] = data_json(CLASSES, {"val": [100, 50, 50]})
    trial_space = {"training": {"optimizer": {"name": "adam", "lr": {"float": [1e-5, 1e3], "log": True}}}}
    return open_study(make_record(runs, trial=changes.pop("trial", trial_space)), reader, **changes)


@pytest.fixture
def lrs() -> StudyData:
    """Learning rates of which the best is 1e-3; 10 blows up, 1000 diverges in epoch 2."""

    def history(train: list[float], accuracies: tuple[float, float, float]) -> dict[str, list[float]]:
        history = {"train/loss": train, "val/loss": [2 * loss for loss in train]}
        for name, accuracy in zip(CLASSES, accuracies, strict=True):
            history[f"val/accuracy/{name}"] = [accuracy] * len(train)
        history["val/balanced_accuracy"] = [sum(accuracies) / 3] * len(train)
        history["val/accuracy"] = [(2 * accuracies[0] + accuracies[1] + accuracies[2]) / 4] * len(train)
        history["train/accuracy"] = [0.9] * len(train)
        return history

    runs = [
        trial(0, 0.5, 1e-5),
        trial(1, 0.8, 1e-3),
        trial(2, 0.5, 10.0),
        trial(3, None, 1000.0, state="FAIL", tags={"sweeper.reason": "diverged"}),
    ]
    histories = {
        "s-000": history([1.1, 1.05], (1.0, 0.0, 0.0)),
        "s-001": history([0.9, 0.4], (0.9, 0.7, 0.7)),
        "s-002": history([400.0, 445.0], (1.0, 0.0, 0.0)),
        "s-003": {"train/loss": [90.0, math.nan], "val/loss": [math.inf, math.nan]},
    }
    return study(runs, histories)


def test_the_only_searched_parameter_is_chosen(lrs: StudyData) -> None:
    assert choose_parameter(lrs) == LR
    assert resolve_parameter(lrs, "lr") == resolve_parameter(lrs, "optimizer.lr") == LR
    assert resolve_parameter(lrs, "momentum") is None


def test_what_went_wrong_is_said_and_never_a_loss_of_0(lrs: StudyData) -> None:
    effect = Effect(lrs, LR)
    frame = gather_levels(effect)
    assert frame["level"].tolist() == ["1e-5", "1e-3", "10", "1000"]
    assert frame["remark"].tolist() == ["predicts only car", "", "blew up, predicts only car", "diverged"]
    assert frame["train_loss"].tolist() == [1.05, 0.4, 445.0, None]
    assert last_losses(lrs).loc["s-003", "train"] == 90.0
    assert describe_failures(effect, frame) == (
        "Diverged, with a loss that became NaN or infinite: lr 1000. Blew up, with a last training loss above twice "
        "the 1.099 of predicting all 3 classes alike: lr 10, training loss 445."
    )
    shown = draw_levels(effect, frame)
    loss = next(c for c in shown.columns if c.key == "train_loss")
    assert [loss.show(v) for v in frame["train_loss"]] == ["1.050", "0.4000", "445.0", "–"]


def test_diverged_trials_have_a_mark_and_no_value(lrs: StudyData) -> None:
    effect = Effect(lrs, LR)
    figures = {figure.key: figure for figure in build_value_figures(effect)}
    assert list(figures) == ["classes", "last-loss", "gap"]
    crosses = figures["last-loss"].figure.data[-1]
    assert (crosses.x, crosses.yaxis, crosses.marker.symbol) == ((1000.0,), "y2", "x")
    training = figures["last-loss"].figure.data[0]
    assert (training.x, training.y) == ((1e-5, 1e-3, 10.0), (1.05, 0.4, 445.0))
    assert training.marker.symbol == ("circle", "circle", "circle-open")
    assert figures["classes"].figure.layout.xaxis.type == "log"
    assert gather_gap(effect)["median"].tolist() == pytest.approx([0.9 - 0.5, 0.9 - 0.8, 0.9 - 0.5])
    gap = figures["gap"].figure
    assert gap.data[0].y == pytest.approx([40.0, 10.0, 40.0])
    assert (gap.layout.yaxis.title.text, gap.layout.yaxis.tickformat) == ("difference (points)", None)
    assert "%{y:.3~g} points" in gap.data[0].hovertemplate


def test_a_loss_that_blew_up_does_not_flatten_the_others(lrs: StudyData) -> None:
    figures = {figure.key: figure for figure in build_level_curves(Effect(lrs, LR))}
    loss = figures["loss-train"]
    assert loss.figure.layout.yaxis.range[1] < 445.0
    assert "Above the axis: 10, which blew up" in loss.note
    last = {figure.key: figure for figure in build_value_figures(Effect(lrs, LR))}["last-loss"]
    assert 2.1 < last.figure.layout.yaxis.range[1] < 445.0
    assert last.note.endswith("Losses of trials that blew up lie above the axis; a double click shows all.")
    # The line that diverged ends in a cross at its last finite loss.
    (cross,) = [trace for trace in loss.figure.data if trace.mode == "markers"]
    assert (cross.x, cross.y) == ((1,), (90.0,))


def test_without_classes_a_loss_blows_up_beside_the_others() -> None:
    runs = [make_run(i, params={"data.name": "functions", LR: 10.0**-i}) for i in range(4)]
    losses = [[1.0, 0.5], [1.1, 0.6], [0.9, 0.4], [1.0, 40.0]]
    histories = {run.run_id: {"train/loss": loss} for run, loss in zip(runs, losses, strict=True)}
    data = open_study(make_record(runs), MemoryReader(histories=histories))
    assert data.task == "regression"
    assert blew_up(data) == {"s-003"}


def test_seeds_give_medians_and_bands() -> None:
    runs = [make_run(i, params={LR: [1e-3, 1e-2][i // 3], "seed": i % 3}, value=0.5) for i in range(6)]
    histories = {run.run_id: {"train/loss": [1.0 + run.number, 0.5]} for run in runs}
    effect = Effect(study(runs, histories), LR)
    curves = gather_level_curves(effect, effect.data.epochs, {"training": "train/loss"})
    first = curves[curves["level"] == "1e-3"].iloc[0]
    assert (first["median"], first["low"], first["high"], first["n_trials"]) == (2.0, 1.0, 3.0, 3)
    bands = [t for t in build_level_curves(effect)[0].figure.data if t.fill == "toself"]
    assert len(bands) == 2


def test_many_values_become_ranges_with_all_trials() -> None:
    runs = [trial(i, 0.5, 10.0 ** (-5 + i / 10)) for i in range(40)]
    levels = levels_of(study(runs, {}), LR, n_most=12)
    assert len(levels) == 6
    assert sorted(run.number for level in levels for run in level.runs) == list(range(40))
    assert levels[0].label == "1e-5 to 3.98e-5"


def test_options_of_one_name_stay_apart() -> None:
    options = [
        {"name": "constant"},
        {"name": "step", "every": 5, "factor": 0.1},
        {"name": "step", "every": 10, "factor": 0.1},
    ]
    runs = [
        make_run(i, params={f"training.schedule.{key}": value for key, value in option.items()})
        for i, option in enumerate(options)
    ]
    data = study(runs, {}, trial={"training": {"schedule": {"choice": ["constant", *options[1:]]}}})
    path = choose_parameter(data)
    assert path == "training.schedule.name"
    assert [level.label for level in levels_of(data, path, n_most=12)] == [
        "constant",
        "step (every 5)",
        "step (every 10)",
    ]


def test_few_configurations_of_several_parameters_are_compared_as_such() -> None:
    augment = {"data.augment.0.name": "rotation", "data.augment.0.degrees": 8.0}
    params = [{"data.augment": []}, augment, {"data.augment": [], "data.normalize": False}]
    runs = [make_run(i, params={"data.normalize": True} | p) for i, p in enumerate(params)]
    data = study(runs, {}, trial={"data": {"choice": [{"name": "digits"}, {"name": "digits", "normalize": False}]}})
    assert choose_parameter(data) == CONFIGURATION
    labels = [level.label for level in Effect(data, CONFIGURATION).levels]
    assert labels == ["as most", "normalize false", "rotation 8°"]


def test_what_explains_most_is_chosen_of_several() -> None:
    runs = [
        make_run(i, params={LR: 10.0 ** -(i % 8), "training.momentum": (i * 7 % 16) / 16}, value=(i % 8) / 8)
        for i in range(32)
    ]
    space = {"training": {"momentum": {"float": [0.0, 1.0]}, "optimizer": {"lr": {"float": [1e-8, 1.0], "log": True}}}}
    data = study(runs, {}, trial=space)
    explained = gather_explained(data)
    assert explained["parameter"].iloc[0] == LR
    assert explained["explained"].iloc[0] > 0.8
    assert explained["explained"].iloc[-1] < 0.2
    assert choose_parameter(data) == LR
    assert choose_parameter(open_study(data.record, data.reader, by="momentum")) == "training.momentum"
    notes = [block.text for block in build_effect(data) if isinstance(block, Note)]
    assert any("no effect of lr alone" in text for text in notes)


def test_an_unknown_parameter_says_what_varied(lrs: StudyData) -> None:
    with pytest.raises(InputError, match=r"called 'momentum'; varied has: training\.optimizer\.lr"):
        build_document([lrs.record], lrs.reader, top=5, by="momentum")


def test_nothing_that_varied_is_nothing_to_show(lrs: StudyData) -> None:
    one = StudyRecord(**{**vars(lrs.record), "runs": lrs.record.runs[:1]})
    assert build_effect(open_study(one, lrs.reader)) == []
    blocks = build_effect(lrs)
    assert [type(block) for block in blocks] == [Note, Table, Row]


def test_ticks_at_the_values_only_where_their_texts_have_room() -> None:
    def ticks(xs: list[float]) -> tuple[float, ...]:
        figure = go.Figure()
        spread_axis(figure, xs, log=True)
        return figure.layout.xaxis.tickvals

    assert ticks([4, 16, 64, 256]) == (4, 16, 64, 256)
    assert 1e-2 in ticks([4e-5, 9.7e-3, 1.2e-2, 1.5e-2, 0.08])
    assert 1.2e-2 not in ticks([4e-5, 9.7e-3, 1.2e-2, 1.5e-2, 0.08])
    assert 1e-3 in ticks([1.57e-4, 2.99e-4, 3.86e-4, 4.67e-4, 7.81e-4, 1.41e-3])  # seven letters each


def test_rates_that_fall_to_0_are_not_drawn_in_the_logarithm() -> None:
    def axis(*lines: list[float]) -> go.layout.YAxis:
        figure = go.Figure()
        rate_axis(figure, lines)
        return figure.layout.yaxis

    cosine = axis([3e-4, 2e-4, 1e-5, 1e-10])
    assert cosine.type == "linear"
    assert cosine.ticktext == ("0", "1e-4", "2e-4", "3e-4")
    assert axis([1e-3, 1e-4, 1e-5]).type == "log"
    assert axis([1e-3, 9e-4]).type is None
    far = axis([1e-1, 1e-9], [1e-4, 1e-4])
    assert far.type == "log"
    assert far.range[0] == pytest.approx(-7.0)
    assert axis().type is axis([]).type is None, "no rate above 0 has a place on a logarithmic axis"
    assert axis([], [1e-3, 1e-4, 1e-5]).type == "log"


def test_configurations_with_many_parameters_are_called_by_their_trials() -> None:
    params = [
        {
            "model.dropout": 0.1 + n / 100,
            LR: 1e-3 + n / 1e4,
            "training.optimizer.weight_decay": 0.01 + n / 1e3,
            "seed": 0,
        }
        for n in range(4)
    ]
    data = study([make_run(n, value=0.5 + n / 10, params=p) for n, p in enumerate(params)], {})
    assert choose_parameter(data) == CONFIGURATION
    levels = Effect(data, CONFIGURATION).levels
    assert sorted(level.label for level in levels) == ["trial 0", "trial 1", "trial 2", "trial 3"]
    table = draw_levels(Effect(data, CONFIGURATION), gather_levels(Effect(data, CONFIGURATION)))
    assert "dropout 0.1, lr 1e-3, weight decay 0.01" in table.frame["words"].tolist()
    assert table.columns[1].label == "what varied"


def test_a_long_value_is_cut_where_it_stays_apart() -> None:
    names = ["none", "affine 15° translate 0.1 scale 0.9, 1.1", "horizontal flip"]
    data = study([make_run(n, value=0.5 + n / 10, params={"data.kind": v, "seed": 0}) for n, v in enumerate(names)], {})
    levels = {level.label: level.words for level in Effect(data, "data.kind").levels}
    assert levels == {"none": "", "affine 15° translate 0.1 …": names[1], "horizontal flip": ""}
    alike = [make_run(n, value=0.5, params={"data.kind": f"{names[1]} shear {n}", "seed": 0}) for n in range(2)]
    labels = [level.label for level in Effect(study(alike, {}), "data.kind").levels]
    assert labels == ["affine 15°…0.9, 1.1 shear 0", "affine 15°…0.9, 1.1 shear 1"]
    ends = [f"one of the many values that begin alike, {middle}, with one and the same end" for middle in ("a", "b")]
    same = [make_run(n, value=0.5, params={"data.kind": v, "seed": 0}) for n, v in enumerate(ends)]
    assert [level.label for level in Effect(study(same, {}), "data.kind").levels] == ["trial 0", "trial 1"]


def test_a_cut_value_is_whole_in_tables() -> None:
    names = ["none", *(f"rotation 15° + random crop padding 1{more}" for more in ("", " + cutout 0.3"))]
    data = study([make_run(n, value=0.5 + n / 10, params={"data.kind": v, "seed": 0}) for n, v in enumerate(names)], {})
    effect = Effect(data, "data.kind")
    assert [level.label for level in effect.levels] == ["none", "rotation…crop padding 1", "rotation…1 + cutout 0.3"]
    table = draw_levels(effect, gather_levels(effect))
    assert table.frame["name"].tolist() == names
    assert "what varied" not in [column.label for column in table.columns]


def test_many_single_trials_beside_other_parameters_are_taken_together() -> None:
    runs = [
        make_run(n, value=0.5 + n / 100, params={LR: 1e-4 * (n + 1), "model.dropout": n % 5 / 10, "seed": 0})
        for n in range(12)
    ]
    data = study(runs, {})
    assert len(Effect(data, LR).levels) == 4
    assert gather_explained(data)["parameter"].iloc[0] == LR
    assert resolve_parameter(data, "lr") == LR


def test_lists_that_differ_in_every_trial_explain_nothing() -> None:
    runs = [make_run(n, value=n / 20, params={"model.hidden": [n, 7 * n % 13], LR: 1e-3, "seed": 0}) for n in range(13)]
    explained = gather_explained(study(runs, {})).set_index("parameter")["explained"]
    assert "model.hidden" not in explained
    assert explained["model.hidden.0"] > 0.8
    assert explained["model.hidden.1"] < 0.5
