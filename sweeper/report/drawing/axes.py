"""Axes of Plotly's figures as matplotlib's: categories, logarithms, ranges, ticks."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator, NullLocator

from sweeper.report.axes import log_ticks
from sweeper.report.drawing.style import words
from sweeper.report.format import param_text

__all__ = ["Scale", "finish_axis", "percent_tick"]


_N_FLAT = 66
"""Characters of all labels together that stand beside each other below an axis."""
_N_BROKEN = 6
"""No more categories than this have labels of several lines."""
_N_CUT = 28
"""Longer labels are cut; they are whole in the figure's data."""


class Scale:
    """One axis of a Plotly figure: where each of its values stands."""

    def __init__(self, which: Literal["x", "y"], layout: Any, values: Iterable[Any]) -> None:
        """`layout` is the axis in the figure's layout; `values` are those of all traces on it, in their order."""
        self.which = which
        self.layout = layout
        known = [value for value in values if value is not None]
        self.categories: list[str] | None = None
        if layout.type == "category" or (layout.type is None and any(isinstance(value, str) for value in known)):
            given = [str(c) for c in layout.categoryarray] if layout.categoryarray is not None else []
            self.categories = list(dict.fromkeys([*given, *map(str, known)]))
        self.is_log = layout.type == "log"

    def places(self, values: Iterable[Any]) -> list[float]:
        """Numbers to draw at; NaN for what is missing."""
        if self.categories is not None:
            index = {category: i for i, category in enumerate(self.categories)}
            return [math.nan if value is None else float(index[str(value)]) for value in values]
        return [math.nan if value is None else float(value) for value in values]


def percent_tick(value: float, _: int) -> str:
    """A fraction in percent, with no more decimals than it needs; as matplotlib's formatters are called."""
    return f"{100 * value:.2f}".rstrip("0").rstrip(".").replace("-0", "0" if abs(value) < 5e-5 else "-0") + "%"


def _format(axis: Axis, layout: Any) -> None:
    if layout.tickformat is not None and layout.tickformat.endswith("%"):
        axis.set_major_formatter(FuncFormatter(percent_tick))
    elif layout.tickformat is not None and layout.tickformat.endswith("d"):
        axis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if layout.dtick == 1:
        axis.set_major_locator(MultipleLocator(1))


def _set_ticks(axis: Axis, places: Sequence[float], texts: Sequence[str], limits: tuple[float, float]) -> None:
    """Ticks within the limits: one beyond them would move these."""
    low, high = sorted(limits)
    slack = 1e-9 * (high - low)
    shown = [(p, t) for p, t in zip(places, texts, strict=True) if low - slack <= p <= high + slack]
    axis.set_ticks([p for p, _ in shown], [t for _, t in shown])


def _limits(axes: Axes, scale: Scale) -> tuple[float, float]:
    """What is shown: the layout's range, of which Plotly holds the logarithm where the axis is logarithmic."""
    get, put = (axes.get_xlim, axes.set_xlim) if scale.which == "x" else (axes.get_ylim, axes.set_ylim)
    low, high = get()
    given = scale.layout.range
    if given is not None:
        low, high = (10.0**v if scale.is_log else float(v) for v in given)
    elif scale.categories is not None:
        low, high = -0.5, len(scale.categories) - 0.5
    elif (scale.layout.tickformat or "").endswith("d"):
        # Epochs begin with the first: a margin that reaches to 0 would show one that never was.
        low, high = (v + 0.03 * sign * (high - low) for v, sign in zip(axes.dataLim.intervalx, (-1, 1), strict=True))
    if scale.layout.autorange == "reversed" and low < high:
        low, high = high, low
    put(low, high)
    return low, high


def finish_axis(axes: Axes, scale: Scale) -> None:
    """Scale, limits, ticks and title of an axis, after the traces were drawn."""
    layout, axis = scale.layout, axes.xaxis if scale.which == "x" else axes.yaxis
    limits = _limits(axes, scale)
    if layout.visible is False:
        axis.set_visible(False)
        axes.spines[["top", "bottom"] if scale.which == "x" else ["left", "right"]].set_visible(False)
        return
    if layout.tickvals is not None:
        texts = layout.ticktext if layout.ticktext is not None else [param_text(v) for v in layout.tickvals]
        _set_ticks(axis, scale.places(layout.tickvals), _shortened(scale, [words(text) for text in texts]), limits)
    elif scale.categories is not None:
        names = [words(category) for category in scale.categories]
        _set_ticks(axis, list(range(len(names))), _shortened(scale, names), limits)
    elif scale.is_log:
        ticks = log_ticks(*sorted(limits))
        _set_ticks(axis, ticks, [param_text(tick) for tick in ticks], limits)
    else:
        _format(axis, layout)
    axis.set_minor_locator(NullLocator())
    axis.set_label_text(words(layout.title.text))
    if layout.showgrid is False or scale.categories is not None:
        axis.grid(visible=False)
    if layout.ticks == "":
        axis.set_tick_params(length=0)
    if layout.showline is False:
        axes.spines[["top", "bottom"] if scale.which == "x" else ["left", "right"]].set_visible(False)
    if layout.side == "top":
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
    _turn_labels(axes, scale)


def _shortened(scale: Scale, names: Sequence[str]) -> list[str]:
    """Labels such that they leave room for the plot: few below an axis in lines, else cut."""
    if _is_flat(scale, len(names)):
        return ["\n".join(textwrap.wrap(name, _N_FLAT // len(names), max_lines=6, placeholder=" …")) for name in names]
    return [name if len(name) <= _N_CUT else f"{name[: _N_CUT - 1]}…" for name in names]


def _is_flat(scale: Scale, n: int) -> bool:
    return scale.which == "x" and 0 < n <= _N_BROKEN


def _turn_labels(axes: Axes, scale: Scale) -> None:
    """Labels at the layout's angle, else slanted where they would run into each other."""
    if scale.which != "x":
        return
    angle, on_top = -(scale.layout.tickangle or 0), scale.layout.side == "top"
    labels = [label.get_text() for label in axes.get_xticklabels()]
    is_crowded = not _is_flat(scale, len(labels)) and sum(map(len, labels)) > _N_FLAT
    # Numbers at equal steps are matplotlib's own, which stand apart.
    is_named = scale.categories is not None or scale.layout.tickvals is not None
    if scale.layout.tickangle is None and is_named and is_crowded:
        angle = 30
    if not angle:
        return
    upright = np.isclose(abs(angle) % 180, 90)
    for label in axes.get_xticklabels():
        label.set_rotation(angle)
        label.set_rotation_mode("anchor")
        label.set_horizontalalignment("left" if on_top else "right")
        label.set_verticalalignment("center" if upright else "baseline" if on_top else "top")
