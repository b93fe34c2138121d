"""Test: what the chosen configurations reach there, and how often it was touched. Test itself chooses nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.blocks import Block, Column, Facts, Figure, Note, Row, Table
from sweeper.report.final import FinalData
from sweeper.report.format import (
    count,
    metric_label,
    number,
    param_text,
    percent,
    percent_decimals,
    plural,
    short_names,
    timestamp,
)
from sweeper.report.matrix import CELLS, draw_matrix, tabulate_matrix
from sweeper.report.parameters import run_params, varied_params
from sweeper.report.statistics import Interval, Sample
from sweeper.report.study_data import StudyData, is_percent
from sweeper.report.theme import PART_COLOURS, PART_LABELS, blank_figure, plotted
from sweeper.tracking.final import FINAL_OF_TAG

__all__ = [
    "build_test",
    "draw_test_curves",
    "draw_test_table",
    "gather_test",
    "gather_test_classes",
    "gather_test_confusion",
    "gather_test_curves",
]

_N_COLUMNS = 14
"""With more classes than this, classes become the rows of the table."""
_COLOURS = {**PART_COLOURS, "test": "#009E73"}
_DASHES = {"train": "dash", "val": "solid", "test": "dot"}
_KINDS = {"accuracy": "given labels", "true_accuracy": "true labels", "loss": ""}


def _is_share(metric: str) -> bool:
    return is_percent(metric) or is_percent(metric.replace("/true_", "/"))


def _label(metric: str) -> str:
    """`test accuracy (%)`, `test accuracy, true labels (%)`, `test loss`."""
    quantity = metric.partition("/")[2]
    plain_metric, kind = metric, ""
    if quantity.startswith("true_"):
        plain_metric, kind = metric.replace("/true_", "/"), ", true labels"
    return metric_label(plain_metric) + kind + (" (%)" if _is_share(metric) else "")


def _shows(final: FinalData, metric: str) -> Callable[[Any], str]:
    """How values of a metric are shown."""
    if not _is_share(metric):
        return number
    decimals = percent_decimals(final.n_pictures("test"))
    return lambda value: percent(value, decimals)


def _interval_text(interval: Interval | None, show: Callable[[Any], str]) -> str:
    return "–" if interval is None else f"{show(interval.low)}–{show(interval.high)}"


def gather_test(final: FinalData) -> pd.DataFrame:
    """One row a configuration, the best by validation first.

    Columns: trial, n_seeds, n_failed, n_left; of the objective's metric and each `test/` measure `<metric>`, its mean
    over the seeds, `<metric> sd`, `<metric> low` and `<metric> high` (95 % interval); then the parameters that differ.
    """
    params = {c.source: run_params(c.runs[0]) for c in final.configurations}
    varied = [path for path in varied_params(list(params.values())) if path != "seed"]
    rows = []
    for configuration in final.configurations:
        row: dict[str, Any] = {
            "trial": configuration.source,
            "n_seeds": len(configuration.complete),
            "n_failed": sum(run.state == "FAIL" for run in configuration.runs),
            "n_left": sum(run.state in ("RUNNING", "WAITING") for run in configuration.runs),
        }
        for metric in _metrics(final):
            sample = final.sample(configuration, metric)
            interval = None if sample is None else sample.interval
            row[metric] = None if sample is None else sample.mean
            row[f"{metric} sd"] = None if sample is None else sample.deviation
            row[f"{metric} low"] = None if interval is None else interval.low
            row[f"{metric} high"] = None if interval is None else interval.high
        rows.append(row | {path: params[configuration.source].get(path) for path in varied})
    return pd.DataFrame(rows, dtype=object)


def _metrics(final: FinalData) -> list[str]:
    return [final.objective.metric, *(f"test/{measure}" for measure in final.measures)]


def draw_test_table(final: FinalData, frame: pd.DataFrame) -> Table:
    """Configurations against what validation and test say of them."""
    frame = frame.copy()
    columns = [
        Column(key="trial", label="trial", title="that found the configuration", numeric=True, header=True),
        Column(key="n_seeds", label="seeds", numeric=True),
    ]
    columns += [
        Column(key=key, label=label, numeric=True)
        for key, label in (("n_failed", "failed"), ("n_left", "not yet trained"))
        if frame[key].any()
    ]
    for metric in _metrics(final):
        show = _shows(final, metric)
        columns.append(Column(key=metric, label=_label(metric), title="mean over the seeds", show=show, numeric=True))
        spread = [show(value) for value in frame[f"{metric} sd"]]
        if metric == final.objective.metric:
            frame[f"{metric} ±"] = [f"±\u00a0{text}" for text in spread]
            columns.append(Column(key=f"{metric} ±", label="± sd", title="standard deviation over the seeds"))
        elif frame[f"{metric} low"].notna().any() and (_is_share(metric) or metric == f"test/{final.measures[0]}"):
            ends = zip(frame[f"{metric} low"], frame[f"{metric} high"], strict=True)
            frame[f"{metric} interval"] = [
                "–" if low is None or low != low else f"{show(low)}–{show(high)}" for low, high in ends
            ]
            columns.append(Column(key=f"{metric} interval", label="95 % interval"))
    known = {column.key for column in columns} | {
        f"{m} {what}" for m in _metrics(final) for what in ("sd", "low", "high")
    }
    varied = [path for path in frame.columns if path not in known and path not in ("n_failed", "n_left")]
    labels = short_names(varied)
    columns += [Column(key=path, label=labels[path], show=param_text) for path in varied]
    n_pictures = final.n_pictures("test")
    over = f" of {count(n_pictures)} pictures" if n_pictures else ""
    note = (
        "Each training counts at the epoch that validation chose, "
        + ("its best one. " if final.objective.at == "best" else "its last one. ")
        + f"Intervals: Student's, of the mean over the seeds on this test part{over}; of a single training Wilson's, "
        "of its accuracy over the pictures. The seeds are none that the search used."
    )
    return Table(
        key="test",
        title="The configurations on test, best in validation first",
        frame=frame,
        columns=columns,
        note=note,
    )


def gather_test_classes(final: FinalData, measure: str) -> pd.DataFrame:
    """Mean over the seeds of a measure of each class on test (`accuracy`, `true_accuracy`; `loss` of each output).

    Columns: trial, then one a class as `class:<name>`. Empty where it was not measured.
    """
    measured = final.class_measures(measure)
    rows = []
    for configuration in final.configurations:
        samples = {m: final.sample(configuration, f"test/{m}") for m in measured}
        named = {f"class:{m.removeprefix(measure + '/')}": s.mean if s else None for m, s in samples.items()}
        rows.append({"trial": configuration.source, **named})
    return pd.DataFrame(rows if measured else [], dtype=object)


def _draw_test_classes(final: FinalData, measure: str, frame: pd.DataFrame) -> Table:
    show = _shows(final, f"test/{measure}")
    kind = _KINDS[measure] if "true_accuracy" in final.measures else ""
    title = "Loss of each output on test" if measure == "loss" else "Accuracy of each class on test (%)"
    title += f", {kind}" if kind else ""
    key = f"classes-{measure.replace('_', '-')}"
    classes = [column for column in frame.columns if column != "trial"]
    note = "Mean over the seeds."
    if len(classes) <= _N_COLUMNS:
        columns = [Column(key="trial", label="trial", numeric=True, header=True)]
        columns += [Column(key=k, label=k.removeprefix("class:"), show=show, numeric=True) for k in classes]
        return Table(key=key, title=title, frame=frame, columns=columns, note=note)
    rows = {f"trial {row['trial']}": [row[k] for k in classes] for _, row in frame.iterrows()}
    turned = pd.DataFrame({"class": [k.removeprefix("class:") for k in classes], **rows}, dtype=object)
    columns = [Column(key="class", label="class", header=True)]
    columns += [Column(key=k, label=k, show=show, numeric=True) for k in rows]
    return Table(key=key, title=title, frame=turned, columns=columns, note=note, interactive=True)


def gather_test_confusion(final: FinalData, key: str) -> pd.DataFrame:
    """Confusions on test of the configuration that validation chooses, summed over its seeds: see `tabulate_matrix`.

    Args:
        final: The tests.
        key: `test` (against given labels) or `true_test`.
    """
    found = final.confusion(key)
    return pd.DataFrame([] if found is None else tabulate_matrix(*found), columns=list(CELLS))


def gather_test_curves(final: FinalData, quantity: str) -> pd.DataFrame:
    """A quantity (`loss` or `accuracy`) of the configuration that validation chooses against epoch.

    Columns: part (`train`, `val`, `test`), epoch, mean, low, high (over the seeds that reached the epoch), n_seeds.
    """
    columns = ["part", "epoch", "mean", "low", "high", "n_seeds"]
    frames = []
    for part in ("train", "val", "test"):
        rows = final.histories[final.histories["metric"] == f"{part}/{quantity}"]
        rows = rows.drop_duplicates(["run_id", "epoch"], keep="last")
        found = rows.groupby("epoch")["value"].agg(mean="mean", low="min", high="max", n_seeds="count").reset_index()
        frames.append(found.assign(part=part)[columns])
    return pd.concat(frames, ignore_index=True)


def draw_test_curves(final: FinalData, quantity: str, curves: pd.DataFrame) -> Figure:
    """Training, validation and test against epoch: mean over the seeds, and from the lowest to the highest."""
    assert final.chosen is not None
    is_accuracy = quantity == "accuracy"
    figure = blank_figure(x="epoch", y=quantity, percent_y=is_accuracy, legend=True)
    several = bool((curves["n_seeds"] > 1).any())
    for part in ("train", "val", "test"):
        curve = curves[curves["part"] == part]
        epochs = curve["epoch"].tolist()
        if several:
            figure.add_trace(
                go.Scatter(
                    x=[*epochs, *reversed(epochs)],
                    y=[*plotted(curve["high"]), *reversed(plotted(curve["low"]))],
                    mode="lines",
                    fill="toself",
                    fillcolor=_COLOURS[part],
                    opacity=0.15,
                    line={"width": 0},
                    hoverinfo="skip",
                    showlegend=False,
                )
            )
        figure.add_trace(
            go.Scatter(
                x=epochs,
                y=plotted(curve["mean"]),
                name=PART_LABELS[part],
                mode="lines+markers" if len(curve) < 3 else "lines",
                line={"color": _COLOURS[part], "width": 2, "dash": _DASHES[part]},
                hovertemplate="epoch %{x}: " + ("%{y:.2~%}" if is_accuracy else "%{y:.4g}"),
            )
        )
    seeds = "Mean over the seeds, and the range from the lowest to the highest. " if several else ""
    return Figure(
        key=f"curves-{quantity}",
        title=f"{quantity.capitalize()} against epoch in training, validation and test, trial {final.chosen.source}",
        description=f"Lines of {quantity} against epoch in training, validation and test.",
        figure=figure,
        data=curves,
        note=f"{seeds}What test says at any epoch has chosen nothing.",
    )


def _describe_chosen(final: FinalData) -> str:
    """What the configuration that validation chooses reaches on test, in a sentence."""
    chosen = final.chosen
    if chosen is None:
        return "No training of a test has completed."
    among = f" of the {len(final.configurations)} tested" if len(final.configurations) > 1 else ""
    parts = []
    for measure in [m for m in final.measures if m != "auc"][:4]:
        sample = final.sample(chosen, f"test/{measure}")
        if sample is not None:
            parts.append(_describe_sample(final, f"test/{measure}", sample))
    seeds = plural(len(chosen.complete), "seed")
    return f"Validation chooses trial {chosen.source}{among}, by {seeds}: {'; '.join(parts)}."


def _describe_sample(final: FinalData, metric: str, sample: Sample) -> str:
    show, label = _shows(final, metric), _label(metric).removesuffix(" (%)")
    unit = " %" if _is_share(metric) else ""
    interval = "" if sample.interval is None else f" (95 % interval {_interval_text(sample.interval, show)})"
    return f"{label} {show(sample.mean)}{unit}{interval}"


def _touches(final: FinalData) -> Facts:
    n_pictures, n_runs, n_rounds = final.n_pictures("test"), len(final.final.runs), len(final.rounds)
    rounds = [
        f"round {r.number}, {timestamp(r.time)}: {plural(r.n_runs, 'training')} of "
        f"trial{'' if len(r.sources) == 1 else 's'} {', '.join(map(str, r.sources))}"
        for r in final.rounds
    ]
    touched = (
        f"{plural(n_rounds, 'round')}, {plural(n_runs, 'training')}, {plural(final.n_evaluations, 'evaluation')}: each "
        "training after each of its epochs, of which the one that validation chose counts"
    )
    return Facts(
        key="touches",
        items=[
            ("Test part", [plural(n_pictures, "picture") if n_pictures else "of unknown size"]),
            ("Touched", [touched]),
            ("Rounds", rounds),
            ("By", [f"the runs of {final.final.name}; no trial of {final.study.name} has seen it"]),
        ],
    )


def build_test(data: StudyData) -> Sequence[Block]:
    """The test of a study's best configurations; one line where test has not been touched."""
    if FINAL_OF_TAG in data.record.tags:
        return []  # these are the tests themselves
    final = data.final
    if final is None:
        if data.data is not None and data.n_pictures("test") is None:
            return [Note(text=f"{data.data.name} has no test part.")]
        return [Note(text="The test part has not been touched: nothing of this study was finalized.")]
    blocks: list[Block] = [Note(text=_describe_chosen(final)), draw_test_table(final, gather_test(final))]
    for measure in ("accuracy", "true_accuracy", "loss"):
        frame = gather_test_classes(final, measure)
        if not frame.empty:
            blocks.append(_draw_test_classes(final, measure, frame))
    figures = []
    n_seeds = 0 if final.chosen is None else len(final.chosen.complete)
    for key, labels in (("test", "given labels"), ("true_test", "true labels")):
        cells = gather_test_confusion(final, key)
        if not cells.empty and final.chosen is not None:
            kind = f", {labels}" if "true_accuracy" in final.measures else ""
            over = f", sum over {n_seeds} seeds" if n_seeds > 1 else ""
            title = f"Confusion matrix in test{kind}, trial {final.chosen.source}{over}"
            figures.append(draw_matrix(cells, key=f"confusion-{key.replace('_', '-')}", title=title))
    if figures:
        blocks.append(Row(items=figures))
    curves = {quantity: gather_test_curves(final, quantity) for quantity in ("loss", "accuracy")}
    drawn = [draw_test_curves(final, quantity, frame) for quantity, frame in curves.items() if not frame.empty]
    if drawn:
        blocks.append(Row(items=drawn))
    return [*blocks, _touches(final)]
