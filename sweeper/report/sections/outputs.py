"""Losses of the outputs of a regression: configurations against outputs, and against epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.axes import log_value_axis
from sweeper.report.blocks import Block, Column, Figure, Row, Table
from sweeper.report.configurations import Configuration
from sweeper.report.format import aligned, number
from sweeper.report.param_columns import param_columns, param_or_dash
from sweeper.report.statistics import describe_sample
from sweeper.report.study_data import StudyData
from sweeper.report.theme import PART_LABELS, epoch_figure, plain, plotted, series_style

__all__ = ["build_outputs", "draw_output_curves", "draw_outputs", "gather_output_curves", "gather_outputs"]

_N_FIGURES = 6
"""More figures than this are no help: the best are drawn."""


def gather_outputs(data: StudyData) -> pd.DataFrame:
    """Validation losses of the shown configurations at the epoch that each trial is judged by; with seeds, their means.

    Columns: trial, trials, one a parameter that varied, loss, then one an output as `loss:<name>`; and of each its
    standard deviation over the seeds as `<measure>:sd`.
    """
    metrics = {"loss": "val/loss", **{f"loss:{name}": f"val/loss/{name}" for name in data.output_names}}
    rows = []
    for configuration in data.shown:
        row: dict[str, Any] = {path: data.params[configuration.typical.run_id].get(path) for path in data.factors}
        row |= {"trial": configuration.typical.number}
        row["trials"] = ", ".join(str(run.number) for run in configuration.runs)
        for key, metric in metrics.items():
            values = [v for run in configuration.runs if (v := data.at_epoch(run, metric)) is not None]
            sample = describe_sample(values)
            if sample is not None:
                row |= {key: sample.mean, f"{key}:sd": sample.deviation}
        rows.append(row)
    columns = ["trial", "trials", *data.factors, *metrics, *(f"{key}:sd" for key in metrics)]
    frame = pd.DataFrame(rows, columns=columns, dtype=object)
    return frame.where(frame.notna(), None)


def draw_outputs(data: StudyData, frame: pd.DataFrame) -> Table:
    """Configurations against outputs."""
    name = "trials" if data.has_seeds else "trial"
    columns = [Column(key=name, label=name, numeric=not data.has_seeds, header=True)]
    columns += param_columns(frame, data.factors, data.labels)
    keys = ["loss", *(f"loss:{output}" for output in data.output_names)]
    texts = {}
    for key in keys:
        show = aligned(frame[key])
        texts[f"{key}:text"] = [
            show(mean) + ("" if deviation is None else f" ± {number(deviation, 2)}")
            for mean, deviation in zip(frame[key], frame[f"{key}:sd"], strict=True)
        ]
        label = "all outputs" if key == "loss" else key.removeprefix("loss:")
        columns.append(Column(key=f"{key}:text", label=label, numeric=True))
    note = "Mean ± standard deviation over the seeds." if data.has_seeds else ""
    return Table(
        key="losses", title="Validation loss of each output", frame=frame.assign(**texts), columns=columns, note=note
    )


def gather_output_curves(data: StudyData, configuration: Configuration) -> pd.DataFrame:
    """Losses of the outputs of a configuration's typical trial against epoch: columns part, output, epoch, loss."""
    columns = ["part", "output", "epoch", "loss"]
    run_id = configuration.typical.run_id
    if run_id not in data.details.index.get_level_values("run_id"):
        return pd.DataFrame(columns=columns)
    histories = data.details.loc[run_id]
    frames = []
    for part in ("val", "train"):
        for name in data.output_names:
            if f"{part}/loss/{name}" in histories.columns:
                curve = histories[f"{part}/loss/{name}"].dropna()
                frames.append(
                    pd.DataFrame({"part": part, "output": name, "epoch": curve.index, "loss": curve.to_numpy()})
                )
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def draw_output_curves(
    data: StudyData, configuration: Configuration, curves: pd.DataFrame, shown: tuple[float, float]
) -> Figure:
    """Loss against epoch, one line an output: validation solid, training dotted.

    `shown` are the lowest and the highest loss of all figures, which share one axis.
    """
    figure = epoch_figure(curves["epoch"], y="loss", legend=True)
    for index, name in enumerate(data.output_names):
        colour, _, _ = series_style(index)
        for part, dash in (("val", "solid"), ("train", "dot")):
            curve = curves[(curves["part"] == part) & (curves["output"] == name)]
            if curve.empty:
                continue
            figure.add_trace(
                go.Scatter(
                    x=curve["epoch"].tolist(),
                    y=plotted(curve["loss"]),
                    name=plain(name if part == "val" else f"{name}, training"),
                    mode="lines+markers" if len(curve) < 3 else "lines",
                    line={"color": colour, "dash": dash, "width": 2 if part == "val" else 1.5},
                    hovertemplate=f"{plain(name)}, {PART_LABELS[part]}, epoch %{{x}}: %{{y:.4g}}<extra></extra>",
                )
            )
    low, high = shown
    if log_value_axis(figure, low, high):
        figure.update_yaxes(range=[math.log10(low / 1.1), math.log10(1.1 * high)])
    else:
        figure.update_yaxes(range=[0.0, 1.05 * high])
    values = [data.params[configuration.typical.run_id].get(path) for path in data.factors]
    name = ", ".join(
        f"{data.labels[p]} {param_or_dash(v)}" for p, v in zip(data.factors, values, strict=True) if v is not None
    )
    number = configuration.typical.number
    return Figure(
        key=f"curves-{number}",
        title=f"Loss of each output against epoch, trial {number}" + (f" ({name})" if 0 < len(name) <= 60 else ""),
        description=f"Lines of validation loss and dotted lines of training loss for {len(data.output_names)} outputs.",
        figure=figure,
        data=curves,
        height=360,
    )


def build_outputs(data: StudyData) -> Sequence[Block]:
    """The table, then one figure a configuration; nothing where no output has a loss of its own."""
    if not data.output_names or not data.configurations:
        return []
    configurations = data.shown[:_N_FIGURES]
    curves = [gather_output_curves(data, configuration) for configuration in configurations]
    losses = pd.concat(curves)["loss"].astype(float)
    finite = losses[losses.abs() < float("inf")]
    blocks: list[Block] = [draw_outputs(data, gather_outputs(data))]
    if finite.empty:
        return blocks
    shown = (float(finite.min()), float(finite.max()))
    pairs = zip(configurations, curves, strict=True)
    return [*blocks, Row(items=[draw_output_curves(data, c, frame, shown) for c, frame in pairs if not frame.empty])]
