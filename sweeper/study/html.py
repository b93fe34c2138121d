"""Small HTML for notebooks: what `_repr_html_` of studies, sweeps and runs is made of. Everything is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["facts", "folded", "heading", "progress_bar", "table"]


def heading(title: str, text: str = "") -> str:
    """A title, and a line under it."""
    return f"<h4>{escape(title)}</h4>" + (f"<p>{escape(text)}</p>" if text else "")


def facts(values: Mapping[str, Any]) -> str:
    """Terms and what they stand for, a row each."""
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(term)}</th><td style="text-align:left">{_text(value)}</td></tr>'
        for term, value in values.items()
    )
    return f"<div><table>{rows}</table></div>"


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table."""
    head = "".join(f'<th style="text-align:left">{escape(column)}</th>' for column in columns)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{_text(value)}</td>' for value in row) + "</tr>" for row in rows
    )
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def folded(summary: str, content: str) -> str:
    """HTML that is shown when its summary is clicked on."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def progress_bar(n_done: int, n_all: int) -> str:
    """How much of something is done."""
    bar = f'<progress value="{n_done}" max="{max(n_all, 1)}" style="width:24em"></progress>'
    return f"<div>{bar} {n_done} of {n_all}</div>"


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    return escape(str(value))
