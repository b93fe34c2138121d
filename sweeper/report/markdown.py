"""A report as Markdown: tables as they are, figures as links to their data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sweeper.report.blocks import Block, Facts, Figure, Note, Picture, Row, Table
from sweeper.report.document import Document

__all__ = ["render_markdown"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&])")


def _escape(text: str) -> str:
    """Text that shows as it is: no markup, no HTML, no line break, nothing that ends a table's cell."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _table(table: Table, link: str) -> Iterator[str]:
    yield f"**{_escape(table.title)}** ([CSV]({link}))"
    yield ""
    yield _line([_escape(column.label) for column in table.columns])
    yield _line(["---:" if column.numeric else "---" for column in table.columns])
    shown = [[column.show(value) for value in table.shown[column.key]] for column in table.columns]
    for cells in zip(*shown, strict=True):
        yield _line([_escape(cell) for cell in cells])
    yield ""
    if table.remarks:
        yield _escape(table.remarks)
        yield ""


def _figure(figure: Figure, link: str) -> Iterator[str]:
    yield f"**{_escape(figure.title)}** ([data]({link})): {_escape(figure.description)}"
    yield ""


def _picture(picture: Picture, link: str) -> Iterator[str]:
    yield f"**{_escape(picture.title)}**"
    yield ""
    yield f"![{_escape(picture.description)}]({link})"
    yield ""
    if picture.note:
        yield _escape(picture.note)
        yield ""


def _item(item: Table | Figure | Picture, link: str) -> Iterator[str]:
    if isinstance(item, Table):
        return _table(item, link)
    return _picture(item, link) if isinstance(item, Picture) else _figure(item, link)


def _block(block: Block, links: dict[str, str]) -> Iterator[str]:
    if isinstance(block, Note):
        yield f"> **Note:** {_escape(block.text)}" if block.level == "warning" else _escape(block.text)
        yield ""
    elif isinstance(block, Facts):
        yield from (f"- {_escape(term)}: {'; '.join(map(_escape, values))}" for term, values in block.items)
        yield ""
    else:
        for item in block.items if isinstance(block, Row) else (block,):
            yield from _item(item, links[item.key])


def render_markdown(document: Document) -> str:
    """The report as GitHub-flavoured Markdown, links relative to the report's folder."""
    lines = [f"# {_escape(document.title)}", ""]
    one = len(document.parts) == 1
    for part in document.parts:
        if not one:
            lines += [f"## {_escape(part.title)}", ""]
        for section in part.sections:
            links = {item.key: f"{part.folder}/{name}" for name, item in section.files()}
            lines += [f"{'##' if one else '###'} {_escape(section.title)}", ""]
            for block in section.blocks:
                lines += _block(block, links)
    return "\n".join(lines).rstrip("\n") + "\n"
