"""What a confusion matrix says of each class: how many were found, and how many of those named so were so."""

from __future__ import annotations

import pandas as pd

from sweeper.report.blocks import Column, Table
from sweeper.report.format import count, percent, percent_decimals

__all__ = ["draw_class_rates", "gather_class_rates"]

_N_ROWS = 20
"""With more classes than this, the table scrolls in its own frame."""


def gather_class_rates(cells: pd.DataFrame) -> pd.DataFrame:
    """A row a class: columns class, n (pictures of it), n_found (of these predicted as it), recall, n_predicted,
    precision, taken_for (the class it is most often taken for wrongly), n_taken. Rates without pictures are missing.

    Args:
        cells: One matrix, as of `tabulate_matrix`.
    """
    matrix = cells.pivot(index="truth", columns="predicted", values="count").astype(int)
    names = list(dict.fromkeys(cells["truth"]))
    rows = []
    for name in names:
        of_truth, of_prediction = matrix.loc[name, names], matrix.loc[names, name]
        n, n_predicted, n_found = int(of_truth.sum()), int(of_prediction.sum()), int(of_truth[name])
        wrong = {other: int(of_truth[other]) for other in names if other != name}
        most = max(wrong, key=lambda other: wrong[other], default=None)
        n_taken = wrong[most] if most is not None else 0
        rows.append(
            {
                "class": name,
                "n": n,
                "n_found": n_found,
                "recall": n_found / n if n else None,
                "n_predicted": n_predicted,
                "precision": n_found / n_predicted if n_predicted else None,
                "taken_for": most if n_taken else None,
                "n_taken": n_taken,
            }
        )
    frame = pd.DataFrame(rows, dtype=object)
    return frame.where(frame.notna(), None)


def draw_class_rates(frame: pd.DataFrame, *, key: str, title: str) -> Table:
    """Counts and rates of each class."""
    decimals = percent_decimals(int(frame["n"].sum()) or None)
    shown = frame.assign(
        taken=[
            "–" if name is None else f"{name} ({count(n)})"
            for name, n in zip(frame["taken_for"], frame["n_taken"], strict=True)
        ]
    )
    columns = [
        Column(key="class", label="class", header=True),
        Column(key="n", label="pictures", show=count, numeric=True),
        Column(key="n_found", label="found", title="predicted as this class, rightly", show=count, numeric=True),
        Column(key="recall", label="recall (%)", show=lambda v: percent(v, decimals), numeric=True),
        Column(key="n_predicted", label="predicted", title="predicted as this class", show=count, numeric=True),
        Column(key="precision", label="precision (%)", show=lambda v: percent(v, decimals), numeric=True),
        Column(key="taken", label="most often taken for"),
    ]
    note = "Recall: share of the pictures of the class that were found. Precision: of those predicted so."
    return Table(key=key, title=title, frame=shown, columns=columns, note=note, interactive=len(frame) > _N_ROWS)
