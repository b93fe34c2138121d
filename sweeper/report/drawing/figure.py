"""One figure of a report as an SVG or a PDF file."""

from __future__ import annotations

import io
import logging
import math
import textwrap
from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from sweeper.report.blocks import Figure
from sweeper.report.drawing.axes import Scale, finish_axis
from sweeper.report.drawing.style import POINTS, NotDrawableError, colour_of, dash_of, drawing_style, words
from sweeper.report.drawing.traces import TRACES, draw_trace

__all__ = ["draw_figure"]

WIDTH_INCHES = 5.6
NARROW_INCHES = 3.05
"""Two of these stand side by side on a page of A4 or letter."""
_PIXELS_PER_INCH = 96
_CHARACTER_INCHES = 0.072
"""Mean width of a character in the legend."""
_HANDLE_INCHES = 0.55
_LINE_INCHES = 0.165
"""A line of the legend."""

FileFormat = Literal["svg", "pdf"]


def draw_figure(figure: Figure, formats: Sequence[FileFormat], *, narrow: bool = False) -> dict[FileFormat, bytes]:
    """A figure as files, by their format. The same figure gives the same bytes.

    Empty where it has a part that only the page can show, such as a trace in three dimensions.

    Args:
        figure: A figure of scatter, bar and heat-map traces on one pair of axes.
        formats: Which files.
        narrow: Half as wide as a page, to stand beside another one; else nearly as wide.
    """
    with drawing_style():
        try:
            canvas = _draw(figure, NARROW_INCHES if narrow else WIDTH_INCHES)
        except (NotDrawableError, TypeError, ValueError) as error:
            # Figures of other packages may hold anything that Plotly takes.
            logging.getLogger(__name__).warning("figure %r is in the page alone, not in a file: %s", figure.key, error)
            return {}
        # Laid out once for all formats, and without drawing: that takes half of the time.
        engine = canvas.get_layout_engine()
        assert engine is not None
        engine.execute(canvas)
        canvas.set_layout_engine(None)  # with "none" a placeholder stays, for which each file is drawn twice
        return {file_format: _write(canvas, file_format, figure.title) for file_format in formats}


def _write(canvas: Canvas, file_format: FileFormat, title: str) -> bytes:
    """The file, without its date and without the version of matplotlib."""
    file = io.BytesIO()
    dates = {"Date": None} if file_format == "svg" else {"CreationDate": None, "Producer": None}
    canvas.savefig(file, format=file_format, metadata={"Title": title, "Creator": None, **dates})
    return file.getvalue()


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
    entries: list[tuple[float, Artist, str]] = []
    for index, trace in enumerate(plotly.data):
        key = draw_trace(axes, trace, index, x, y, n_bars)
        if key is not None and trace.showlegend is not False and trace.name:
            entries.append((trace.legendrank or 1000, key, words(trace.name)))
    _draw_lines(axes, plotly.layout.shapes)
    for scale in (x, y):
        finish_axis(axes, scale)
    if plotly.layout.showlegend and entries:
        entries.sort(key=lambda entry: entry[0])
        _draw_legend(
            canvas, [(key, text) for _, key, text in entries], words(plotly.layout.legend.title.text).strip(), width
        )
    return canvas


def _check(plotly: Any) -> None:
    """That it has nothing which would be left out without a word.

    Raises:
        NotDrawableError: It has.
    """
    for trace in plotly.data:
        if trace.type not in TRACES:
            raise NotDrawableError(f"it has a trace of type {trace.type!r}")
        if trace.xaxis not in (None, "x") or trace.yaxis not in (None, "y", "y2"):
            raise NotDrawableError("it has several pairs of axes")
    if plotly.layout.annotations:
        raise NotDrawableError("it has annotations")
    if plotly.layout.barmode not in (None, "group") and any(trace.type == "bar" for trace in plotly.data):
        raise NotDrawableError(f"it has bars in the mode {plotly.layout.barmode!r}")


def _draw_lines(axes: Axes, shapes: Sequence[Any]) -> None:
    """Lines across the figure, as `add_hline` and `add_vline` make them."""
    for shape in shapes:
        if shape.type != "line" or not (shape.x0 == shape.x1 or shape.y0 == shape.y1):
            raise NotDrawableError(f"it has a shape of type {shape.type!r}")
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
    """Above the axes, in as many columns as fit. The canvas grows with a legend of more than two lines: axes that are
    pressed to nothing could not be laid out at all."""
    n_letters = max(int((width - _HANDLE_INCHES) / _CHARACTER_INCHES), 1)
    texts = [textwrap.fill(text, n_letters) for _, text in entries]
    lines = [text.split("\n") for text in texts]
    column = _HANDLE_INCHES + _CHARACTER_INCHES * max(len(line) for own in lines for line in own)
    n_rows = math.ceil(len(entries) / max(1, int(width / column)))
    n_lines = n_rows * max(map(len, lines)) + bool(title)
    grown = _LINE_INCHES * max(n_lines - 2, 0)
    canvas.set_size_inches(width, canvas.get_figheight() + grown)
    canvas.legend(
        [key for key, _ in entries],
        texts,
        loc="outside upper left",
        # Columns are filled one after the other: of rows that are equally long none has a single entry.
        ncols=math.ceil(len(entries) / n_rows),
        title=title or None,
        alignment="left",
    )
