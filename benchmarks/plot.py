"""Plots of what was measured, as SVG files: seconds of each way of doing the same work, and loads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.results import Result, Row, quantity

if TYPE_CHECKING:
    from benchmarks.load import Case

__all__ = ["write_plot", "write_scaling_plot"]

OURS, THEIRS, INK = "#2b6cb0", "#a0aec0", "#2d3748"
PLACES = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b7791f")
ROW_INCHES, PANEL_INCHES, WIDTH_INCHES = 0.26, 0.5, 8.0


def write_plot(results: Sequence[Result], path: Path) -> None:
    """Draw a panel of bars for each result that compares times; the same bytes each time."""
    panels = [(result.title, rows) for result in results if (rows := _times(result))]
    if not panels:
        path.unlink(missing_ok=True)
        return
    heights = [len(rows) * ROW_INCHES + PANEL_INCHES for _, rows in panels]
    with _style():
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
        _write(figure, path)


def write_scaling_plot(cases: Sequence[Case], path: Path) -> None:
    """Draw what each place answered of the reports that were wanted, and how long they waited; the same bytes each
    time."""
    places = list(dict.fromkeys(case.place for case in cases))
    with _style():
        figure = Figure(figsize=(WIDTH_INCHES, 3.4), layout="constrained", facecolor="white")
        answered, waits = figure.subplots(1, 2)
        for place, colour, marker in zip(places, PLACES, "osD^v", strict=False):
            own = sorted((case for case in cases if case.place == place), key=lambda case: case.wanted)
            wanted = [case.wanted for case in own]
            line = {"color": colour, "marker": marker, "markersize": 4}
            answered.plot(wanted, [case.reports_per_second for case in own], label=place, **line)
            waits.plot(wanted, [1000 * case.wait_p99_s for case in own], **line)
            waits.plot(wanted, [1000 * case.wait_median_s for case in own], linestyle=":", **line)
        ends = [min(case.wanted for case in cases), max(case.wanted for case in cases)]
        answered.plot(ends, ends, color=THEIRS, linewidth=0.8, zorder=0)
        answered.set_ylabel("reports answered a second")
        waits.set_ylabel("a report waits (ms)\n99th percentile; dotted: median")
        for ax, base in ((answered, 2), (waits, 10)):
            ax.set_xscale("log", base=2)
            ax.set_yscale("log", base=base)
            ax.set_xlabel("reports wanted a second")
            ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
            ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
            ax.grid(color="#e2e8f0", linewidth=0.6)
            ax.spines[["top", "right"]].set_visible(False)
        answered.legend(frameon=False, fontsize=8)
        _write(figure, path)


@contextmanager
def _style() -> Iterator[None]:
    style = {"svg.hashsalt": "sweeper", "svg.fonttype": "none", "font.family": "sans-serif", "text.color": INK}
    with mpl.rc_context({**style, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK}):
        yield


def _write(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})


def _times(result: Result) -> list[Row]:
    """Of a result that compares sweeper with something else: what is a time."""
    rows = [row for row in result.rows if row.unit == "s" and row.median > 0]
    return rows if 0 < sum("sweeper" in row.name for row in rows) < len(rows) else []
