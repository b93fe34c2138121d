"""Training, validation and test against epoch, of the configuration that validation chooses."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.axes import log_value_axis
from sweeper.report.blocks import Figure
from sweeper.report.final import FinalData
from sweeper.report.theme import PART_COLOURS, PART_LABELS, TEST_COLOUR, epoch_figure, plotted

__all__ = ["draw_test_curves", "gather_test_curves"]

_COLOURS = {**PART_COLOURS, "test": TEST_COLOUR}
_DASHES = {"train": "dash", "val": "solid", "test": "dot"}


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
    figure = epoch_figure(curves["epoch"], y=quantity, percent_y=is_accuracy, legend=True)
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
    if not is_accuracy:
        log_value_axis(figure, curves["low"].min(), curves["high"].max())
    seeds = "Mean over the seeds, and the range from the lowest to the highest. " if several else ""
    return Figure(
        key=f"curves-{quantity}",
        title=f"{quantity.capitalize()} against epoch in training, validation and test, trial {final.chosen.source}",
        description=f"Lines of {quantity} against epoch in training, validation and test.",
        figure=figure,
        data=curves,
        note=f"{seeds}What test says at any epoch has chosen nothing.",
    )
