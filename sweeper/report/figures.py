"""`sweeper.figures`: the figures of a report, one by one, as in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from sweeper.errors import NotFoundError
from sweeper.report.blocks import Figure
from sweeper.report.document import build_document
from sweeper.report.sections import choose_sections
from sweeper.tracking.runs import read_study

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from sweeper.tracking.workspace import Workspace

__all__ = ["Figures", "ReportFigure", "figures"]


class ReportFigure:
    """A figure of a report. Shown in a notebook, it is an SVG picture, which stays in it wherever it is read."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure

    def __repr__(self) -> str:
        return f"<ReportFigure {self.title}>"

    @property
    def title(self) -> str:
        return self._figure.title

    @property
    def description(self) -> str:
        """What it shows, in words."""
        return self._figure.description

    @property
    def data(self) -> pd.DataFrame:
        """What it is drawn from."""
        return self._figure.data

    @property
    def plotly(self) -> go.Figure:
        """To be zoomed into, changed, or shown by Plotly (`.plotly.show()`)."""
        return self._figure.figure

    def to_svg(self) -> str | None:
        """As an SVG file; None for one that only a browser can show, such as one in three dimensions."""
        from sweeper.report.drawing import draw_figure

        drawn = draw_figure(self._figure, ["svg"])
        return drawn["svg"].decode() if drawn else None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        svg = self.to_svg()
        if svg is None:
            html = self.plotly.to_html(full_html=False, include_plotlyjs=True)
            return {"text/plain": repr(self), "text/html": html}
        return {"text/plain": f"{self.title}. {self.description}", "image/svg+xml": svg}


class Figures(Mapping[str, ReportFigure]):
    """The figures of a report by their names, in its order."""

    def __init__(self, found: Mapping[str, ReportFigure]) -> None:
        self._found = dict(found)

    def __getitem__(self, name: str) -> ReportFigure:
        if name not in self._found:
            raise NotFoundError(f"no figure {name!r}; there are {', '.join(self._found) or 'none'}")
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __repr__(self) -> str:
        return f"<Figures {', '.join(self._found)}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td><code>{escape(name)}</code></td><td>{escape(each.title)}</td></tr>"
            for name, each in self._found.items()
        )
        return f"<table><tbody>{rows}</tbody></table>"


def figures(
    study: str,
    *,
    sections: Sequence[str] = (),
    top: int = 5,
    by: str | None = None,
    workspace: Workspace | None = None,
) -> Figures:
    """The figures of the report of a study, as `sweeper report` has them.

    Args:
        study: Its name.
        sections: Keys of the sections whose figures are wanted, as of `--section`. Default: all.
        top: How many of the best trials are shown in detail.
        by: The parameter by which trials are compared. Default: the one that explains most.
        workspace: Default: the current folder's, with `MLFLOW_TRACKING_URI` honoured.

    Raises:
        NotFoundError: Nothing of that name is tracked.
        InputError: No such section, or no parameter `by` varied.
    """
    record, reader = read_study(study, workspace)
    document = build_document([record], reader, top=top, by=by, sections=choose_sections(sections))
    return Figures({item.stem: ReportFigure(item.block) for item in document.items() if isinstance(item.block, Figure)})
