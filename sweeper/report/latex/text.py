"""Text and numbers as LaTeX that shows them as they are, whatever they hold."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sweeper.report.direction import Piece, split_directions

__all__ = ["breakable", "escape", "escape_number", "needs_unicode"]

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    # Babel makes it active in some languages.
    '"': r"\symbol{34}",
    # Characters that pdfLaTeX's fonts lack, or have in mathematics alone.
    "\u00a0": "~",
    "\u202f": r"\,",
    "–": "--",
    "—": "---",
    "−": r"\ensuremath{-}",
    "…": r"\ldots{}",
    "×": r"\ensuremath{\times}",
    "·": r"\ensuremath{\cdot}",
    "±": r"\ensuremath{\pm}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "≈": r"\ensuremath{\approx}",
    "∞": r"\ensuremath{\infty}",
    "→": r"\ensuremath{\rightarrow}",
    "←": r"\ensuremath{\leftarrow}",
    "√": r"\ensuremath{\surd}",
    "α": r"\ensuremath{\alpha}",
    "β": r"\ensuremath{\beta}",
    "γ": r"\ensuremath{\gamma}",
    "δ": r"\ensuremath{\delta}",
    "ε": r"\ensuremath{\varepsilon}",
    "λ": r"\ensuremath{\lambda}",
    "μ": r"\ensuremath{\mu}",
    "σ": r"\ensuremath{\sigma}",
    "χ": r"\ensuremath{\chi}",
}
_SPECIAL = re.compile("[" + re.escape("".join(_ESCAPES)) + "]")
_LIGATURES = re.compile(r"(?<=-)(?=-)|(?<=')(?=')|(?<=,)(?=,)|(?<=[!?])(?=`)")
"""Between these characters, fonts make another one of both: `--` becomes a dash."""
_NUMBER = re.compile(r"(?<![\w.])(?P<sign>-?)(?P<digits>\d[\d.,]*)(?:e(?P<power>[-+]?\d+))?(?![\w])")
_LTR_RUN = re.compile(r"[A-Za-z0-9\u00c0-\u024f]+(?:[.,:/-][A-Za-z0-9\u00c0-\u024f]+)*%?")
_PDFLATEX = 0x17F
"""The last character of Latin Extended-A: T1 fonts have what comes before it."""


def _plain(text: str) -> str:
    text = _LIGATURES.sub("\0", text)
    return _SPECIAL.sub(lambda found: _ESCAPES[found.group()], text).replace("\0", "{}")


def _piece(piece: Piece) -> str:
    if not piece.right_to_left:
        return _plain(piece.text)
    # TeX turns the whole box: numbers and Latin words in it are turned back.
    parts, start = [], 0
    for found in _LTR_RUN.finditer(piece.text):
        parts += [_plain(piece.text[start : found.start()]), rf"\ltr{{{_plain(found.group())}}}"]
        start = found.end()
    return rf"\rtl{{{''.join([*parts, _plain(piece.text[start:])])}}}"


def escape(text: str, names: Sequence[str] = ()) -> str:
    r"""Text that shows as it is: no command, no line break; what runs from right to left in `\rtl{…}`.

    Args:
        text: The text.
        names: Names that may occur in it, as of `sweeper.report.direction.order_names`.
    """
    return _escape(text.strip(), names)


def _escape(text: str, names: Sequence[str]) -> str:
    """As of `escape`, with the spaces at its ends."""
    printable = "".join(c if c.isprintable() or c == "\u00a0" else " " for c in text)
    return "".join(map(_piece, split_directions(re.sub(" +", " ", printable), names)))


def escape_number(text: str, names: Sequence[str] = ()) -> str:
    """A cell of a numeric column: minus signs and powers of ten as in print, the rest as of `escape`."""
    parts, start = [], 0
    for found in _NUMBER.finditer(text):
        if not found["sign"] and found["power"] is None:
            continue
        power = "" if found["power"] is None else rf"\cdot10^{{{int(found['power'])}}}"
        digits = found["digits"].replace(",", "{,}")
        parts += [_escape(text[start : found.start()], names), f"${found['sign']}{digits}{power}$"]
        start = found.end()
    return "".join([*parts, _escape(text[start:], names)])


def breakable(tex: str) -> str:
    """Escaped text in which a long word, such as a path of a parameter, may end a line after `.`, `_`, `/`, `,`."""
    return re.sub(r"\S{16,}", lambda word: re.sub(r"(\\_|[./,])(?=\w)", r"\1\\allowbreak{}", word.group()), tex)


def needs_unicode(tex: str) -> bool:
    """Whether only LuaLaTeX and XeLaTeX can typeset it."""
    return any(ord(character) > _PDFLATEX for character in tex)
