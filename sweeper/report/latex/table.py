"""A table as LaTeX with booktabs, in a file of its own that any document can input."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sweeper.report.blocks import Column, Table
from sweeper.report.latex.text import breakable, escape, escape_number

__all__ = ["is_long", "is_wide", "render_latex_table"]

_N_LINES = 34
"""With more lines than this, a table may end on another page: a longtable."""
_N_UPRIGHT = 12
"""A wide table of no more rows than this is cut into groups of columns instead of turned."""
_N_WRAPPED = 34
"""Text columns wider than this many characters have lines of their own."""
_N_HEAD = 12
"""Characters of a label that stand in one line, where the column is no wider."""
_PORTRAIT_POINTS, _LANDSCAPE_POINTS = 455.0, 690.0
_GAP_POINTS = 8.0
_SIZES = {r"\footnotesize": 4.5, r"\scriptsize": 4.0}
"""Sizes of type with the mean width of a character in points, Latin Modern."""


@dataclass(frozen=True)
class _Cells:
    """A column as text."""

    column: Column
    texts: Sequence[str]

    @property
    def width(self) -> int:
        """Characters of its widest line."""
        longest = max(map(len, self.texts), default=1)
        if not self.column.numeric:
            longest = min(longest, _N_WRAPPED)
        return max(longest, *map(len, _head_lines(self.column.label, longest)), 1)

    @property
    def is_wrapped(self) -> bool:
        return not self.column.numeric and any(len(text) > _N_WRAPPED for text in self.texts)


@dataclass(frozen=True)
class _Layout:
    size: str
    landscape: bool
    groups: Sequence[Sequence[_Cells]]
    """Columns that stand beside each other; of a table that is wider than a page several groups, one below the other,
    each with the columns that name the rows."""


def _head_lines(label: str, longest: int) -> list[str]:
    """A label in lines no longer than the column is wide, or 12 characters."""
    most, lines = max(_N_HEAD, longest), [""]
    # A dotted path may end a line after a dot.
    for word in re.findall(r"\s*[^\s.]*\.?", label):
        if not lines[-1] or len(lines[-1]) + len(word) <= most:
            lines[-1] += word if lines[-1] else word.lstrip()
        else:
            lines.append(word.lstrip())
    return [line for line in lines if line] or [""]


def _points(columns: Sequence[_Cells], size: str) -> float:
    return sum(c.width * _SIZES[size] + _GAP_POINTS for c in columns)


def _layout(table: Table) -> _Layout:
    columns = [_Cells(c, [c.show(value) for value in table.shown[c.key]]) for c in table.columns]
    # A few rows in groups of columns look better than a page of their own for them.
    may_turn = len(table.shown) > _N_UPRIGHT
    for landscape, points in ((False, _PORTRAIT_POINTS), (True, _LANDSCAPE_POINTS))[: 2 if may_turn else 1]:
        for size in _SIZES:
            if _points(columns, size) <= points:
                return _Layout(size, landscape, [columns])
    size, points = (r"\scriptsize", _LANDSCAPE_POINTS) if may_turn else (r"\footnotesize", _PORTRAIT_POINTS)
    heads = [c for c in columns if c.column.header] or columns[:1]
    return _Layout(size, may_turn, _grouped(heads, [c for c in columns if c not in heads], size, points))


def _grouped(heads: Sequence[_Cells], rest: Sequence[_Cells], size: str, points: float) -> list[list[_Cells]]:
    """The columns in as few groups as fit, about equally wide, so that none has a single column left over."""
    room = points - _points(heads, size)
    groups: list[list[_Cells]] = [[]]
    for n_groups in range(1, len(rest) + 1):
        groups = [[]]
        done, target = 0.0, _points(rest, size) / n_groups
        for cells in rest:
            width = _points([cells], size)
            if groups[-1] and done + width / 2 > target * len(groups):
                groups.append([])
            groups[-1].append(cells)
            done += width
        if all(_points(group, size) <= room for group in groups):
            break
    return [[*heads, *group] for group in groups]


def _n_lines(layout: _Layout) -> int:
    rows = zip(*(c.texts for group in layout.groups for c in group), strict=True)
    per_row = sum(max(math.ceil(len(text) / (_N_WRAPPED + 4)) or 1 for text in row) for row in rows)
    return per_row * len(layout.groups)


def is_wide(table: Table) -> bool:
    """Whether it needs a page in landscape."""
    return _layout(table).landscape


def is_long(table: Table) -> bool:
    """Whether it may end on another page than it begins."""
    return _n_lines(_layout(table)) > _N_LINES


def _spec(columns: Sequence[_Cells], size: str) -> str:
    parts = []
    for cells in columns:
        if cells.is_wrapped:
            parts.append(rf">{{\raggedright\arraybackslash}}p{{{cells.width * _SIZES[size]:.0f}pt}}")
        else:
            parts.append("r" if cells.column.numeric else "l")
    return f"@{{}}{''.join(parts)}@{{}}"


def _head(columns: Sequence[_Cells], names: Sequence[str]) -> str:
    labels = []
    for cells in columns:
        side = "r" if cells.column.numeric else "l"
        lines = [escape(line, names) for line in _head_lines(cells.column.label, cells.width)]
        stacked = rf"\begin{{tabular}}[b]{{@{{}}{side}@{{}}}}" + r"\\".join(lines) + r"\end{tabular}"
        labels.append(stacked if len(lines) > 1 else lines[0])
    return " & ".join(labels) + r" \\"


def _rows(columns: Sequence[_Cells], names: Sequence[str]) -> Iterator[str]:
    for row in zip(*(c.texts for c in columns), strict=True):
        cells = []
        for cell, c in zip(row, columns, strict=True):
            tex = escape_number(cell, names) if c.column.numeric else escape(cell, names)
            cells.append(breakable(tex) if c.is_wrapped else tex)
        # A row that begins with a bracket would be read as an option of the row before it.
        yield ("{}" if cells[0].startswith("[") else "") + " & ".join(cells) + r" \\"


def _short(columns: Sequence[_Cells], size: str, names: Sequence[str]) -> Iterator[str]:
    yield rf"\begin{{tabular}}{{{_spec(columns, size)}}}"
    yield r"\toprule"
    yield _head(columns, names)
    yield r"\midrule"
    yield from _rows(columns, names)
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _long(columns: Sequence[_Cells], size: str, names: Sequence[str], caption: str) -> Iterator[str]:
    head = _head(columns, names)
    yield rf"\begin{{longtable}}{{{_spec(columns, size)}}}"
    yield rf"{caption}\\"
    yield from (r"\toprule", head, r"\midrule", r"\endfirsthead", r"\toprule", head, r"\midrule", r"\endhead")
    yield rf"\midrule \multicolumn{{{len(columns)}}}{{r@{{}}}}{{continued}} \\ \endfoot"
    yield r"\bottomrule \endlastfoot"
    yield from _rows(columns, names)
    yield r"\end{longtable}"


def render_latex_table(table: Table, label: str, names: Sequence[str] = ()) -> str:
    r"""A table as LaTeX, to be input.

    A short one is a `tabular`, to be put into a `table` with a caption. A long one is a `longtable` with caption and
    label, which stands outside floats. Numbers are aligned to the right, as in the page. A table that is wider than a
    page in landscape comes in groups of columns.

    Args:
        table: The table.
        label: What `\ref` calls a long one.
        names: Names that may occur, as of `sweeper.report.direction.order_names`.
    """
    layout, long = _layout(table), is_long(table)
    place, package = ("Outside floats", ",longtable") if long else ("In a table environment", "")
    lines = [
        rf"% {place}, with \usepackage{{array,booktabs{package}}}. \rtl and \ltr, if here, are defined in report.tex.",
        rf"\begingroup{layout.size}\setlength{{\tabcolsep}}{{{_GAP_POINTS / 2:.0f}pt}}%",
    ]
    for index, group in enumerate(layout.groups):
        if index and not long:
            lines.append(r"\par\bigskip")
        if long:
            title = escape(table.title, names) + (", continued" if index else "")
            caption = rf"\caption{'[]' if index else ''}{{{title}}}" + ("" if index else rf"\label{{{label}}}")
            lines += _long(group, layout.size, names, caption)
        else:
            lines += _short(group, layout.size, names)
    lines.append(r"\endgroup")
    return "\n".join(lines) + "\n"
