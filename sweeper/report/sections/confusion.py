"""Confusion matrix of the best trial: counts and rates, on validation and training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.blocks import Block, Figure, Note, Row
from sweeper.report.format import percent
from sweeper.report.study_data import StudyData
from sweeper.report.theme import PART_LABELS, blank_figure, plain, plotted

__all__ = ["build_confusion", "describe_confusions", "draw_confusion", "gather_confusion"]

_N_LABELLED = 20
"""With more classes than this, the cells are too small for text."""
_N_CHARACTERS = 16
"""Longer class names are cut at the axes; they are whole where the mouse points."""


def gather_confusion(data: StudyData) -> tuple[pd.DataFrame, int | None]:
    """The best trial's confusions, and the epoch that they were counted at.

    Columns: part (`val`, `train`), truth, predicted, count, rate (share of the pictures of that truth; None for a class
    without pictures). Empty where no matrix was recorded.
    """
    columns = ["part", "truth", "predicted", "count", "rate"]
    raw = None if data.best is None else data.artifact(data.best, "confusion.json")
    if not isinstance(raw, dict):
        return pd.DataFrame(columns=columns), None
    names = [str(name) for name in raw.get("class_names", ())]
    rows: list[tuple[Any, ...]] = []
    for part in ("val", "train"):
        matrix = raw.get(part)
        if not matrix or len(matrix) != len(names) or any(len(line) != len(names) for line in matrix):
            continue
        for truth, line in zip(names, matrix, strict=True):
            total = sum(line)
            rows += [
                (part, truth, predicted, int(n), n / total if total else None)
                for predicted, n in zip(names, line, strict=True)
            ]
    epoch = raw.get("epoch")
    return pd.DataFrame(rows, columns=columns), epoch if isinstance(epoch, int) else None


def describe_confusions(frame: pd.DataFrame, part: str, n: int = 3) -> str:
    """The most frequent confusions of a part in a sentence; empty where there is none."""
    wrong = frame[(frame["part"] == part) & (frame["truth"] != frame["predicted"]) & (frame["count"] > 0)]
    if wrong.empty:
        return ""
    wrong = wrong[wrong["count"] > 1]
    if wrong.empty:
        return f"In {PART_LABELS[part]} no confusion occurs more than once."
    worst = wrong.sort_values(["count", "truth", "predicted"], ascending=[False, True, True], kind="stable").head(n)
    words = [
        f"{row.truth} taken for {row.predicted} ({row.count_} of {row.total})"
        for row in worst.assign(
            count_=worst["count"],
            total=[int(frame[(frame["part"] == part) & (frame["truth"] == t)]["count"].sum()) for t in worst["truth"]],
        ).itertuples()
    ]
    return f"Most often in {PART_LABELS[part]}: {'; '.join(words)}."


def _axis(names: Sequence[str], n_shown: int) -> dict[str, Any]:
    """An axis of class names: at most `n_shown` of them, long ones cut, so that they do not overlap."""
    shown = range(0, len(names), max(1, math.ceil(len(names) / n_shown)))
    cut = [n if len(n) <= _N_CHARACTERS else f"{n[: _N_CHARACTERS - 1]}…" for n in names]
    text = [plain(cut[i]) for i in shown]
    return {
        "tickmode": "array",
        "tickvals": [*shown],
        "ticktext": text,
        "showgrid": False,
        "showline": False,
        "ticks": "",
    }


def draw_confusion(data: StudyData, part: str, frame: pd.DataFrame, epoch: int | None) -> Figure:
    """A heat map: colour is the rate, text is count and rate."""
    assert data.best is not None
    cells = frame[frame["part"] == part]
    names = list(dict.fromkeys(cells["truth"]))
    n = len(names)
    counts = [cells["count"].tolist()[i * n : (i + 1) * n] for i in range(n)]
    rates = [plotted(cells["rate"].tolist()[i * n : (i + 1) * n]) for i in range(n)]
    texts = [
        [f"{c}<br>{percent(r, 0)} %" if n <= 6 else (str(c) if c else "") for c, r in zip(cs, rs, strict=True)]
        for cs, rs in zip(counts, rates, strict=True)
    ]
    figure = blank_figure(x="predicted", y="truth")
    labels = [plain(name) for name in names]
    figure.add_trace(
        go.Heatmap(
            x=list(range(n)),
            y=list(range(n)),
            z=rates,
            text=texts if n <= _N_LABELLED else None,
            texttemplate="%{text}" if n <= _N_LABELLED else None,
            customdata=[[[labels[i], labels[j], counts[i][j]] for j in range(n)] for i in range(n)],
            hovertemplate="%{customdata[0]} taken for %{customdata[1]}: %{customdata[2]} (%{z:.1%})<extra></extra>",
            coloraxis="coloraxis",
            xgap=1,
            ygap=1,
        )
    )
    # A slanted name reaches to the right: a long one would leave the figure, and Plotly would drop it.
    longest = max(map(len, names))
    angle = -90 if longest > 10 else -45 if longest > 3 and n > 4 else 0
    figure.update_layout(
        coloraxis={"cmin": 0, "cmax": 1, "showscale": False},
        xaxis=_axis(names, 20) | {"side": "top", "tickangle": angle},
        yaxis=_axis(names, 40) | {"autorange": "reversed"},
    )
    at = f", epoch {epoch}" if epoch is not None else ""
    return Figure(
        key=f"confusion-{part}",
        title=f"Confusion matrix in {PART_LABELS[part]}, trial {data.best.number}{at}",
        description=f"Heat map of truth (rows) against prediction (columns) for {n} classes. "
        + describe_confusions(frame, part),
        figure=figure,
        data=cells.drop(columns="part"),
        note="Rows are the truth. Numbers are counts of pictures; colour is their share of the row.",
        height=min(max(300, 80 + 34 * n), 760),
    )


def build_confusion(data: StudyData) -> Sequence[Block]:
    """Matrices of the best trial side by side; nothing without a best trial."""
    if data.best is None:
        return []
    frame, epoch = gather_confusion(data)
    if frame.empty:
        return [Note(text=f"No confusion matrix of trial {data.best.number} was recorded.")]
    parts = list(dict.fromkeys(frame["part"]))
    words = [describe_confusions(frame, part) for part in parts]
    figures = [draw_confusion(data, part, frame, epoch) for part in parts]
    notes = [Note(text=" ".join(filter(None, words)))] if any(words) else []
    return [*notes, Row(items=figures)]
