"""The LaTeX document of a report: it inputs the tables, and includes figures and pictures."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from sweeper.report.blocks import Block, Facts, Figure, Note, Picture, Row, Table
from sweeper.report.direction import runs_right_to_left, without_right_to_left
from sweeper.report.document import Document, Item
from sweeper.report.latex.table import is_long, is_wide
from sweeper.report.latex.text import breakable, escape, needs_unicode

__all__ = ["render_latex"]

_DOTS_PER_INCH = 200
_WIDEST_INCHES = 6.3


def _picture_inches(picture: Picture) -> str:
    """How wide a picture is printed: its pixels are in the header of a PNG file."""
    (n_pixels,) = struct.unpack(">I", picture.content[16:20])
    return f"{min(n_pixels / _DOTS_PER_INCH, _WIDEST_INCHES):.2f}in"


class _Writer:
    """What the blocks of one document need to be written."""

    def __init__(self, document: Document, tables: Mapping[str, str], figures: Mapping[str, str]) -> None:
        self.names = document.names
        self.tables = tables
        self.figures = figures

    def escape(self, text: str) -> str:
        return breakable(escape(text, self.names))

    def table(self, item: Item, table: Table) -> Iterator[str]:
        if is_wide(table):
            yield r"\begin{landscape}"
        if is_long(table):
            yield rf"\input{{{self.tables[item.id]}}}"
        else:
            # [H]: here, in the order of the page. Floats would pile up, since there is more of them than text.
            yield r"\begin{table}[H]"
            yield r"\centering"
            yield rf"\caption{{{self.escape(table.title)}}}\label{{{item.id}}}"
            yield rf"\input{{{self.tables[item.id]}}}"
            yield r"\end{table}"
        if table.remarks:
            yield rf"{{\small {self.escape(table.remarks)}\par}}"
        if is_wide(table):
            yield r"\end{landscape}"

    def image(self, item: Item, block: Figure | Picture) -> Iterator[str]:
        """A figure or picture with its caption, to stand in a float or in a part of one."""
        path = self.figures.get(item.id)
        if path is None:
            yield rf"\emph{{{self.escape(block.description)}}}"
        elif isinstance(block, Picture):
            size = rf"width={_picture_inches(block)},height=0.8\textheight,keepaspectratio"
            yield rf"\includegraphics[{size}]{{{path}}}"
        else:
            yield rf"\includegraphics{{{path}}}"
        caption = f"{block.title}. {block.note}" if block.note else block.title
        yield rf"\caption[{{{self.escape(block.title)}}}]{{{self.escape(caption)}}}\label{{{item.id}}}"

    def images(self, items: Sequence[Item]) -> Iterator[str]:
        """Figures and pictures, narrow ones two beside each other."""
        while items:
            n = 2 if items[0].narrow else 1
            yield r"\begin{figure}[H]"
            yield r"\centering"
            for item in items[:n]:
                assert isinstance(item.block, Figure | Picture)
                if n == 1:
                    yield from self.image(item, item.block)
                else:
                    yield r"\begin{minipage}[t]{0.49\linewidth}\centering"
                    yield from self.image(item, item.block)
                    yield r"\end{minipage}\hfill"
            yield r"\end{figure}"
            items = items[n:]

    def block(self, block: Block, items: Mapping[str, Item]) -> Iterator[str]:
        if isinstance(block, Note):
            words = self.escape(block.text)
            yield rf"\textbf{{Note:}} {words}" if block.level == "warning" else words
        elif isinstance(block, Facts):
            yield r"\begin{description}"
            for term, values in block.items:
                yield rf"\item[{{{self.escape(term)}}}] {'; '.join(map(self.escape, values))}"
            yield r"\end{description}"
        else:
            members = [items[item.key] for item in (block.items if isinstance(block, Row) else (block,))]
            for item in members:
                if isinstance(item.block, Table):
                    yield from self.table(item, item.block)
            yield from self.images([item for item in members if not isinstance(item.block, Table)])
        yield ""


def _body(document: Document, writer: _Writer) -> Iterator[str]:
    one = len(document.parts) == 1
    for part in document.parts:
        if not one:
            yield rf"\section{{{writer.escape(part.title)}}}"
        for section in part.sections:
            items = {item.block.key: item for item in part.items(section)}
            yield rf"\{'section' if one else 'subsection'}{{{writer.escape(section.title)}}}"
            yield ""
            for block in section.blocks:
                yield from writer.block(block, items)


def render_latex(document: Document, tables: Mapping[str, str], figures: Mapping[str, str]) -> str:
    """The document. pdfLaTeX typesets it unless names in it need Unicode fonts, which LuaLaTeX and XeLaTeX have.

    Args:
        document: The report.
        tables: The LaTeX file of each table by the item's id, relative to the report.
        figures: The PDF file of each figure that has one, and the PNG file of each picture, by the item's id.
            A figure without one is described in words.
    """
    environment = Environment(
        loader=PackageLoader("sweeper.report"),
        autoescape=False,  # noqa: S701  # this is no HTML: `escape` escapes for TeX
        undefined=StrictUndefined,
        # Braces and percent signs are TeX's own.
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    writer = _Writer(document, tables, figures)
    body = "\n".join(_body(document, writer))
    cells = (
        column.show(value)
        for item in document.items()
        if isinstance(item.block, Table)
        for column in item.block.columns
        for value in item.block.shown[column.key]
    )
    text = body + "".join(escape(cell) for cell in cells)
    return environment.get_template("report.tex.j2").render(
        title=writer.escape(document.title),
        body=body,
        right_to_left=runs_right_to_left(text),
        unicode=needs_unicode(without_right_to_left(text)),
        # One font with one script: of both, Arabic needs its letters joined.
        script="Arabic" if re.search("[\u0600-\u06ff]", text) else "Hebrew",
    )
