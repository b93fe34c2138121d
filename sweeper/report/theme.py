"""Colours and layout of all figures, for light and for dark pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import plotly.graph_objects as go

from sweeper.report.direction import runs_right_to_left, without_controls
from sweeper.report.format import as_float

__all__ = [
    "MUTED",
    "PART_COLOURS",
    "PART_LABELS",
    "TEST_COLOUR",
    "THEMES",
    "blank_figure",
    "epoch_figure",
    "in_lines",
    "ordered_colour",
    "plain",
    "plotted",
    "series_style",
    "show_points",
    "whole_ticks",
]

# After Okabe and Ito (2008), without their light colours: each has a contrast of at least 3:1 on the white and on the
# dark page (WCAG 1.4.11). Beyond six series, dashes tell them apart.
_COLOURS = ("#1F7FC4", "#D55E00", "#009E73", "#C46A9B", "#A87900", "#7F7F7F")
_DASHES: tuple[Literal["solid", "dash", "dot", "dashdot"], ...] = ("solid", "dash", "dot", "dashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")

PART_COLOURS = {"train": "#D55E00", "val": "#1F7FC4"}
TEST_COLOUR = "#009E73"
PART_LABELS = {"train": "training", "val": "validation", "test": "test"}
MUTED = "#8A8F98"
_N_TITLE = 24
_N_WHOLE_TICKS = 8

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', Arial, sans-serif"


def _theme(*, ink: str, quiet: str, grid: str, paper: str, scale: list[str]) -> dict[str, Any]:
    axis = {
        "gridcolor": grid,
        "linecolor": quiet,
        "zeroline": False,
        "automargin": True,
        "ticks": "outside",
        "tickcolor": quiet,
        "ticklen": 4,
        "showline": True,
        "title": {"standoff": 8},
    }
    return {
        "layout": {
            "font": {"family": _FONT, "size": 12, "color": ink},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": list(_COLOURS),
            "coloraxis": {"colorscale": [[0.0, scale[0]], [0.5, scale[1]], [1.0, scale[2]]]},
            "hoverlabel": {"bgcolor": paper, "bordercolor": quiet, "font": {"color": ink, "family": _FONT}},
            "xaxis": axis,
            # Only beside it: where the label of the highest tick moves the top too, that tick and the space that the
            # axis leaves above its points can push each other for ever ("Too many auto-margin redraws").
            "yaxis": {**axis, "automargin": "width"},
            "legend": {"bgcolor": "rgba(0,0,0,0)"},
        },
        "data": {"heatmap": [{"textfont": {"color": ink}}]},
    }


THEMES: dict[str, dict[str, Any]] = {
    "light": _theme(
        ink="#1f2328", quiet="#8c959f", grid="#e4e7eb", paper="#ffffff", scale=["#ffffff", "#9ccbee", "#4b9bd8"]
    ),
    "dark": _theme(
        ink="#e6e8eb", quiet="#6e7681", grid="#2c323a", paper="#1c2128", scale=["#171b21", "#1d4566", "#24649c"]
    ),
}
"""Plotly templates. Figures carry none of their own; the page sets the one that fits."""


def blank_figure(*, x: str, y: str, percent_y: bool = False, legend: bool = False) -> go.Figure:
    """A figure with axis titles; a legend stands above the plot, never on the curves."""
    figure = go.Figure()
    figure.update_layout(
        template="none",
        margin={"l": 8, "r": 18, "t": 8, "b": 8},
        showlegend=legend,
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        xaxis={"title": {"text": plain(x)}},
        yaxis={"title": {"text": in_lines(plain(y))}},
        hovermode="closest",
    )
    if x == "epoch":
        figure.update_xaxes(tickformat=",d")
    if percent_y:
        figure.update_yaxes(tickformat=".2~%")
    return figure


def epoch_figure(epochs: Iterable[int], *, y: str, percent_y: bool = False, legend: bool = False) -> go.Figure:
    """A figure against epoch, of which `epochs` are drawn."""
    figure = blank_figure(x="epoch", y=y, percent_y=percent_y, legend=legend)
    whole_ticks(figure, epochs)
    return figure


def whole_ticks(figure: go.Figure, xs: Iterable[int]) -> None:
    """A tick at each whole number of a short axis: Plotly would write halves too, rounded to whole numbers."""
    xs = list(xs)
    if xs and max(xs) - min(xs) < _N_WHOLE_TICKS:
        figure.update_xaxes(dtick=1)


def show_points(figure: go.Figure) -> None:
    """Have a vertical axis of differences of shares, drawn as percentages, say percentage points: 0.05 is 5."""
    # Crosses of trials that diverged stand at the upper edge, on an axis of their own.
    for trace in (trace for trace in figure.data if trace.yaxis in (None, "y")):
        trace.y = [None if y is None else 100.0 * y for y in trace.y]
        for bars in ("array", "arrayminus"):
            if trace.error_y[bars] is not None:
                trace.error_y[bars] = [100.0 * length for length in trace.error_y[bars]]
        if trace.hovertemplate:
            trace.hovertemplate = trace.hovertemplate.replace("%{y:.2~%}", "%{y:.3~g} points")
    figure.update_yaxes(tickformat=None, title={"text": "difference (points)"})


def in_lines(title: str) -> str:
    """A title of at most two lines: a long one would be cut off beside a low figure."""
    if len(title) <= _N_TITLE or " " not in title:
        return title
    middle = min((i for i, c in enumerate(title) if c == " "), key=lambda i: abs(i - len(title) / 2))
    return f"{title[:middle]}<br>{title[middle + 1 :]}"


def series_style(index: int) -> tuple[str, str, str]:
    """Colour, dash and marker symbol of the series with this index: fixed, so that a class looks alike everywhere."""
    n = len(_COLOURS)
    return _COLOURS[index % n], _DASHES[index // n % len(_DASHES)], _SYMBOLS[index % len(_SYMBOLS)]


def plain(text: str) -> str:
    """Text for Plotly, which reads tags and entities in it: these are escaped, and other directions isolated."""
    escaped = without_controls(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # SVG text has no <bdi>; first-strong isolates (U+2068, U+2069) do the same.
    return f"\u2068{escaped}\u2069" if runs_right_to_left(text) else escaped


def plotted(values: Iterable[Any]) -> list[float | None]:
    """Numbers for Plotly: what is missing or not finite as None, which leaves a gap."""
    return [as_float(getattr(v, "item", lambda v=v: v)()) for v in values]


def ordered_colour(index: int, n: int) -> str:
    """Colour of one of `n` series with an order, such as learning rates from low to high: blue over green to red.

    Between the colours of single series, which stand out from both pages, it is mixed from its two neighbours.
    """
    stops = (_COLOURS[0], _COLOURS[2], _COLOURS[4], _COLOURS[1])
    place = 0.0 if n < 2 else index / (n - 1) * (len(stops) - 1)
    low = min(int(place), len(stops) - 2)
    share = place - low
    ends = [[int(stops[low + k][i : i + 2], 16) for i in (1, 3, 5)] for k in (0, 1)]
    return "#" + "".join(f"{round((1 - share) * a + share * b):02X}" for a, b in zip(*ends, strict=True))
