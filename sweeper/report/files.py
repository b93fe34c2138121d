"""The files of a report, in the forms that were asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from sweeper.errors import InputError
from sweeper.report.blocks import Figure, Picture, Table
from sweeper.report.csv import render_csv
from sweeper.report.document import Document
from sweeper.report.drawer import Drawer
from sweeper.report.latex import render_latex, render_latex_table
from sweeper.report.markdown import render_markdown
from sweeper.report.page import render_page

__all__ = ["DEFAULT_FORMATS", "FORMATS", "SUFFIXES", "Format", "build_files", "choose_formats", "drawn_formats"]

Format = Literal["html", "markdown", "latex", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)
DEFAULT_FORMATS: tuple[Format, ...] = ("html", "markdown", "csv")
"""Not LaTeX: fonts that are embedded in its figures take as long as all the rest."""
SUFFIXES = (".html", ".md", ".tex", ".csv", ".svg", ".pdf", ".png")


def choose_formats(names: Iterable[str]) -> tuple[Format, ...]:
    """The forms of some names, `all` for every one; where none is given, all but LaTeX.

    Raises:
        InputError: There is no form of a name.
    """
    names = list(names)
    for name in names:
        if name not in (*FORMATS, "all"):
            raise InputError(f"a report has no form {name!r}; forms are {', '.join(FORMATS)}, and all of them are all")
    if not names:
        return DEFAULT_FORMATS
    return tuple(known for known in FORMATS if known in names or "all" in names)


def drawn_formats(formats: Sequence[Format]) -> list[Literal["svg", "pdf"]]:
    """As which files the figures of some forms are drawn."""
    kinds: list[Literal["svg", "pdf"]] = []
    kinds += ["svg"] if "markdown" in formats else []
    kinds += ["pdf"] if "latex" in formats else []
    return kinds


def build_files(
    document: Document, formats: Sequence[Format] = DEFAULT_FORMATS, drawer: Drawer | None = None
) -> dict[str, str | bytes]:
    """The contents of all files by their paths, relative to the report.

    `html`: `index.html`. `markdown`: `report.md` with `figures/*.svg`. `latex`: `report.tex` with `tables/*.tex` and
    `figures/*.pdf`. `csv`: `data/*.csv`. Pictures are in `data/` beside each of them but `html`, which holds them.

    Args:
        document: The report.
        formats: In which forms.
        drawer: Draws its figures, as `drawn_formats`; by default they are drawn here.
    """
    files: dict[str, str | bytes] = {}
    items = list(document.items())
    if set(formats) - {"html"}:
        files |= {item.data: item.block.content for item in items if isinstance(item.block, Picture)}
    pictures = {item.id: item.data for item in items if item.data in files}
    if "csv" in formats:
        files |= {item.data: render_csv(item.block) for item in items if not isinstance(item.block, Picture)}
    if "html" in formats:
        files["index.html"] = render_page(document, with_data="csv" in formats)
    kinds = drawn_formats(formats)
    drawn: dict[str, dict[str, str]] = {kind: dict(pictures) for kind in kinds}
    drawer = drawer or Drawer(kinds)  # which has no process outside of its context
    for item in items if kinds else ():
        if isinstance(item.block, Figure):
            for kind, content in drawer.draw(item.block, narrow=item.narrow).items():
                drawn[kind][item.id] = f"figures/{item.stem}.{kind}"
                files[drawn[kind][item.id]] = content
    if "markdown" in formats:
        files["report.md"] = render_markdown(document, drawn["svg"], with_data="csv" in formats)
    if "latex" in formats:
        tables = {item.id: (f"tables/{item.stem}.tex", item.block) for item in items if isinstance(item.block, Table)}
        files |= {path: render_latex_table(table, id_, document.names) for id_, (path, table) in tables.items()}
        files["report.tex"] = render_latex(document, {id_: path for id_, (path, _) in tables.items()}, drawn["pdf"])
    return files
