"""Tables and numbers on the terminal."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "duration", "number", "print_json", "print_prose", "print_table", "short_names"]


def console(*, stderr: bool = False) -> Console:
    """A console that knows whether it is a terminal."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def number(value: Any) -> str:
    """A value in few digits: 0.9534, 1.3e-05, 12,288."""
    if value is None:
        return "–"
    if isinstance(value, list) and any(isinstance(item, float) for item in value):
        return f"[{', '.join(map(number, value))}]"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return json.dumps(value) if isinstance(value, list | dict | bool) else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return str(value)
    magnitude = abs(value)
    if magnitude != 0.0 and (magnitude < 1e-3 or magnitude >= 1e5):
        mantissa, _, exponent = f"{value:.3e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent):+03d}"
    return f"{value:.4g}"


def duration(seconds: float | None) -> str:
    """Seconds as 0.05 s, 42 s, 3 min 05 s, 2 h 10 min."""
    if seconds is None:
        return "–"
    if seconds < 0.95:
        return f"{seconds:.1g} s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def print_json(data: Any) -> None:
    """Indented JSON; numbers that JSON does not know are null."""
    typer.echo(json.dumps(_plain(data), indent=2, ensure_ascii=False))


def print_prose(text: str) -> None:
    """A sentence or two; on a terminal, lines end between words."""
    out = console()
    out.print(text, markup=False, highlight=False, soft_wrap=not out.is_terminal)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, more: str = "--json has all", n_kept: int = 1
) -> None:
    """A table, numbers to the right. On a terminal, columns that do not fit are left out, and said to be.

    Args:
        columns: Headers; they may break after `_`, `/`, `.` and spaces.
        rows: Values, one a column.
        more: Where what is left out can be found.
        n_kept: The first columns, which are always shown.
    """
    by_column = list(zip(*rows, strict=True)) or [()] * len(columns)
    laid_out = [_Column.of(name, values) for name, values in zip(columns, by_column, strict=True)]
    shown, left_out = laid_out, ""
    out = console()
    if out.is_terminal:
        n = max(n_kept, next((n for n in range(len(laid_out), 0, -1) if _width(laid_out[:n]) <= out.width), 0))
        shown = laid_out[:n]
        left_out = ", ".join(columns[n:])
    for line in range(max(len(column.header) for column in shown)):
        out.print(_line(c.align(c.header[line] if line < len(c.header) else "") for c in shown), style="bold", **_AS_IS)
    out.print("─" * _width(shown), **_AS_IS)
    for i in range(len(shown[0].cells)):
        out.print(_line(column.align(column.cells[i]) for column in shown), **_AS_IS)
    if left_out:
        out.print(f"no room for {left_out}; {more}", style="dim")


MAX_CELL = 60
_GAP = "  "
_AS_IS: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}


@dataclass(frozen=True, kw_only=True)
class _Column:
    """One column of a table, laid out."""

    header: Sequence[str]
    """Its lines."""
    cells: Sequence[str]
    numeric: bool
    width: int

    @classmethod
    def of(cls, name: str, values: Sequence[Any]) -> _Column:
        cells = [_shorten(value if isinstance(value, str) else number(value)) for value in values]
        widest = max(map(len, cells), default=0)
        header: list[str] = [""]
        for part in re.split(r"(?<=[_/. ])", name):
            if header[-1] and len(header[-1] + part) > max(widest, 5):
                header.append("")
            header[-1] += part
        header = [line.rstrip() for line in header]
        numeric = all(isinstance(value, int | float | None) and not isinstance(value, bool) for value in values)
        return cls(header=header, cells=cells, numeric=numeric, width=max([widest, *map(len, header)]))

    def align(self, text: str) -> str:
        return text.rjust(self.width) if self.numeric else text.ljust(self.width)


def _shorten(cell: str) -> str:
    line = " ".join(cell.split())
    return line if len(line) <= MAX_CELL else f"{line[: MAX_CELL - 1]}…"


def _width(columns: Sequence[_Column]) -> int:
    return sum(column.width for column in columns) + len(_GAP) * (len(columns) - 1)


def _line(cells: Iterable[str]) -> str:
    return _GAP.join(cells).rstrip()


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """The last parts of dotted paths that tell them apart: `training.optimizer.lr` may be `lr`.

    A branch's name stands for the branch: `training.optimizer.name` is `optimizer`.
    """
    plain = {path: path.removesuffix(".name") for path in paths}
    short: dict[str, str] = {}
    for path, name in plain.items():
        parts = name.split(".")
        for n in range(1, len(parts) + 1):
            tail = ".".join(parts[-n:])
            alone = sum(other == tail or other.endswith(f".{tail}") for other in plain.values()) == 1
            if alone and not parts[-n].isdecimal() and parts[-n] != "repeat":
                break
        short[path] = tail
    return short
