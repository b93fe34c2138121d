"""Confusion matrix of the best trial: counts and rates, on validation and training, given and true labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from sweeper.report.blocks import Block, Figure, Note, Row
from sweeper.report.matrix import CELLS, draw_matrix, tabulate_matrix
from sweeper.report.sections.gap import draws_evenly
from sweeper.report.sections.rates import draw_class_rates, gather_class_rates
from sweeper.report.study_data import StudyData

__all__ = ["build_confusion", "describe_confusions", "draw_confusion", "gather_confusion"]

_PARTS = {
    "val": "validation",
    "true_val": "validation, true labels",
    "train": "training",
    "true_train": "training, true labels",
}


def gather_confusion(data: StudyData) -> tuple[pd.DataFrame, int | None]:
    """The best trial's confusions, and the epoch that they were counted at.

    Columns: part (`val`, `train`; against true labels `true_val`, `true_train`), truth, predicted, count, rate (share
    of the pictures of that truth; None for a class without pictures). Empty where no matrix was recorded.
    """
    columns = ["part", *CELLS]
    raw = data.best_confusion
    if raw is None:
        return pd.DataFrame(columns=columns), None
    names = [str(name) for name in raw.get("class_names", ())]
    rows: list[tuple[Any, ...]] = []
    for part in _PARTS:
        matrix = raw.get(part)
        if not matrix or len(matrix) != len(names) or any(len(line) != len(names) for line in matrix):
            continue
        rows += [(part, *cell) for cell in tabulate_matrix(names, matrix)]
    epoch = raw.get("epoch")
    return pd.DataFrame(rows, columns=columns), epoch if isinstance(epoch, int) else None


def describe_confusions(frame: pd.DataFrame, part: str, n: int = 3) -> str:
    """The most frequent confusions of a part in a sentence; empty where there is none."""
    wrong = frame[(frame["part"] == part) & (frame["truth"] != frame["predicted"]) & (frame["count"] > 0)]
    if wrong.empty:
        return ""
    wrong = wrong[wrong["count"] > 1]
    if wrong.empty:
        return f"In {_words(frame, part)} no confusion occurs more than once."
    worst = wrong.sort_values(["count", "truth", "predicted"], ascending=[False, True, True], kind="stable").head(n)
    words = [
        f"{row.truth} taken for {row.predicted} ({row.count_:,} of {row.total:,})"
        for row in worst.assign(
            count_=worst["count"],
            total=[int(frame[(frame["part"] == part) & (frame["truth"] == t)]["count"].sum()) for t in worst["truth"]],
        ).itertuples()
    ]
    return f"Most often in {_words(frame, part)}: {'; '.join(words)}."


def _is_given(frame: pd.DataFrame, part: str) -> bool:
    """Whether a matrix is of labels as given, while true ones are known."""
    return f"true_{part}" in set(frame["part"])


def _words(frame: pd.DataFrame, part: str) -> str:
    return _PARTS[part] + (", given labels" if _is_given(frame, part) else "")


def draw_confusion(data: StudyData, part: str, frame: pd.DataFrame, epoch: int | None) -> Figure:
    """A heat map: colour is the rate, text is count and rate."""
    assert data.best is not None
    at = f", epoch {epoch}" if epoch is not None else ""
    return draw_matrix(
        frame[frame["part"] == part].drop(columns="part"),
        key=f"confusion-{part.replace('_', '-')}",
        title=f"Confusion matrix in {_words(frame, part)}, trial {data.best.number}{at}",
        words=describe_confusions(frame, part),
        given=_is_given(frame, part),
    )


def build_confusion(data: StudyData) -> Sequence[Block]:
    """Matrices of the best trial side by side, and rates of each class in the first; nothing without a best trial, or
    where there are no classes."""
    if data.best is None or data.task != "classification":
        return []
    frame, epoch = gather_confusion(data)
    if frame.empty:
        return [Note(text=f"No confusion matrix of trial {data.best.number} was recorded.")]
    parts = list(dict.fromkeys(frame["part"]))
    # What is confused in training is seen in its matrix; what counts is what is confused of other pictures.
    words = [describe_confusions(frame, part) for part in parts if part.endswith("val") or "val" not in parts]
    figures = [draw_confusion(data, part, frame, epoch) for part in parts]
    if "train" in parts and draws_evenly(data, data.best):
        words.append("Training pictures were drawn with equal classes: in training, the matrices count draws.")
    notes = [Note(text=text) for text in words if text]
    first = frame[frame["part"] == parts[0]]
    title = f"Counts and rates of each class in {_words(frame, parts[0])}, trial {data.best.number}"
    table = draw_class_rates(gather_class_rates(first), key="class-rates", title=title)
    return [*notes, Row(items=figures), table]
