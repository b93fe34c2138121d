"""Traces of Plotly's figures as matplotlib's artists: scatter, bar, heat map and contours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from sweeper.report.drawing.axes import Scale, percent_tick
from sweeper.report.drawing.style import (
    COLOUR_CYCLE,
    INK,
    POINTS,
    NotDrawableError,
    colour_of,
    colour_scale,
    dash_of,
    words,
)

__all__ = ["TRACES", "draw_trace"]

_MARKERS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "triangle-down": "v",
    "cross": "P",
    "x": "X",
    "star": "*",
}
_STEPS = {"hv": "steps-post", "vh": "steps-pre", "hvh": "steps-mid"}
_N_VECTORS = 2000
"""With more points or cells than this, they are a picture within the figure: as lines they would fill megabytes."""


def _each(value: Any, n: int) -> list[Any]:
    """A setting for each of `n` points, whether it was given once or for each."""
    return list(value) if isinstance(value, list | tuple | np.ndarray) else [value] * n


def _colour(given: Any, index: int) -> str:
    return COLOUR_CYCLE[index % len(COLOUR_CYCLE)] if given is None else given


def _shape(symbol: Any, colour: Any) -> dict[str, Any]:
    """Marker and colours of Plotly's symbol, of which `-open` ones are hollow."""
    name = str(symbol or "circle")
    base = name.removesuffix("-open")
    if base not in _MARKERS:
        raise NotDrawableError(f"matplotlib has no marker {name!r}")
    hollow = name.endswith("-open")
    return {
        "marker": _MARKERS[base],
        "markerfacecolor": "none" if hollow else colour,
        "markeredgecolor": colour if hollow else "none",
        "markeredgewidth": 1.1 if hollow else 0.0,
    }


def _markers(
    axes: Axes, trace: Any, xs: Sequence[float], ys: Sequence[float], colour: str, options: dict[str, Any]
) -> None:
    marker = trace.marker
    n = len(xs)
    opacity = marker.opacity if isinstance(marker.opacity, int | float) else trace.opacity
    settings = list(zip(_each(marker.symbol, n), _each(marker.size, n), _each(marker.color, n), strict=True))
    if any(not isinstance(c, str) and c is not None for _, _, c in settings):
        raise NotDrawableError("it has markers coloured by a number")
    order = sorted(range(n), key=lambda i: tuple(map(str, settings[i])))
    for (symbol, size, own), places in groupby(order, key=lambda i: settings[i]):
        chosen = list(places)
        rgba = colour_of(own or colour, opacity)
        axes.plot(
            [xs[i] for i in chosen],
            [ys[i] for i in chosen],
            linestyle="none",
            markersize=POINTS * (size or 6),
            rasterized=n > _N_VECTORS,
            **_shape(symbol, rgba),
            **options,
        )


def _texts(axes: Axes, trace: Any, xs: Sequence[float], ys: Sequence[float]) -> None:
    """Text beside points. Plotly says where it stands from the point, matplotlib which of its sides is there."""
    size = POINTS * (trace.textfont.size or 12)
    opposite = {
        "top": "bottom",
        "middle": "center",
        "bottom": "top",
        "left": "right",
        "center": "center",
        "right": "left",
    }
    n = len(xs)
    for x, y, text, where in zip(xs, ys, _each(trace.text, n), _each(trace.textposition, n), strict=True):
        vertical, horizontal = (where or "middle center").split()
        if text:
            axes.text(x, y, words(text), fontsize=size, va=opposite[vertical], ha=opposite[horizontal], color=INK)


def _error_bars(axes: Axes, trace: Any, xs: Sequence[float], ys: Sequence[float], colour: str) -> None:
    for which in ("x", "y"):
        bars = trace[f"error_{which}"]
        if bars is None or bars.array is None or bars.visible is False:
            continue
        above = [0.0 if v is None else float(v) for v in bars.array]
        below = above if bars.arrayminus is None else [0.0 if v is None else float(v) for v in bars.arrayminus]
        axes.errorbar(
            xs,
            ys,
            xerr=[below, above] if which == "x" else None,
            yerr=[below, above] if which == "y" else None,
            fmt="none",
            ecolor=colour_of(bars.color or colour),
            elinewidth=POINTS * (bars.thickness or 2),
            capsize=POINTS * (4 if bars.width is None else bars.width),
            capthick=POINTS * (bars.thickness or 2),
        )


def _draw_scatter(axes: Axes, trace: Any, index: int, x: Scale, y: Scale, n_bars: int) -> Artist | None:
    xs = x.places(trace.x if trace.x is not None else range(len(trace.y)))
    ys = y.places(trace.y)
    mode = trace.mode or ("lines+markers" if len(xs) < 20 else "lines")
    if trace.fill not in (None, "none", "toself"):
        raise NotDrawableError(f"it has an area filled {trace.fill!r}")
    colour = _colour(trace.line.color or (trace.marker.color if isinstance(trace.marker.color, str) else None), index)
    if trace.fill == "toself":
        face = colour_of(trace.fillcolor or colour, trace.opacity if trace.fillcolor else 0.5 * (trace.opacity or 1.0))
        axes.fill(xs, ys, facecolor=face, edgecolor="none")
        return Patch(facecolor=face)
    options: dict[str, Any] = {}
    if trace.cliponaxis is False:
        options["clip_on"] = False
    if trace.yaxis == "y2":
        # A second axis without ticks: its places are shares of the height.
        options["transform"] = axes.get_xaxis_transform()
    key: dict[str, Any] = {"linestyle": "none"}
    if "lines" in mode:
        key = {
            "color": colour_of(colour, trace.opacity),
            "linestyle": dash_of(trace.line.dash),
            "linewidth": POINTS * (2 if trace.line.width is None else trace.line.width),
        }
        axes.plot(xs, ys, drawstyle=_STEPS.get(trace.line.shape or "linear", "default"), **key, **options)
    if "markers" in mode:
        _markers(axes, trace, xs, ys, colour, options)
        symbol, size, own = (_each(trace.marker[name], 1)[0] for name in ("symbol", "size", "color"))
        key |= _shape(symbol, colour_of(own or colour)) | {"markersize": min(POINTS * (size or 6), 7)}
    _error_bars(axes, trace, xs, ys, colour)
    if "text" in mode:
        _texts(axes, trace, xs, ys)
    return Line2D([], [], **key)


def _draw_bar(axes: Axes, trace: Any, index: int, x: Scale, y: Scale, n_bars: int) -> Artist | None:
    sideways = trace.orientation == "h"
    along, across = (y, x) if sideways else (x, y)
    places = np.asarray(along.places(trace.y if sideways else trace.x))
    lengths = across.places(trace.x if sideways else trace.y)
    gaps = np.diff(np.unique(places[np.isfinite(places)]))
    width = 0.8 * (float(gaps.min()) if len(gaps) else 1.0) / n_bars
    middles = places + (index - (n_bars - 1) / 2) * width
    colours = [colour_of(_colour(c, index), trace.opacity) for c in _each(trace.marker.color, len(places))]
    draw: Callable[..., Any] = axes.barh if sideways else axes.bar
    draw(middles, lengths, width, color=colours)
    return Patch(facecolor=colours[0]) if colours else None


def _edges(middles: Sequence[float]) -> list[float]:
    """Where cells with these middles begin and end: half-way between them."""
    if len(middles) == 1:
        return [middles[0] - 0.5, middles[0] + 0.5]
    between = [(a + b) / 2 for a, b in pairwise(middles)]
    return [2 * middles[0] - between[0], *between, 2 * middles[-1] - between[-1]]


def _draw_heatmap(axes: Axes, trace: Any, index: int, x: Scale, y: Scale, n_bars: int) -> Artist | None:
    z = np.array([[math.nan if v is None else float(v) for v in line] for line in trace.z])
    xs = x.places(trace.x) if trace.x is not None else list(range(z.shape[1]))
    ys = y.places(trace.y) if trace.y is not None else list(range(z.shape[0]))
    shared = trace.figure.layout.coloraxis if trace.coloraxis else None
    low, high = (shared.cmin, shared.cmax) if shared is not None else (trace.zmin, trace.zmax)
    stops = None if shared is not None and shared.colorscale is None else (shared or trace).colorscale
    cells = axes.pcolormesh(
        _edges(xs),
        _edges(ys),
        np.ma.masked_invalid(z),
        cmap=colour_scale(stops),
        vmin=low,
        vmax=high,
        edgecolors="white" if z.size <= _N_VECTORS else "none",
        linewidth=0.6 if z.size <= _N_VECTORS else 0,
        rasterized=z.size > _N_VECTORS,
    )
    _draw_scale(axes, cells, shared)
    if trace.texttemplate and trace.text is not None:
        size = min(8.5, max(4.0, 110 / max(z.shape)))
        for i, line in enumerate(trace.text):
            for j, text in enumerate(line):
                axes.text(xs[j], ys[i], words(text), ha="center", va="center", fontsize=size, color=INK)
    return None


def _draw_scale(axes: Axes, mappable: ScalarMappable, shared: Any) -> None:
    """What the colours stand for, beside the axes, where the page shows it too."""
    if shared is None or shared.showscale is False:
        return
    canvas = axes.get_figure(root=True)
    assert canvas is not None
    bar = canvas.colorbar(mappable, ax=axes, fraction=0.05, pad=0.02, aspect=30)
    bar.outline.set_visible(False)
    if (shared.colorbar.tickformat or "").endswith("%"):
        bar.ax.yaxis.set_major_formatter(FuncFormatter(percent_tick))


def _draw_contour(axes: Axes, trace: Any, index: int, x: Scale, y: Scale, n_bars: int) -> Artist | None:
    z = np.ma.masked_invalid([[math.nan if v is None else float(v) for v in line] for line in trace.z])
    xs, ys = x.places(trace.x), y.places(trace.y)
    shared = trace.figure.layout.coloraxis if trace.coloraxis else None
    low, high = (shared.cmin, shared.cmax) if shared is not None else (trace.zmin, trace.zmax)
    stops = None if shared is not None and shared.colorscale is None else (shared or trace).colorscale
    levels = trace.ncontours or 12
    filled = axes.contourf(xs, ys, z, levels, cmap=colour_scale(stops), vmin=low, vmax=high)
    axes.contour(xs, ys, z, filled.levels, colors=INK, linewidths=POINTS * (trace.line.width or 0.5))
    _draw_scale(axes, filled, shared)
    return None


TRACES: dict[str, Callable[[Axes, Any, int, Scale, Scale, int], Artist | None]] = {
    "scatter": _draw_scatter,
    "scattergl": _draw_scatter,
    "bar": _draw_bar,
    "heatmap": _draw_heatmap,
    "contour": _draw_contour,
}
"""How each type of trace is drawn."""


def draw_trace(axes: Axes, trace: Any, index: int, x: Scale, y: Scale, n_bars: int) -> Artist | None:
    """Draw one trace, and return what stands for it in the legend; None for nothing.

    Args:
        axes: Where it is drawn.
        trace: A trace of a Plotly figure, of a type in `TRACES`.
        index: Its place among the traces, which chooses its colour where it has none; of bars, among these.
        x: The horizontal axis.
        y: The vertical axis.
        n_bars: Traces of bars that stand side by side.

    Raises:
        NotDrawableError: It has a part that only the page can show.
    """
    return TRACES[trace.type](axes, trace, index, x, y, n_bars)
