"""Loss and accuracy of the best trial against epoch."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.axes import log_value_axis, rate_axis
from sweeper.report.blocks import Block, Figure, Note, Row
from sweeper.report.format import as_float, plural
from sweeper.report.study_data import StudyData
from sweeper.report.theme import MUTED, PART_COLOURS, PART_LABELS, epoch_figure, plotted

__all__ = ["build_curves", "draw_curves", "draw_rates", "gather_curves", "gather_rates"]

_N_MARKED = 40
"""Epochs of a learning rate that are drawn as points too: it is known at the end of each."""


def gather_curves(data: StudyData, quantity: str) -> pd.DataFrame:
    """A quantity (`loss` or `accuracy`) of the best trial against epoch: columns epoch, train, val.

    Epochs without either are left out; so is a part that was never recorded.
    """
    if data.best is None or data.n_epochs[data.best.run_id] == 0:
        return pd.DataFrame(columns=["epoch"])
    histories = data.epochs.loc[data.best.run_id]
    curves = pd.DataFrame({part: histories[f"{part}/{quantity}"] for part in ("train", "val")})
    return curves.dropna(axis="columns", how="all").dropna(axis="index", how="all").reset_index()


def draw_curves(data: StudyData, quantity: str, curves: pd.DataFrame) -> Figure:
    """Training and validation against epoch, with the epoch that the trial is judged by."""
    assert data.best is not None
    is_accuracy = quantity == "accuracy"
    figure = epoch_figure(curves["epoch"], y=quantity, percent_y=is_accuracy, legend=True)
    for part in (p for p in ("train", "val") if p in curves.columns):
        figure.add_trace(
            go.Scatter(
                x=curves["epoch"].tolist(),
                y=plotted(curves[part]),
                name=PART_LABELS[part],
                mode="lines+markers" if len(curves) < 3 else "lines",
                line={"color": PART_COLOURS[part], "width": 2, "dash": "solid" if part == "val" else "dash"},
                hovertemplate="epoch %{x}: " + ("%{y:.2~%}" if is_accuracy else "%{y:.4g}"),
            )
        )
    epoch = data.epoch_of[data.best.run_id]
    if epoch is not None and len(curves) > 1:
        figure.add_vline(x=epoch, line={"color": MUTED, "width": 1, "dash": "dot"})
    values = [v for part in curves.columns if part != "epoch" for v in plotted(curves[part]) if v is not None]
    if not is_accuracy and values:
        log_value_axis(figure, min(values), max(values))
    last = curves.iloc[-1]
    ends = [
        f"{PART_LABELS[part]} {data.accuracy_text(v) + ' %' if is_accuracy else f'{v:.4g}'}"
        for part in ("train", "val")
        if part in curves.columns and (v := as_float(float(last[part]))) is not None
    ]
    return Figure(
        key=quantity,
        title=f"{quantity.capitalize()} against epoch, trial {data.best.number}",
        description=f"Lines over {plural(len(curves), 'epoch')}, ending at {' and '.join(ends) or 'no value'}.",
        figure=figure,
        data=curves,
        note="" if epoch is None or len(curves) < 2 else f"Dotted: epoch {epoch}, by which the trial is judged.",
    )


def gather_rates(data: StudyData) -> pd.DataFrame:
    """Learning rate of the best trial at the last step of each epoch: columns epoch, lr."""
    known = data.best is not None and data.best.run_id in data.details.index.get_level_values("run_id")
    if data.best is None or not known or "lr" not in data.details.columns:
        return pd.DataFrame(columns=["epoch", "lr"])
    rates = data.details.loc[data.best.run_id]["lr"].dropna()
    return pd.DataFrame({"epoch": rates.index, "lr": rates.to_numpy()})


def draw_rates(data: StudyData, rates: pd.DataFrame) -> Figure:
    """Learning rate against epoch."""
    assert data.best is not None
    figure = epoch_figure(rates["epoch"], y="learning rate")
    figure.add_trace(
        go.Scatter(
            x=rates["epoch"].tolist(),
            y=plotted(rates["lr"]),
            mode="lines+markers" if len(rates) <= _N_MARKED else "lines",
            line={"color": PART_COLOURS["val"], "width": 2},
            marker={"size": 5},
            hovertemplate="epoch %{x}: %{y:.3g}<extra></extra>",
        )
    )
    rate_axis(figure, [[rate for rate in rates["lr"] if rate > 0.0]])
    return Figure(
        key="lr",
        title=f"Learning rate against epoch, trial {data.best.number}",
        description=f"A line from {float(rates['lr'].iloc[0]):.3g} to {float(rates['lr'].iloc[-1]):.3g}.",
        figure=figure,
        data=rates,
        note="At the last step of each epoch.",
    )


def build_curves(data: StudyData) -> Sequence[Block]:
    """Loss and accuracy, and the learning rate where a schedule changes it; nothing without a best trial."""
    if data.best is None:
        return []
    curves = {quantity: gather_curves(data, quantity) for quantity in ("loss", "accuracy")}
    figures = [draw_curves(data, q, frame) for q, frame in curves.items() if len(frame.columns) > 1 and len(frame)]
    rates = gather_rates(data)
    if figures and rates["lr"].nunique() > 1:
        figures.append(draw_rates(data, rates))
    if not figures:
        return [Note(text=f"No epoch of trial {data.best.number} was recorded.")]
    return [Row(items=figures)]
