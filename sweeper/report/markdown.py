"""A report as Markdown: tables as they are, figures as SVG files beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from sweeper.report.blocks import Block, Facts, Figure, Note, Picture, Row, Table
from sweeper.report.direction import isolate
from sweeper.report.document import Document, Item

__all__ = ["render_markdown"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&])")
_Escape = Callable[[str], str]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _caption(item: Item, words: str, escape: _Escape, *, with_data: bool) -> str:
    link = f" ([{words}]({item.data}))" if with_data else ""
    return f"**{escape(item.block.title)}**{link}"


def _note(text: str, escape: _Escape) -> Iterator[str]:
    if text:
        yield escape(text)
        yield ""


def _table(table: Table, escape: _Escape) -> Iterator[str]:
    yield _line([escape(column.label) for column in table.columns])
    yield _line(["---:" if column.numeric else "---" for column in table.columns])
    shown = [[column.show(value) for value in table.shown[column.key]] for column in table.columns]
    for cells in zip(*shown, strict=True):
        yield _line([escape(cell) for cell in cells])
    yield ""


class _Writer:
    """What the blocks of one document need to be written."""

    def __init__(self, document: Document, figures: Mapping[str, str], *, with_data: bool) -> None:
        self.names = document.names
        self.figures = figures
        self.with_data = with_data

    def escape(self, text: str) -> str:
        """Text that shows as it is: no markup, no HTML, no line break, nothing that ends a table's cell."""
        return _SPECIAL.sub(r"\\\1", " ".join(isolate(text, self.names).split()))

    def item(self, item: Item) -> Iterator[str]:
        block = item.block
        words = "CSV" if isinstance(block, Table) else "PNG" if isinstance(block, Picture) else "data"
        yield _caption(item, words, self.escape, with_data=self.with_data)
        yield ""
        if isinstance(block, Table):
            yield from _table(block, self.escape)
        elif (image := self.figures.get(item.id)) is not None:
            yield f"![{self.escape(block.description)}]({image})"
            yield ""
        else:
            yield self.escape(block.description)
            yield ""
        if not isinstance(block, Figure) or item.id in self.figures:
            yield from _note(block.remarks if isinstance(block, Table) else block.note, self.escape)

    def block(self, block: Block, items: Mapping[str, Item]) -> Iterator[str]:
        if isinstance(block, Note):
            yield f"> **Note:** {self.escape(block.text)}" if block.level == "warning" else self.escape(block.text)
            yield ""
        elif isinstance(block, Facts):
            yield from (f"- {self.escape(term)}: {'; '.join(map(self.escape, values))}" for term, values in block.items)
            yield ""
        else:
            for item in block.items if isinstance(block, Row) else (block,):
                yield from self.item(items[item.key])


def render_markdown(document: Document, figures: Mapping[str, str], *, with_data: bool = True) -> str:
    """The report as GitHub-flavoured Markdown, links relative to the report's folder.

    Args:
        document: The report.
        figures: The SVG file of each figure that has one, and the PNG file of each picture, by the item's id.
            A figure without one is described in words.
        with_data: Whether CSV files lie beside it, to be linked.
    """
    writer = _Writer(document, figures, with_data=with_data)
    lines = [f"# {writer.escape(document.title)}", ""]
    one = len(document.parts) == 1
    for part in document.parts:
        if not one:
            lines += [f"## {writer.escape(part.title)}", ""]
        for section in part.sections:
            items = {item.block.key: item for item in part.items(section)}
            lines += [f"{'##' if one else '###'} {writer.escape(section.title)}", ""]
            for block in section.blocks:
                lines += writer.block(block, items)
    return "\n".join(lines).rstrip("\n") + "\n"
