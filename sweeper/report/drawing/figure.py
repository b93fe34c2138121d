"""One figure of a report as an SVG or a PDF file."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas

from sweeper.report.blocks import Figure
from sweeper.report.drawing.axes import Scale, finish_axis
from sweeper.report.drawing.style import POINTS, colour_of, dash_of, drawing_style, words
from sweeper.report.drawing.traces import NotDrawableError, draw_trace

__all__ = ["DrawnFigure", "draw_figure"]

WIDTH_INCHES = 5.6
NARROW_INCHES = 3.05
"""Two of these stand side by side on a page of A4 or letter."""
_PIXELS_PER_INCH = 96
_CHARACTER_INCHES = 0.072
"""Mean width of a character in the legend."""
_HANDLE_INCHES = 0.55

FileFormat = Literal["svg", "pdf"]


class DrawnFigure:
    """A figure on matplotlib's canvas, to be written in one format or several."""

    def __init__(self, figure: Figure, *, narrow: bool = False) -> None:
        """Draw it.

        Raises:
            NotDrawableError: It has a part that only the page can show.
        """
        self.title = figure.title
        with drawing_style():
            self._canvas = _draw(figure, NARROW_INCHES if narrow else WIDTH_INCHES)
            # Laid out once for all formats: that takes half of the time.
            self._canvas.draw_without_rendering()
            self._canvas.set_layout_engine("none")

    def to_bytes(self, file_format: FileFormat) -> bytes:
        """The file. The same figure gives the same bytes."""
        file = io.BytesIO()
        canvas = FigureCanvasSVG(self._canvas) if file_format == "svg" else FigureCanvasPdf(self._canvas)
        write = canvas.print_svg if isinstance(canvas, FigureCanvasSVG) else canvas.print_pdf
        # No date, and no version of matplotlib in what is compared between machines.
        dates: dict[str, Any] = {"Date": None} if file_format == "svg" else {"CreationDate": None, "Producer": None}
        with drawing_style(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
            write(file, metadata={"Title": self.title, "Creator": None, **dates})
        return file.getvalue()


def draw_figure(figure: Figure, formats: Sequence[FileFormat], *, narrow: bool = False) -> dict[FileFormat, bytes]:
    """A figure as files, by their format; empty where it has a part that only the page can show.

    Args:
        figure: A figure of scatter, bar and heat-map traces on one pair of axes.
        formats: Which files.
        narrow: Half as wide as a page, to stand beside another one; else nearly as wide.
    """
    try:
        drawn = DrawnFigure(figure, narrow=narrow)
    except NotDrawableError as error:
        logging.getLogger(__name__).info("%s is in the page alone: matplotlib draws no %s", figure.key, error)
        return {}
    return {file_format: drawn.to_bytes(file_format) for file_format in formats}


def _values(traces: Sequence[Any], which: str) -> list[Any]:
    return [v for trace in traces if trace.yaxis in (None, "y") and trace[which] is not None for v in trace[which]]


def _draw(figure: Figure, width: float) -> Canvas:
    plotly = figure.figure
    _check(plotly)
    canvas = Canvas(figsize=(width, figure.height / _PIXELS_PER_INCH), layout="constrained")
    axes = canvas.add_subplot()
    x, y = (Scale(which, plotly.layout[f"{which}axis"], _values(plotly.data, which)) for which in ("x", "y"))
    axes.set_xscale("log" if x.is_log else "linear")
    axes.set_yscale("log" if y.is_log else "linear")
    n_bars = sum(trace.type == "bar" for trace in plotly.data)
    entries: list[tuple[Artist, str]] = []
    for index, trace in enumerate(plotly.data):
        key = draw_trace(axes, trace, index, x, y, n_bars)
        if key is not None and trace.showlegend is not False and trace.name:
            entries.append((key, words(trace.name)))
    _draw_lines(axes, plotly.layout.shapes)
    for scale in (x, y):
        finish_axis(axes, scale)
    if plotly.layout.showlegend and entries:
        _draw_legend(canvas, entries, words(plotly.layout.legend.title.text).strip(), width)
    return canvas


def _check(plotly: Any) -> None:
    if plotly.layout.annotations:
        raise NotDrawableError("annotations")
    axes = {(trace.xaxis if "xaxis" in trace else None) or "x" for trace in plotly.data}
    if axes - {"x"} or any(trace.yaxis not in (None, "y", "y2") for trace in plotly.data if "yaxis" in trace):
        raise NotDrawableError("several pairs of axes")
    if plotly.layout.barmode not in (None, "group") and any(trace.type == "bar" for trace in plotly.data):
        raise NotDrawableError(f"bars in the mode {plotly.layout.barmode!r}")


def _draw_lines(axes: Axes, shapes: Sequence[Any]) -> None:
    """Lines across the figure, as `add_hline` and `add_vline` make them."""
    for shape in shapes:
        if shape.type != "line" or not (shape.x0 == shape.x1 or shape.y0 == shape.y1):
            raise NotDrawableError(f"a shape of type {shape.type!r}")
        style = {
            "color": colour_of(shape.line.color or "#8A8F98", shape.opacity),
            "linestyle": dash_of(shape.line.dash),
            "linewidth": POINTS * (shape.line.width or 2),
        }
        if shape.x0 == shape.x1:
            axes.axvline(shape.x0, **style)
        else:
            axes.axhline(shape.y0, **style)


def _draw_legend(canvas: Canvas, entries: Sequence[tuple[Artist, str]], title: str, width: float) -> None:
    """Above the axes, in as many columns as fit."""
    column = _HANDLE_INCHES + _CHARACTER_INCHES * max(len(text) for _, text in entries)
    canvas.legend(
        [key for key, _ in entries],
        [text for _, text in entries],
        loc="outside upper left",
        ncols=max(1, min(len(entries), int(width / column))),
        title=title or None,
        alignment="left",
    )
