"""Axes that several figures share."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import plotly.graph_objects as go

from sweeper.report.format import param_text

__all__ = ["category_axis", "log_ticks", "log_value_axis", "mark_diverged", "spread_axis"]

_N_OWN_TICKS = 9
_TICK_GAP = 0.07
"""Ticks that are nearer to each other than this share of the axis have texts that overlap."""
_N_LETTERS = 22
_DIVERGED_COLOUR = "#D55E00"


def log_ticks(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: round numbers; over more than two decades powers of ten."""
    decades = math.log10(high / low)
    every = max(1, math.ceil(decades / 6))
    steps = ((0.5, (1, 1.5, 2, 3, 5, 7)), (1, (1, 2, 3, 5)), (2, (1, 2, 5)))
    factors = next((f for most, f in steps if decades <= most), (1,))
    first, last = math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1
    return [f * 10.0**e for e in range(first, last + 1) for f in factors if e % every == 0]


def spread_axis(figure: go.Figure, xs: Sequence[float], *, log: bool) -> None:
    """The horizontal axis of a numeric parameter: ticks at its values where they are few, else at round numbers."""
    own = sorted(set(xs))
    places = [math.log(x) for x in own] if log else own
    gaps = [b - a for a, b in itertools.pairwise(places)]
    is_sparse = len(own) <= _N_OWN_TICKS and all(gap > _TICK_GAP * (places[-1] - places[0]) for gap in gaps)
    if log:
        ticks = own if is_sparse else log_ticks(own[0], own[-1])
        figure.update_xaxes(type="log", tickmode="array", tickvals=ticks, ticktext=[param_text(t) for t in ticks])
    elif is_sparse:
        figure.update_xaxes(tickmode="array", tickvals=own, ticktext=[param_text(t) for t in own])


def category_axis(figure: go.Figure, names: Sequence[str]) -> None:
    """A horizontal axis of categories in their order, all of them shown, long names cut in the middle.

    Args:
        figure: With the names, as Plotly takes them, at its points.
        names: In order.
    """
    figure.update_xaxes(
        type="category",
        categoryorder="array",
        categoryarray=list(names),
        range=[-0.5, len(names) - 0.5],
        tickmode="array",
        tickvals=list(names),
        ticktext=[_cut(name) for name in names],
    )


def _cut(name: str) -> str:
    # What tells names apart is often at their end: `flip + crop` and `flip + crop + cutout`.
    escaped = "&" in name or "\u2068" in name
    return name if len(name) <= _N_LETTERS or escaped else f"{name[:7]}…{name[9 - _N_LETTERS :]}"


def log_value_axis(figure: go.Figure, low: float, high: float) -> bool:
    """A logarithmic vertical axis with ticks at round numbers, where values span a factor of 30; whether they do."""
    if not (math.isfinite(low) and math.isfinite(high)) or low <= 0.0 or high <= 30.0 * low:
        return False
    ticks = log_ticks(low, high)
    figure.update_layout(
        yaxis={"type": "log", "tickmode": "array", "tickvals": ticks, "ticktext": [param_text(t) for t in ticks]}
    )
    return True


def mark_diverged(figure: go.Figure, xs: Sequence[float | str], texts: Sequence[str]) -> None:
    """Crosses at the upper edge for trials that diverged: they have a place on the horizontal axis, but no value."""
    if not xs:
        return
    figure.add_trace(
        go.Scatter(
            x=list(xs),
            y=[1.0] * len(xs),
            yaxis="y2",
            cliponaxis=False,
            mode="markers",
            name="diverged, no value",
            customdata=list(texts),
            marker={"symbol": "x", "size": 9, "color": _DIVERGED_COLOUR},
            hovertemplate="%{customdata}<extra></extra>",
        )
    )
    figure.update_layout(
        yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True, "showgrid": False}
    )
