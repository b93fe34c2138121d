"""Text that runs from right to left within text that runs from left to right.

A report is written in English, so that its sentences, tables and axes run from left to right. Names in it are the
user's: a class may be called `קטן`. Without care, the Unicode bidirectional algorithm (UAX 9) lets such a name take the
number beside it along, and two names with English words between them change places. So each name is isolated: `<bdi>`
in the page, first-strong isolates (U+2068, U+2069) in Markdown and in figures, `\\rtl` in LaTeX.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

__all__ = [
    "Piece",
    "isolate",
    "order_names",
    "runs_right_to_left",
    "split_directions",
    "without_controls",
    "without_right_to_left",
]

_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"
_RTL = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
"""Blocks of Unicode whose letters run from right to left: Hebrew, Arabic, Syriac, Thaana, N'Ko and others."""
_STRONG_LTR = "A-Za-z\u00c0-\u058f\u0900-\u1fff\u2c00-\ud7ff"
_RUN = re.compile(f"[{_RTL}](?:[^{_STRONG_LTR}\n]*[{_RTL}])?")
_HAS_RTL = re.compile(f"[{_RTL}]")
_CONTROLS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Characters that are not seen and turn what follows. None is kept, since a name may leave one open."""


@dataclass(frozen=True)
class Piece:
    """A part of a text."""

    text: str
    right_to_left: bool
    """It has a direction of its own, and is to be isolated from what is beside it."""


def without_controls(text: str) -> str:
    """The text without unseen characters that change directions."""
    return _CONTROLS.sub("", text)


def runs_right_to_left(text: str) -> bool:
    """Whether some of a text does."""
    return _HAS_RTL.search(text) is not None


def without_right_to_left(text: str) -> str:
    """The text without those of its letters that do."""
    return _HAS_RTL.sub("", text)


def order_names(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the user's names and words that need isolation, each once, the longest first."""
    found = {without_controls(name) for name in names if runs_right_to_left(name)}
    return tuple(sorted(found, key=lambda name: (-len(name), name)))


def split_directions(text: str, names: Sequence[str] = ()) -> Iterator[Piece]:
    """The pieces of an English text that may have names in it.

    Args:
        text: The text.
        names: Names that may occur, as of `order_names`; each is kept whole, with its digits and its Latin letters.
            What else runs from right to left is isolated from its first such letter to its last.
    """
    text = without_controls(text)
    if not runs_right_to_left(text):
        if text:
            yield Piece(text, right_to_left=False)
        return
    whole = "|".join(re.escape(name) for name in names if name in text)
    start = 0
    for found in re.finditer(f"{whole}|{_RUN.pattern}" if whole else _RUN.pattern, text):
        if found.start() > start:
            yield Piece(text[start : found.start()], right_to_left=False)
        yield Piece(found.group(), right_to_left=True)
        start = found.end()
    if start < len(text):
        yield Piece(text[start:], right_to_left=False)


def isolate(text: str, names: Sequence[str] = ()) -> str:
    """The text with isolates around what runs from right to left, for places that take no markup."""
    return "".join(
        f"{_FIRST_STRONG_ISOLATE}{piece.text}{_POP_ISOLATE}" if piece.right_to_left else piece.text
        for piece in split_directions(text, names)
    )
