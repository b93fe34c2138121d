"""Accuracy of each class: configurations against classes, and against epochs for the best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.blocks import Block, Column, Figure, Note, Row, Table
from sweeper.report.format import count, param_text
from sweeper.report.statistics import accuracy_interval
from sweeper.report.study_data import StudyData
from sweeper.report.theme import PART_LABELS, blank_figure, plain, series_style

__all__ = [
    "build_classes",
    "draw_class_curves",
    "draw_class_table",
    "drawn_classes",
    "gather_class_accuracies",
    "gather_class_curves",
]

_N_LINES = 12
"""More lines than this cannot be told apart in one figure."""
_N_COLUMNS = 14
"""With more classes than this, classes become the rows of the table."""
_N_LABEL_PARAMS = 3
"""With more parameters that varied than this, they are told apart by number; the table of the best trials has them."""


def gather_class_accuracies(data: StudyData, part: str) -> pd.DataFrame:
    """Accuracies of the best trials in a part (`train` or `val`), at the epoch that each is judged by, as fractions.

    Columns: trial, configuration, overall, low, high (Wilson's 95 % interval of overall), avg (mean of the classes),
    then one a class as `class:<name>`. The interval is missing where the number of pictures is not known, and on
    `train`, where the pictures were fitted.
    """
    rows: list[dict[str, Any]] = []
    for run in data.best_runs:
        overall = data.at_epoch(run, f"{part}/accuracy")
        classes = {name: data.at_epoch(run, f"{part}/accuracy/{name}") for name in data.class_names}
        known = [value for value in classes.values() if value is not None]
        interval = accuracy_interval(overall, data.n_pictures(part)) if part == "val" else None
        values = [data.params[run.run_id].get(path) for path in data.varied]
        rows.append(
            {
                "trial": run.number,
                "configuration": ", ".join(
                    f"{data.labels[path]} {param_text(v)}"
                    for path, v in zip(data.varied, values, strict=True)
                    if v is not None
                ),
                "overall": overall,
                "low": None if interval is None else interval.low,
                "high": None if interval is None else interval.high,
                "avg": sum(known) / len(known)
                if known and len(known) == len(classes)
                else data.at_epoch(run, f"{part}/balanced_accuracy"),
                **{f"class:{name}": value for name, value in classes.items()},
            }
        )
    columns = ["trial", "configuration", "overall", "low", "high", "avg", *(f"class:{n}" for n in data.class_names)]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def draw_class_table(data: StudyData, part: str, frame: pd.DataFrame) -> Table:
    """Configurations against classes; with many classes the other way round."""
    title = f"Accuracy of each class in {PART_LABELS[part]} (%)"
    note = ""
    frame = frame.copy()
    frame["interval"] = [
        "–" if low is None else f"{data.accuracy_text(low)}–{data.accuracy_text(high)}"
        for low, high in zip(frame["low"], frame["high"], strict=True)
    ]
    has_interval = frame["low"].notna().any()
    if has_interval:
        note = f"95 % interval: Wilson's, of the overall accuracy on {count(data.n_pictures(part))} pictures."
    class_keys = [f"class:{name}" for name in data.class_names]
    measures = ["overall", *(["interval"] if has_interval else []), "avg"]
    words = {
        "overall": "overall",
        "interval": "95 % interval",
        "avg": "avg",
        **dict(zip(class_keys, data.class_names, strict=True)),
    }

    def show(value: Any) -> str:
        return value if isinstance(value, str) else data.accuracy_text(value)

    if len(class_keys) <= _N_COLUMNS:
        columns = [Column(key="trial", label="trial", numeric=True, header=True)]
        if 0 < len(data.varied) <= _N_LABEL_PARAMS:
            columns.append(Column(key="configuration", label="configuration"))
        for key in (*measures, *class_keys):
            title_text = "mean of the classes" if key == "avg" else ""
            columns.append(Column(key=key, label=words[key], title=title_text, show=show, numeric=True))
        return Table(key=f"classes-{part}", title=title, frame=frame, columns=columns, note=note)
    rows = {f"trial {row['trial']}": [row[key] for key in (*measures, *class_keys)] for _, row in frame.iterrows()}
    turned = pd.DataFrame({"class": [words[key] for key in (*measures, *class_keys)], **rows}, dtype=object)
    columns = [Column(key="class", label="class", header=True)]
    columns += [Column(key=key, label=key, show=show, numeric=True) for key in rows]
    return Table(key=f"classes-{part}", title=title, frame=turned, columns=columns, note=note, interactive=True)


def gather_class_curves(data: StudyData, part: str) -> pd.DataFrame:
    """Accuracy of each class of the best trial against epoch: columns class, epoch, accuracy."""
    columns = ["class", "epoch", "accuracy"]
    if data.best is None or data.best.run_id not in data.best_histories.index.get_level_values("run_id"):
        return pd.DataFrame(columns=columns)
    histories = data.best_histories.loc[data.best.run_id]
    frames = []
    for name in data.class_names:
        metric = f"{part}/accuracy/{name}"
        if metric in histories.columns:
            curve = histories[metric].dropna()
            frames.append(pd.DataFrame({"class": name, "epoch": curve.index, "accuracy": curve.to_numpy()}))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def drawn_classes(data: StudyData, curves: pd.DataFrame) -> list[str]:
    """The classes with a curve; of many, those with the lowest and the highest last accuracy."""
    names = [name for name in data.class_names if (curves["class"] == name).any()]
    if len(names) <= _N_LINES:
        return names
    last = {name: float(curves.loc[curves["class"] == name, "accuracy"].iloc[-1]) for name in names}
    ranked = sorted(names, key=lambda name: (last[name], names.index(name)))
    kept = {*ranked[: _N_LINES // 2], *ranked[-_N_LINES // 2 :]}
    return [name for name in names if name in kept]


def draw_class_curves(data: StudyData, part: str, curves: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Accuracy against epoch, one line for each class in `names`."""
    assert data.best is not None
    # Of many classes few are drawn: styles go by their place among these, since they repeat after 24.
    styled = data.class_names if len(data.class_names) <= _N_LINES else names
    figure = blank_figure(x="epoch", y="accuracy", percent_y=True, legend=True)
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
    note = f"Of {len(data.class_names)} classes, those lowest and highest in validation at the last epoch are drawn."
    return Figure(
        key=f"curves-{part}",
        title=f"Accuracy of each class against epoch, {PART_LABELS[part]}, trial {data.best.number}",
        description=f"Lines of {PART_LABELS[part]} accuracy against epoch for {len(names)} classes.",
        figure=figure,
        data=curves,
        note=note if len(names) < len(data.class_names) else "",
        height=400,
    )


def build_classes(data: StudyData) -> Sequence[Block]:
    """Per-class tables on validation and training, and curves of the best trial; nothing without a best trial."""
    if data.best is None:
        return []
    blocks: list[Block] = []
    for part in ("val", "train"):
        frame = gather_class_accuracies(data, part)
        if frame[[c for c in frame.columns if c.startswith("class:")]].notna().any(axis=None):
            blocks.append(draw_class_table(data, part, frame))
    curves = {part: gather_class_curves(data, part) for part in ("val", "train")}
    names = drawn_classes(data, curves["val"] if not curves["val"].empty else curves["train"])
    figures = [draw_class_curves(data, part, frame, names) for part, frame in curves.items() if not frame.empty]
    if figures:
        blocks.append(Row(items=figures))
    return blocks or [Note(text="No accuracies of single classes were recorded.")]
