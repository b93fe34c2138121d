"""Accuracy of each class against epoch, for the best trial."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.blocks import Figure
from sweeper.report.study_data import StudyData
from sweeper.report.theme import PART_LABELS, epoch_figure, plain, series_style

__all__ = ["build_class_curves", "draw_class_curves", "drawn_classes", "gather_class_curves"]

N_LINES = 12
"""More lines than this cannot be told apart in one figure."""


def gather_class_curves(data: StudyData, part: str, *, true: bool = False) -> pd.DataFrame:
    """Accuracy of each class of the best trial against epoch: columns class, epoch, accuracy.

    With `true`, against true labels, where some were made wrong on purpose.
    """
    columns = ["class", "epoch", "accuracy"]
    if data.best is None or data.best.run_id not in data.details.index.get_level_values("run_id"):
        return pd.DataFrame(columns=columns)
    histories = data.details.loc[data.best.run_id]
    frames = []
    for name in data.class_names:
        metric = f"{part}/{'true_' if true else ''}accuracy/{name}"
        if metric in histories.columns:
            curve = histories[metric].dropna()
            frames.append(pd.DataFrame({"class": name, "epoch": curve.index, "accuracy": curve.to_numpy()}))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def drawn_classes(data: StudyData, curves: pd.DataFrame) -> list[str]:
    """The classes with a curve; of many, those with the lowest and the highest last accuracy."""
    names = [name for name in data.class_names if (curves["class"] == name).any()]
    if len(names) <= N_LINES:
        return names
    last = {name: float(curves.loc[curves["class"] == name, "accuracy"].iloc[-1]) for name in names}
    ranked = sorted(names, key=lambda name: (last[name], names.index(name)))
    kept = {*ranked[: N_LINES // 2], *ranked[-N_LINES // 2 :]}
    return [name for name in names if name in kept]


def draw_class_curves(
    data: StudyData, part: str, curves: pd.DataFrame, names: Sequence[str], *, true: bool = False
) -> Figure:
    """Accuracy against epoch, one line for each class in `names`."""
    assert data.best is not None
    # Of many classes few are drawn: styles go by their place among these, since they repeat after 24.
    styled = data.class_names if len(data.class_names) <= N_LINES else names
    figure = epoch_figure(curves["epoch"], y="accuracy", percent_y=True, legend=True)
    for name in names:
        colour, dash, _ = series_style(styled.index(name))
        curve = curves[curves["class"] == name]
        figure.add_trace(
            go.Scatter(
                x=curve["epoch"].tolist(),
                y=curve["accuracy"].tolist(),
                name=plain(name),
                mode="lines+markers" if len(curve) < 3 else "lines",
                line={"color": colour, "dash": dash, "width": 2},
                hovertemplate="epoch %{x}: %{y:.2~%}",
            )
        )
    where = f"{PART_LABELS[part]}{data.label_words(true=true)}"
    note = f"Of {len(data.class_names)} classes, those lowest and highest in validation at the last epoch are drawn."
    return Figure(
        key=f"curves-{part}{'-true' if true else ''}",
        title=f"Accuracy of each class against epoch, {where}, trial {data.best.number}",
        description=f"Lines of {where} accuracy against epoch for {len(names)} classes.",
        figure=figure,
        data=curves,
        note=note if len(names) < len(data.class_names) else "",
        height=400,
    )


def build_class_curves(data: StudyData) -> list[Figure]:
    """Validation and training, against given and, where they are known, true labels."""
    cases = [("val", False), ("val", True), ("train", False), ("train", True)]
    curves = {case: gather_class_curves(data, case[0], true=case[1]) for case in cases}
    first = next((frame for frame in curves.values() if not frame.empty), None)
    if first is None:
        return []
    names = drawn_classes(data, first)
    return [
        draw_class_curves(data, part, frame, names, true=true)
        for (part, true), frame in curves.items()
        if not frame.empty
    ]
