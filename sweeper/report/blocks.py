"""What a section is made of. Pages, Markdown and CSV files are written from these blocks alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.format import hide_paths
from sweeper.report.legends import legend_height

if TYPE_CHECKING:
    from sweeper.report.study_data import StudyData

__all__ = ["Block", "Column", "Facts", "Figure", "Note", "Picture", "Row", "Section", "Table", "text"]


MAX_ROWS = 2000
"""Rows of a table in a page. A browser takes seconds to lay out ten thousand, and as many again to sort them."""


def text(value: Any) -> str:
    """Any value as text; missing ones as an en dash."""
    return "–" if value is None or value != value else hide_paths(str(value))


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table as it is shown."""

    key: str
    """Column of the frame."""
    label: str
    title: str = ""
    """What the label is short for."""
    show: Callable[[Any], str] = text
    """Value to text."""
    numeric: bool = False
    """Aligned to the right."""
    header: bool = False
    """Names its row."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table: typed data and how to show it. The CSV file holds the whole frame, with columns that are not shown."""

    kind: ClassVar[str] = "table"
    key: str
    """Unique within the section: letters, digits and `-`."""
    title: str
    frame: pd.DataFrame
    columns: Sequence[Column]
    note: str = ""
    interactive: bool = False
    """Sortable and filterable in the page."""
    sorted_by: str | None = None
    """Column by which the frame is sorted, ascending."""

    @property
    def shown(self) -> pd.DataFrame:
        """The rows that a page shows: all, or the first of very many."""
        return self.frame.head(MAX_ROWS)

    @property
    def remarks(self) -> str:
        """The note, and how many rows are not shown."""
        n = len(self.frame)
        return (
            f"{self.note} The first {MAX_ROWS:,} of {n:,} rows; the CSV file has all.".strip()
            if n > MAX_ROWS
            else self.note
        )


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A Plotly figure and its data."""

    kind: ClassVar[str] = "figure"
    key: str
    """Unique within the section: letters, digits and `-`."""
    title: str
    description: str
    """What it shows, in words, for those who cannot see it."""
    figure: go.Figure
    data: pd.DataFrame
    note: str = ""
    height: int = 340
    """Pixels, with a legend of at most two lines."""

    @cached_property
    def plotted(self) -> dict[str, Any]:
        """The figure as Plotly's `data` and `layout`, without a theme; read once, when it does not change any more."""
        plotted: dict[str, Any] = self.figure.to_plotly_json()
        layout = {key: value for key, value in plotted["layout"].items() if key != "template"}
        return {"data": plotted["data"], "layout": layout}

    @property
    def whole_height(self) -> int:
        """Pixels, with the legend that it has on a desktop."""
        return self.height + legend_height(self.figure)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture that a run has as an artifact, shown as it is. It is written beside the CSV files."""

    kind: ClassVar[str] = "picture"
    key: str
    """Unique within the section: letters, digits and `-`."""
    title: str
    description: str
    """What it shows, in words, for those who cannot see it."""
    content: bytes
    """The PNG file."""
    note: str = ""

    @property
    def width(self) -> int:
        """Its width in pixels, as the file's header has it."""
        return int.from_bytes(self.content[16:20], "big")


@dataclass(frozen=True, kw_only=True)
class Row:
    """Figures, pictures or small tables, side by side where there is room."""

    kind: ClassVar[str] = "row"
    items: Sequence[Figure] | Sequence[Table] | Sequence[Picture]
    columns: Literal[2, 3] = 2
    """At most so many figures in a line."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Terms and what they stand for; each may have several values."""

    kind: ClassVar[str] = "facts"
    key: str
    items: Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True, kw_only=True)
class Note:
    """A sentence or two in plain words."""

    kind: ClassVar[str] = "note"
    text: str
    level: Literal["text", "warning"] = "text"


Block: TypeAlias = Table | Figure | Picture | Row | Facts | Note


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a study's report: one function from the tracked study to blocks. No blocks: the section is left out."""

    key: str
    """Unique in the report: letters, digits and `-`."""
    title: str
    build: Callable[[StudyData], Sequence[Block]]
    is_long: bool = False
    """It takes longest to compute, and is built after the others, whose figures are drawn meanwhile."""
