"""Several studies side by side: which is best, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.blocks import Block, Column, Figure, Note, Row, Table
from sweeper.report.cost import build_costs
from sweeper.report.format import as_float, count, duration, number, percent, plural
from sweeper.report.shares import is_share
from sweeper.report.standings import choose_criterion, gather_overview
from sweeper.report.statistics import Interval, difference_interval
from sweeper.report.study_data import StudyData
from sweeper.report.theme import PART_COLOURS, PART_LABELS, TEST_COLOUR, blank_figure, plain, series_style

__all__ = ["build_overview", "draw_overview"]


def draw_overview(frame: pd.DataFrame, *, quantity: str) -> Figure | None:
    """What studies are ranked by, with its interval, one line a study; None where none has it."""
    known = frame[frame["value"].notna()]
    if known.empty:
        return None
    in_percent = is_share(f"val/{quantity}")
    figure = blank_figure(x=quantity.replace("_", " "), y="", legend=known["part"].nunique() > 1)
    places = {name: i for i, name in enumerate(known["study"])}
    for index, part in enumerate(part for part in ("test", "val") if (known["part"] == part).any()):
        rows = known[known["part"] == part]
        colour, symbol = {**PART_COLOURS, "test": TEST_COLOUR}[part], series_style(index)[2]
        has_interval = rows["low"].notna()
        figure.add_trace(
            go.Scatter(
                x=rows["value"].tolist(),
                y=[places[name] for name in rows["study"]],
                customdata=[plain(name) for name in rows["study"]],
                name=PART_LABELS[part],
                mode="markers",
                marker={"color": colour, "size": 9, "symbol": symbol},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [
                        h - v if ok else 0 for h, v, ok in zip(rows["high"], rows["value"], has_interval, strict=True)
                    ],
                    "arrayminus": [
                        v - low if ok else 0
                        for v, low, ok in zip(rows["value"], rows["low"], has_interval, strict=True)
                    ],
                    "thickness": 2,
                    "color": colour,
                }
                if has_interval.any()
                else None,
                hovertemplate="%{customdata}: " + ("%{x:.2~%}" if in_percent else "%{x:.4g}") + "<extra></extra>",
            )
        )
    if in_percent:
        figure.update_xaxes(tickformat=".2~%")
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(places.values()),
        ticktext=[plain(name) for name in places],
        range=[len(places) - 0.5, -0.5],
        showgrid=False,
    )
    show, unit = (percent, " %") if in_percent else (number, "")
    words = "; ".join(
        f"{s} {show(v)}{unit} in {PART_LABELS[p]}"
        for s, v, p in zip(known["study"], known["value"], known["part"], strict=True)
    )
    return Figure(
        key="accuracy",
        title=f"{quantity.replace('_', ' ').capitalize()} of each study",
        description=f"Points with intervals, best study on top: {words}.",
        figure=figure,
        data=known[["study", "part", "value", "low", "high"]],
        note="Bars: 95 % intervals, Student's over the seeds, of a single training Wilson's over the pictures."
        if known["low"].notna().any()
        else "",
        height=130 + 34 * len(places),
    )


def _describe(studies: Sequence[StudyData], frame: pd.DataFrame, *, quantity: str) -> list[Note]:
    """What the ranking is from, and whether the lead is more than chance."""
    notes: list[Note] = []
    n_tested, n_ranked = int((frame["part"] == "test").sum()), int(frame["part"].notna().sum())
    if len({(s.objective.metric, s.objective.maximize, s.objective.at) for s in studies}) > 1:
        notes.append(Note(text=f"The studies have different objectives; they are ranked by {quantity}."))
    if n_tested == n_ranked > 0:
        words = "Ranked by what the configuration that validation chose reaches on test."
    elif n_tested:
        words = (
            f"{plural(n_tested, 'study was', 'studies were')} finalized and ranked by test, "
            f"{n_ranked - n_tested} by validation, where the best of many trials is a little too good: compare these "
            "with care."
        )
    else:
        words = (
            "Nothing was finalized: ranked by validation, which also chose, so that the best of many trials is a "
            "little too good. `sweeper finalize` measures on test."
        )
    # Of other classes, or other data, an accuracy is another task's: a lead there says nothing of models.
    tasks = {(data.data.name, data.data.class_names) for data in studies if data.data is not None}
    if n_ranked:
        lead = _lead(frame, quantity=quantity) if len(tasks) < 2 else ""
        notes.append(Note(text=words + lead, level="text" if n_tested in (0, n_ranked) else "warning"))
    fingerprints = {data.data.fingerprint for data in studies if data.data is not None}
    if len(fingerprints) > 1:
        words = "The studies did not use the same data and split: differences between them are not due to models alone."
        if len(tasks) > 1:
            words = "The studies did not use the same data: their ranks say nothing of which model is better."
        notes.append(Note(text=words, level="warning"))
    return notes


def _lead(frame: pd.DataFrame, *, quantity: str) -> str:
    """How far the first lies before the second, where both are accuracies of one part."""
    if len(frame) < 2 or not is_share(f"val/{quantity}"):
        return ""
    first, second = frame.iloc[0], frame.iloc[1]
    if first["part"] != second["part"] or first["low"] is None or second["low"] is None:
        return ""
    a, b = (Interval(low=row["low"], high=row["high"]) for row in (first, second))
    lead = difference_interval(first["value"], a, second["value"], b)
    words = "more than chance explains" if lead.low > 0.0 else "not distinguishable from none"
    return (
        f" {first['study']} leads {second['study']} by {percent(first['value'] - second['value'])} points (95 % "
        f"interval {percent(lead.low)} to {percent(lead.high)}): {words}.".replace(" -", " −")
    )


def _tabulate(studies: Sequence[StudyData], frame: pd.DataFrame, *, quantity: str) -> Table:
    show = percent if is_share(f"val/{quantity}") else number
    label = quantity.replace("_", " ") + (" (%)" if is_share(f"val/{quantity}") else "")
    words = {"test": "test, {}", "val": "validation, {}" if (frame["n_seeds"].dropna() > 1).any() else "validation"}
    shown = frame.assign(
        rank=pd.Series([i if part else None for i, part in enumerate(frame["part"], start=1)], dtype=object),
        source=[
            "–" if part is None else words[part].format(plural(n, "seed"))
            for part, n in zip(frame["part"], frame["n_seeds"], strict=True)
        ],
        interval=[
            "–" if low is None else f"{show(low)}–{show(high)}"
            for low, high in zip(frame["low"], frame["high"], strict=True)
        ],
    )
    columns = [
        Column(key="rank", label="rank", show=count, numeric=True),
        Column(key="study", label="study", header=True),
        Column(key="source", label="ranked by"),
        Column(key="value", label=label, show=show, numeric=True),
        Column(key="interval", label="95 % interval", numeric=True),
        Column(key="test_loss", label="test loss", show=number, numeric=True),
        Column(key="val_accuracy", label="validation accuracy (%)", show=percent, numeric=True),
        Column(key="val_loss", label="validation loss", show=number, numeric=True),
        Column(key="train_accuracy", label="training accuracy (%)", show=percent, numeric=True),
        Column(key="gap", label="gap (points)", title="training minus validation", show=_points, numeric=True),
        Column(key="n_parameters", label="parameters", show=count, numeric=True),
        Column(key="best_seconds", label="time of a training", show=_duration, numeric=True),
        Column(key="trial", label="trial", title="that found the configuration", show=count, numeric=True),
        Column(key="n_trials", label="trials", show=count, numeric=True),
        Column(key="total_seconds", label="compute of the search", show=_duration, numeric=True),
    ]
    # Studies without classes have no accuracies; a column that repeats the ranking says nothing.
    optional = {"interval": "low", "test_loss": "test_loss", "val_accuracy": "val_accuracy", "val_loss": "val_loss"}
    optional |= {"train_accuracy": "train_accuracy", "gap": "gap", "n_parameters": "n_parameters"}
    repeated = (
        {"val_accuracy" if quantity == "accuracy" else f"val_{quantity}"}
        if set(frame["part"]) <= {"val", None}
        else set()
    )
    repeated |= {"test_loss"} if quantity == "loss" else set()
    columns = [
        c for c in columns if (c.key not in optional or frame[optional[c.key]].notna().any()) and c.key not in repeated
    ]
    note = (
        "Means over the seeds: of a finalized study those of the configuration that validation chose, else of the best."
    )
    return Table(key="ranking", title="Ranking", frame=shown, columns=columns, note=note)


def build_overview(studies: Sequence[StudyData]) -> Sequence[Block]:
    """The ranking of several studies, which are given best first, and what their accuracy costs."""
    frame = gather_overview(studies)
    quantity, maximize = choose_criterion(studies)
    blocks: list[Block] = [*_describe(studies, frame, quantity=quantity), _tabulate(studies, frame, quantity=quantity)]
    figure = draw_overview(frame, quantity=quantity)
    if figure is not None:
        blocks.append(Row(items=[figure]))
    return [*blocks, *build_costs(studies, quantity=quantity, maximize=maximize)]


def _points(value: Any) -> str:
    return percent(value).replace("-", "−")


def _duration(value: Any) -> str:
    return duration(as_float(value))
