"""Axes that several figures share."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Sequence

import plotly.graph_objects as go

from sweeper.report.format import cut_middle, param_text

__all__ = [
    "beside",
    "category_axis",
    "log_ticks",
    "log_value_axis",
    "mark_diverged",
    "place_axis",
    "rate_axis",
    "spread_axis",
    "tick_room",
]

_N_OWN_TICKS = 9
_LETTER = 0.022
"""Width of a letter of a tick as a share of the axis, in a figure on a phone."""
_NARROW_LETTER = 0.037
"""The same in a figure that is one of three in a line."""
_NEAR_ZERO = 1e-3
"""Of a learning rate that falls to this share of its peak, the rest on a logarithmic axis would be a flat line."""
_N_LETTERS = 22
_N_HEAD = 8
_N_LETTERS_OF_ALL = 44
"""Room for the names of all categories beside each other, in a figure on a phone."""
_N_LETTERS_OF_ALL_NARROW = 26
_N_LINES = 3
"""Of the name of a category; no name has lines shorter than `_N_LINE` letters."""
_N_LINE = 8
_LINE_PIXELS = 16
_SLANTED_PIXELS = 5
"""Of each letter of a slanted name, beyond the first few."""
_SPREAD, _STEP = 0.6, 0.15
"""Width of the points of all series of a category, at most, and of two of them; the next category is 1 away."""
_DIVERGED_COLOUR = "#D55E00"


def log_ticks(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: round numbers; over more than two decades powers of ten."""
    decades = math.log10(high / low)
    every = max(1, math.ceil(decades / 6))
    steps = ((0.5, (1, 1.5, 2, 3, 5, 7)), (1, (1, 2, 3, 5)), (2, (1, 2, 5)))
    factors = next((f for most, f in steps if decades <= most), (1,))
    first, last = math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1
    return [f * 10.0**e for e in range(first, last + 1) for f in factors if e % every == 0]


def spread_axis(figure: go.Figure, xs: Sequence[float], *, log: bool, narrow: bool = False) -> None:
    """The horizontal axis of a numeric parameter: ticks at its values where they are few, else at round numbers.

    Args:
        figure: Its points are there.
        xs: Their places.
        log: Whether the axis is logarithmic.
        narrow: Whether the figure is one of three in a line.
    """
    own = sorted(set(xs))
    places = [math.log(x) for x in own] if log else own
    gaps = [b - a for a, b in itertools.pairwise(places)]
    texts = [param_text(x) for x in own]
    # Half of either text, and a letter between them.
    letter = _NARROW_LETTER if narrow else _LETTER
    needed = [letter * ((len(a) + len(b)) / 2 + 1) for a, b in itertools.pairwise(texts)]
    width = places[-1] - places[0]
    is_sparse = len(own) <= _N_OWN_TICKS and all(g > n * width for g, n in zip(gaps, needed, strict=True))
    if log:
        ticks = own if is_sparse else log_ticks(own[0], own[-1])
        figure.update_xaxes(type="log", tickmode="array", tickvals=ticks, ticktext=[param_text(t) for t in ticks])
    elif is_sparse:
        figure.update_xaxes(tickmode="array", tickvals=own, ticktext=[param_text(t) for t in own])


def category_axis(figure: go.Figure, names: Sequence[str]) -> None:
    """A horizontal axis of categories in their order, all of them shown: long names of few in lines, else cut in the
    middle.

    Args:
        figure: One of three in a line, with the names, as Plotly takes them, at its points.
        names: In order.
    """
    figure.update_xaxes(
        type="category",
        categoryorder="array",
        categoryarray=list(names),
        range=[-0.5, len(names) - 0.5],
        tickmode="array",
        tickvals=list(names),
        ticktext=_tick_names(names, _N_LETTERS_OF_ALL_NARROW),
    )


def place_axis(figure: go.Figure, names: Sequence[str]) -> None:
    """As `category_axis`, but the points stand at the places of their categories, 0, 1, and so on, or beside them."""
    figure.update_xaxes(
        range=[-0.5, len(names) - 0.5],
        tickmode="array",
        tickvals=list(range(len(names))),
        ticktext=_tick_names(names, _N_LETTERS_OF_ALL),
        # Plotly leaves out the last label of numbers where it is slanted and has no room beside the axis.
        ticklabeloverflow="allow",
        showgrid=False,
    )


def beside(index: int, n: int) -> float:
    """How far from the place of its category the points of one of `n` series stand, so that none hides another."""
    return 0.0 if n < 2 else round(min(_SPREAD, _STEP * (n - 1)) * (index / (n - 1) - 0.5), 4)


def tick_room(figure: go.Figure) -> int:
    """Pixels that the names below an axis need beyond one line, so that the plot above them keeps its height."""
    texts = [str(text) for text in figure.layout.xaxis.ticktext or ()]
    lines = [text.split("<br>") for text in texts]
    n_lines = max(map(len, lines), default=1)
    if n_lines > 1 or sum(map(len, texts)) <= _N_LETTERS_OF_ALL:
        return _LINE_PIXELS * (n_lines - 1)
    # Names are slanted, and upright on a phone.
    return max(_SLANTED_PIXELS * (max(map(len, texts)) - _N_LINE), 0)


def _tick_names(names: Sequence[str], n_letters: int) -> list[str]:
    """Names as they stand below an axis with room for so many letters."""
    each = n_letters // max(len(names), 1)
    lines = [textwrap.wrap(name, each, break_long_words=False) if each >= _N_LINE else [name] for name in names]
    fits = all(len(own) <= _N_LINES and max(map(len, own), default=0) <= each for own in lines)
    # An isolate that is broken would lose its direction.
    if fits and not any("\u2068" in name for name in names):
        return ["<br>".join(own) for own in lines]
    return [_cut(name) for name in names]


def _cut(name: str) -> str:
    # What tells names apart is often at their end: `flip + crop` and `flip + crop + cutout`.
    if name.endswith("…"):
        return name if len(name) <= _N_LETTERS else f"{name[: _N_LETTERS - 1].rstrip()}…"
    escaped = "&" in name or "\u2068" in name
    return name if escaped else cut_middle(name, _N_LETTERS, _N_HEAD)


def log_value_axis(figure: go.Figure, low: float, high: float) -> bool:
    """A logarithmic vertical axis with ticks at round numbers, where values span a factor of 30; whether they do."""
    if not (math.isfinite(low) and math.isfinite(high)) or low <= 0.0 or high <= 30.0 * low:
        return False
    ticks = log_ticks(low, high)
    figure.update_layout(
        yaxis={"type": "log", "tickmode": "array", "tickvals": ticks, "ticktext": [param_text(t) for t in ticks]}
    )
    return True


def rate_axis(figure: go.Figure, lines: Sequence[Sequence[float]]) -> None:
    """The vertical axis of learning rates: in the logarithm where they span a factor of 30, but for what falls to 0.

    Args:
        figure: Its curves are there.
        lines: Positive learning rates of each line; it may have none.
    """
    peaks = [max(line) for line in lines if line]
    lows = [min(line) for line in lines if line]
    if not peaks:
        return
    if all(low > _NEAR_ZERO * peak for low, peak in zip(lows, peaks, strict=True)):
        log_value_axis(figure, min(lows), max(peaks))
    elif max(peaks) > 30.0 * min(peaks):
        low = max(min(lows), min(peaks) * _NEAR_ZERO)
        log_value_axis(figure, low, max(peaks))
        figure.update_yaxes(range=[math.log10(low), math.log10(max(peaks)) + 0.1])
    else:
        step = next(f * 10.0**e for e in range(-12, 12) for f in (1, 2, 5) if f * 10.0**e >= max(peaks) / 5)
        ticks = [step * k for k in range(math.floor(max(peaks) / step + 1e-9) + 1)]
        figure.update_yaxes(
            type="linear", rangemode="tozero", tickmode="array", tickvals=ticks, ticktext=[param_text(t) for t in ticks]
        )


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
