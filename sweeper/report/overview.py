"""Several studies side by side: which is best, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.blocks import Block, Column, Figure, Note, Table
from sweeper.report.format import as_float, count, duration, percent
from sweeper.report.sections.head import run_seconds
from sweeper.report.statistics import accuracy_interval
from sweeper.report.study_data import StudyData
from sweeper.report.theme import blank_figure, plain, series_style

__all__ = ["build_overview", "draw_overview", "gather_overview", "rank_studies"]


def _has_one_objective(studies: Sequence[StudyData]) -> bool:
    return len({(s.objective.metric, s.objective.maximize, s.objective.at) for s in studies}) == 1


def _score(data: StudyData, *, one_objective: bool) -> float | None:
    """What studies are ranked by, higher is better: their objective if they share one, else validation accuracy."""
    if data.best is None:
        return None
    if not one_objective:
        return data.at_epoch(data.best, "val/accuracy")
    value = as_float(data.best.value)
    return value if value is None or data.objective.maximize else -value


def rank_studies(studies: Sequence[StudyData]) -> list[StudyData]:
    """The studies, best first; those without a best trial last, by name."""
    one = _has_one_objective(studies)
    scores = {id(s): _score(s, one_objective=one) for s in studies}
    return sorted(
        studies, key=lambda s: (scores[id(s)] is None, -(scores[id(s)] or 0.0), s.record.name, s.record.experiment_id)
    )


def gather_overview(studies: Sequence[StudyData]) -> pd.DataFrame:
    """One row a study in the given order.

    Columns: study, metric, value, val_accuracy, low, high (Wilson's 95 % interval of it), train_accuracy, gap
    (fractions), n_parameters, best_seconds (training time of the best trial), n_trials, n_complete, total_seconds.
    """
    rows: list[dict[str, Any]] = []
    for data in studies:
        seconds = [s for run in data.runs if (s := run_seconds(run)) is not None]
        row: dict[str, Any] = {
            "study": data.record.name,
            "metric": data.objective.metric,
            "n_trials": len(data.runs),
            "n_complete": len(data.complete),
            "total_seconds": sum(seconds),
        }
        if data.best is not None:
            train, val = (data.at_epoch(data.best, f"{part}/accuracy") for part in ("train", "val"))
            n, n_parameters = data.n_pictures("val"), data.best.tags.get("sweeper.n_parameters", "")
            row |= {
                "value": data.best.value,
                "val_accuracy": val,
                "train_accuracy": train,
                "gap": train - val if train is not None and val is not None else None,
                "n_parameters": int(n_parameters) if n_parameters.isdecimal() else None,
                "best_seconds": run_seconds(data.best),
            }
            interval = accuracy_interval(val, n)
            if interval is not None:
                row |= {"low": interval.low, "high": interval.high}
        rows.append(row)
    columns = ["study", "metric", "value", "val_accuracy", "low", "high", "train_accuracy", "gap", "n_parameters"]
    columns += ["best_seconds", "n_trials", "n_complete", "total_seconds"]
    frame = pd.DataFrame(rows, columns=columns, dtype=object)
    return frame.where(frame.notna(), None)


def draw_overview(frame: pd.DataFrame) -> Figure | None:
    """Validation accuracy with its interval, one line a study; None where no study has one."""
    known = frame[frame["val_accuracy"].notna()]
    if known.empty:
        return None
    figure = blank_figure(x="validation accuracy of the best trial", y="")
    names = [plain(name) for name in known["study"]]
    error = {}
    if known["low"].notna().all():
        error = {
            "type": "data",
            "symmetric": False,
            "array": [h - v for h, v in zip(known["high"], known["val_accuracy"], strict=True)],
            "arrayminus": [v - lo for v, lo in zip(known["val_accuracy"], known["low"], strict=True)],
            "thickness": 2,
            "color": series_style(0)[0],
        }
    figure.add_trace(
        go.Scatter(
            x=known["val_accuracy"].tolist(),
            y=list(range(len(names))),
            customdata=names,
            mode="markers",
            marker={"color": series_style(0)[0], "size": 9},
            error_x=error or None,
            hovertemplate="%{customdata}: %{x:.2~%}<extra></extra>",
        )
    )
    figure.update_xaxes(tickformat=".2~%")
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(names))),
        ticktext=names,
        range=[len(names) - 0.5, -0.5],
        showgrid=False,
    )
    return Figure(
        key="accuracy",
        title="Validation accuracy of the best trial of each study",
        description="Points with intervals, best study on top: "
        + "; ".join(f"{s} {percent(v)} %" for s, v in zip(known["study"], known["val_accuracy"], strict=True)),
        figure=figure,
        data=known[["study", "val_accuracy", "low", "high"]],
        note="Bars: 95 % intervals (Wilson)." if error else "",
        height=110 + 34 * len(names),
    )


def build_overview(studies: Sequence[StudyData]) -> Sequence[Block]:
    """The ranking of several studies, which are given best first."""
    frame = gather_overview(studies)
    blocks: list[Block] = []
    one = _has_one_objective(studies)
    if not one:
        blocks.append(Note(text="The studies have different objectives; they are ranked by validation accuracy."))
    fingerprints = {data.data.fingerprint for data in studies if data.data is not None}
    if len(fingerprints) > 1:
        words = "The studies did not use the same data and split: differences between them are not due to models alone."
        blocks.append(Note(text=words, level="warning"))
    shown = frame.assign(
        rank=pd.Series([i if n else None for i, n in enumerate(frame["n_complete"], start=1)], dtype=object),
        value_text=[data.value_text(v) for data, v in zip(studies, frame["value"], strict=True)],
        interval=[
            "–" if low is None else f"{percent(low)}–{percent(high)}"
            for low, high in zip(frame["low"], frame["high"], strict=True)
        ],
    )
    value_label = studies[0].value_label if one else "value of its objective"
    columns = [
        Column(key="rank", label="rank", show=count, numeric=True),
        Column(key="study", label="study", header=True),
        Column(key="value_text", label=value_label, numeric=True),
        Column(key="val_accuracy", label="validation accuracy (%)", show=percent, numeric=True),
        Column(key="interval", label="95 % interval", numeric=True),
        Column(key="train_accuracy", label="training accuracy (%)", show=percent, numeric=True),
        Column(key="gap", label="gap (points)", show=percent, numeric=True),
        Column(key="n_parameters", label="parameters", show=count, numeric=True),
        Column(key="best_seconds", label="time of the best", show=_duration, numeric=True),
        Column(key="n_trials", label="trials", show=count, numeric=True),
        Column(key="total_seconds", label="compute", show=_duration, numeric=True),
    ]
    if one and studies[0].objective.metric == "val/accuracy":
        columns = [column for column in columns if column.key != "value_text"]
    # Studies without classes have no accuracies.
    optional = {"val_accuracy", "train_accuracy", "gap"}
    columns = [c for c in columns if c.key not in optional or frame[c.key].notna().any()]
    if frame["low"].isna().all():
        columns = [column for column in columns if column.key != "interval"]
    blocks.append(Table(key="ranking", title="Ranking by the best trial", frame=shown, columns=columns))
    figure = draw_overview(frame)
    return [*blocks, figure] if figure is not None else blocks


def _duration(value: Any) -> str:
    return duration(as_float(value))
