"""Seconds of each way of doing the same work, as one SVG file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from benchmarks.results import Result, Row, quantity

__all__ = ["write_plot"]

OURS, THEIRS, INK = "#2b6cb0", "#a0aec0", "#2d3748"
ROW_INCHES, PANEL_INCHES, WIDTH_INCHES = 0.26, 0.5, 8.0


def write_plot(results: Sequence[Result], path: Path) -> None:
    """Draw a panel of bars for each result that compares times; the same bytes each time."""
    panels = [(result.title, rows) for result in results if (rows := _times(result))]
    if not panels:
        path.unlink(missing_ok=True)
        return
    heights = [len(rows) * ROW_INCHES + PANEL_INCHES for _, rows in panels]
    style = {"svg.hashsalt": "sweeper", "svg.fonttype": "none", "font.family": "sans-serif", "text.color": INK}
    with mpl.rc_context({**style, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK}):
        figure = Figure(figsize=(WIDTH_INCHES, sum(heights)), layout="constrained", facecolor="white")
        axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for ax, (title, rows) in zip(axes, panels, strict=True):
            places = range(len(rows))
            colors = [OURS if "sweeper" in row.name else THEIRS for row in rows]
            bars = ax.barh(places, [row.median for row in rows], color=colors, height=0.7)
            ax.bar_label(bars, [quantity(row.median, row.unit) for row in rows], padding=3, fontsize=8)
            ax.set_yticks(places, [row.name for row in rows], fontsize=8)
            ax.invert_yaxis()
            ax.set_xlim(0, 1.15 * max(row.median for row in rows))
            ax.xaxis.set_visible(False)  # each bar says its value
            ax.set_title(title, fontsize=9, loc="left")
            ax.spines[["top", "right", "bottom"]].set_visible(False)
        path.parent.mkdir(parents=True, exist_ok=True)
        FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})


def _times(result: Result) -> list[Row]:
    """Of a result that compares sweeper with something else: what is a time."""
    rows = [row for row in result.rows if row.unit == "s" and row.median > 0]
    return rows if 0 < sum("sweeper" in row.name for row in rows) < len(rows) else []
