"""A report as one self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from sweeper.report.blocks import Figure, Picture, Table
from sweeper.report.direction import isolate, split_directions
from sweeper.report.document import Document
from sweeper.report.format import as_float
from sweeper.report.print_width import JOINT, ColumnTexts, PrintWidth, print_width
from sweeper.report.theme import THEMES

__all__ = ["render_page"]


_PLAIN_NUMBER = re.compile(r"[0-9.,+ –-]*")
"""Text that has nothing to escape, to isolate or to break: most cells of a table of trials."""
_N_WIDE = 14
"""A longer table of more columns than this is turned in print."""
_LEADING_NUMBER = re.compile(r"[+−-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
_SMALL_NUMBER = re.compile(r"[\d.]+e-\d+")


def _json(value: Any) -> Markup:
    """JSON for a script element: `<` is escaped, so that no text in it ends the element or opens a comment."""
    dumped = json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    # U+2028 and U+2029 end a line in old JavaScript, not in JSON.
    return Markup(dumped.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))  # noqa: S704


def _figure_json(figure: Figure) -> dict[str, Any]:
    plotted = figure.plotted
    layout = plotted["layout"] | {"height": figure.whole_height}
    return {"height": figure.height, "data": plotted["data"], "layout": layout}


def _sort_value(value: Any) -> float | None:
    """The number by which a cell is sorted and filtered; of a text, such as `57.5 ± 2.1`, the one it begins with."""
    if not isinstance(value, str):
        return as_float(value)
    leading = _LEADING_NUMBER.match(value)
    return float(leading.group().replace(",", "").replace("−", "-")) if leading else None


def _rows(table: Table) -> list[list[dict[str, Any]]]:
    """Cells by row: text, sort value (numbers as numbers, to sort by), column."""
    columns = []
    for column in table.columns:
        values = table.shown[column.key].tolist()
        columns.append(
            [
                {"text": column.show(v), "sort": _sort_value(v) if column.numeric else None, "column": column}
                for v in values
            ]
        )
    return [list(row) for row in zip(*columns, strict=True)]


def _print_width(table: Table, rows: list[list[dict[str, Any]]]) -> PrintWidth:
    columns = [
        ColumnTexts(label=column.label, numeric=column.numeric, cells=[row[i]["text"] for row in rows])
        for i, column in enumerate(table.columns)
    ]
    return print_width(columns, turned=table.interactive and len(columns) > _N_WIDE)


def _data_url(picture: Picture) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.content).decode()


def _prose(text: str) -> str:
    """Text in which no line ends between a number and its percent sign, nor in `ε = 0.1`."""
    return re.sub(r"(?<=\d) (?=%)|(?<=ε) (?==)|(?<=ε =) ", "\u00a0", text)


def _bidi(text: str, names: Sequence[str]) -> Markup:
    """Text of a page that runs from left to right, with `<bdi>` around what does not."""
    if _PLAIN_NUMBER.fullmatch(text):
        return Markup(text)  # noqa: S704  # digits and signs
    return Markup("").join(
        Markup("<bdi>%s</bdi>") % piece.text if piece.right_to_left else _breakable(piece.text)
        for piece in split_directions(text, names)
    )


def _breakable(text: str) -> Markup:
    """Text whose lines may end within a path, after a dot or an underscore, and never within a number such as 1e-3.

    By markup alone: what is copied, and what the filter of a table reads, is the text.
    """
    whole = _SMALL_NUMBER.sub(r'<span class="nowrap">\g<0></span>', str(escape(text)))
    return Markup(JOINT.sub("<wbr>", whole))  # noqa: S704  # escaped above


def _digest(script: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'"


def render_page(document: Document, *, with_data: bool = True) -> str:
    """The page: styles, scripts, Plotly and all data inside, ids fixed, nothing fetched.

    Its content security policy admits the report's own scripts by their hashes and no connection at all.

    Args:
        document: The report.
        with_data: Whether CSV and PNG files lie beside the page, to be linked from it.
    """
    environment = Environment(
        loader=PackageLoader("sweeper.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = _prose
    environment.filters["data_url"] = _data_url
    environment.filters["bidi"] = lambda text: _bidi(text, document.names)
    environment.filters["isolate"] = lambda text: isolate(text, document.names)
    environment.tests["a_name"] = lambda text: text in document.names
    templates = files("sweeper.report") / "templates"
    script = (templates / "page.js").read_text(encoding="utf-8")
    items = list(document.items())
    figures = {item.id: _figure_json(item.block) for item in items if isinstance(item.block, Figure)}
    plotly = get_plotlyjs() if figures else ""
    return environment.get_template("page.html.j2").render(
        document=document,
        figures=_json(figures),
        themes=_json(THEMES),
        # Both are files of this package or of Plotly's, not input.
        script=Markup(script),  # noqa: S704
        plotly=Markup(plotly),  # noqa: S704
        style=Markup((templates / "page.css").read_text(encoding="utf-8")),  # noqa: S704
        script_hashes=Markup(" ".join(map(_digest, filter(None, (script, plotly))))),  # noqa: S704
        rows=_rows,
        print_width=_print_width,
        links={item.id: item.data for item in items if with_data},
    )
