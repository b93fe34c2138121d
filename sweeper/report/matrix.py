"""Heat maps of confusion matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.blocks import Figure
from sweeper.report.format import percent
from sweeper.report.theme import blank_figure, plain, plotted

__all__ = ["CELLS", "draw_matrix", "tabulate_matrix"]

CELLS = ("truth", "predicted", "count", "rate")
"""Columns of a tabulated matrix."""
_N_LABELLED = 20
"""With more classes than this, the cells are too small for text."""
_N_CHARACTERS = 16
"""Longer class names are cut at the axes; they are whole where the mouse points."""


def tabulate_matrix(
    names: Sequence[str], counts_KK: Sequence[Sequence[int]]
) -> list[tuple[str, str, int, float | None]]:
    """The cells of a matrix, row by row: truth, predicted, count, rate.

    The rate is the share of the pictures of that truth; None for a class without pictures.
    """
    return [
        (truth, predicted, int(n), n / total if (total := sum(line)) else None)
        for truth, line in zip(names, counts_KK, strict=True)
        for predicted, n in zip(names, line, strict=True)
    ]


def draw_matrix(cells: pd.DataFrame, *, key: str, title: str, words: str = "", given: bool = False) -> Figure:
    """A heat map: colour is the rate, text is count and rate.

    Args:
        cells: A matrix as of `tabulate_matrix`, with the columns of `CELLS`.
        key: Of the figure.
        title: Of the figure.
        words: What stands out, in a sentence, for the description.
        given: Whether its rows are labels as given, of which some are known to be wrong, and not the truth.
    """
    names = list(dict.fromkeys(cells["truth"]))
    n = len(names)
    counts = [cells["count"].tolist()[i * n : (i + 1) * n] for i in range(n)]
    rates = [plotted(cells["rate"].tolist()[i * n : (i + 1) * n]) for i in range(n)]
    texts = [
        [f"{c:,}<br>{percent(r, 0)} %" if n <= 6 else (f"{c:,}" if c else "") for c, r in zip(cs, rs, strict=True)]
        for cs, rs in zip(counts, rates, strict=True)
    ]
    rows, meaning = ("given label", "labels as given") if given else ("truth", "truth")
    figure = blank_figure(x="predicted", y=rows)
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
    numbers = " Numbers are counts of pictures." if n <= _N_LABELLED else ""
    return Figure(
        key=key,
        title=title,
        description=f"Heat map of {rows} (rows) against prediction (columns) for {n} classes. {words}",
        figure=figure,
        data=cells,
        note=f"Rows are the {meaning}.{numbers} Colour is the share of the row.",
        height=min(max(300, 80 + 34 * n), 760),
    )


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
