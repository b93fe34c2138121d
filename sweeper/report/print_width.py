"""How wide tables are on paper, where nothing scrolls: letters that cannot be broken, by which they are set smaller."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["JOINT", "ColumnTexts", "PrintWidth", "print_width"]

JOINT = re.compile(r"(?<=[a-z][._])(?=[a-z0-9])")
"""Where a line may end within a path, such as `training.batch_size`."""
_N_WHOLE = 14
"""Values of a column of which none is longer stay in one line."""
_N_WORD = 20
"""Longer words are broken."""
_LOWEST_POINTS = 4.5
"""page.css sets no table in smaller type."""
_PAGE_POINTS = 516.0
_TURNED_POINTS = 774.0
"""Of A4 less its margins, upright and turned."""
_PADDING_POINTS = 6.0
_LETTER = 0.64
"""Mean width of a letter in bold, in the widest of the page's fonts, as a share of the size of the type."""


@dataclass(frozen=True, kw_only=True)
class ColumnTexts:
    """What a column shows."""

    label: str
    numeric: bool
    cells: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class PrintWidth:
    """The width of a table on paper."""

    letters: int
    """Of the longest piece of each column that is not to be broken, all columns together."""
    whole: tuple[bool, ...]
    """For each column, whether its values stay in one line."""
    turned: bool
    """Whether it needs a page that is turned."""
    crowded: bool
    """Whether words have to be broken all the same."""


def print_width(columns: Sequence[ColumnTexts], *, turned: bool = False) -> PrintWidth:
    """How wide a table is.

    Args:
        columns: Its columns.
        turned: Whether it stands on a page that is turned even where it could do without.
    """
    whole = tuple(c.numeric or max(map(len, c.cells), default=0) <= _N_WHOLE for c in columns)
    letters = sum(_longest(column, whole=own) for column, own in zip(columns, whole, strict=True))
    needed = _LETTER * letters * _LOWEST_POINTS + _PADDING_POINTS * len(columns)
    return PrintWidth(
        letters=letters, whole=whole, turned=turned or needed > _PAGE_POINTS, crowded=needed > _TURNED_POINTS
    )


def _longest(column: ColumnTexts, *, whole: bool) -> int:
    cells = set(column.cells)
    own = max(map(len, cells), default=0) if whole else max(map(_longest_word, cells), default=0)
    return max(own, _longest_word(column.label), 1)


def _longest_word(text: str) -> int:
    return min(max((len(part) for word in text.split() for part in JOINT.split(word)), default=0), _N_WORD)
