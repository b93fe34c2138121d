"""How figures in files look: the light theme of the page, in matplotlib's words."""

from __future__ import annotations

import html
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import matplotlib as mpl
from matplotlib.colors import LinearSegmentedColormap

from sweeper.report.theme import THEMES

__all__ = [
    "COLOUR_CYCLE",
    "INK",
    "POINTS",
    "Colour",
    "NotDrawableError",
    "colour_of",
    "colour_scale",
    "dash_of",
    "drawing_style",
    "words",
]

Colour: TypeAlias = str | tuple[float, float, float, float]

_LAYOUT: dict[str, Any] = THEMES["light"]["layout"]
INK: str = _LAYOUT["font"]["color"]
COLOUR_CYCLE: list[str] = _LAYOUT["colorway"]
POINTS = 0.75
"""Points in a pixel of the page."""
_DASHES: dict[str, Any] = {
    "solid": "-",
    "dash": (0, (4.5, 2.5)),
    "longdash": (0, (7.0, 2.5)),
    "dot": (0, (1.2, 1.8)),
    "dashdot": (0, (4.5, 2.0, 1.2, 2.0)),
    "longdashdot": (0, (7.0, 2.0, 1.2, 2.0)),
}
_RGB = re.compile(r"rgba?\(([^)]*)\)")
_OWN: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": _LAYOUT["xaxis"]["linecolor"],
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    "font.family": ["sans-serif"],
    # DejaVu Sans comes with matplotlib, so that a figure has the same lines on every machine.
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 8.5,
    "grid.color": _LAYOUT["xaxis"]["gridcolor"],
    "grid.linewidth": 0.7,
    "legend.columnspacing": 1.4,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "legend.title_fontsize": 8.5,
    "lines.scale_dashes": False,
    # Glyphs as they are in the font, which LaTeX's engines embed; not bitmaps (type 3), which journals refuse.
    "pdf.fonttype": 42,
    # Text stays text: it can be searched, and a viewer writes every script in the direction that it has.
    "svg.fonttype": "none",
    # Ids of an SVG file are random without it.
    "svg.hashsalt": "sweeper",
    "text.color": INK,
    # A dollar sign in a name begins no formula.
    "text.parse_math": False,
    "xtick.color": _LAYOUT["xaxis"]["tickcolor"],
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.color": _LAYOUT["xaxis"]["tickcolor"],
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
}


class NotDrawableError(Exception):
    """A figure has a part that only the page can show."""


@contextmanager
def drawing_style() -> Iterator[None]:
    """Our style alone, whatever matplotlibrc or the calling program has set; what was set comes back afterwards."""
    defaults: dict[Any, Any] = {
        key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith("backend")
    }
    with mpl.rc_context(defaults | _OWN), warnings.catch_warnings():
        # Text of an SVG file is written in the viewer's font, which may well have it.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        yield


def colour_of(text: Any, opacity: float | None = None) -> Colour:
    """A colour of Plotly's, `#rrggbb`, `rgb(…)` or `rgba(…)`, with the opacity of its trace."""
    found = _RGB.fullmatch(str(text).strip())
    if found is None:
        return mpl.colors.to_rgba(str(text), opacity)
    parts = [float(part) for part in found.group(1).split(",")]
    alpha = parts[3] if len(parts) > 3 else 1.0
    return (parts[0] / 255, parts[1] / 255, parts[2] / 255, alpha if opacity is None else opacity * alpha)


def dash_of(name: str | None) -> Any:
    """Matplotlib's line style for Plotly's."""
    return _DASHES.get(name or "solid", "-")


def colour_scale(stops: Any = None) -> LinearSegmentedColormap:
    """A colour scale from pairs of place and colour; by default that of the page's heat maps."""
    return LinearSegmentedColormap.from_list(
        "scale", [(float(place), colour_of(colour)) for place, colour in stops or _LAYOUT["coloraxis"]["colorscale"]]
    )


def words(text: Any) -> str:
    """Plotly's text without its markup: `<br>` as a line break, entities as characters."""
    broken = re.sub(r"<br ?/?>", "\n", str(text or ""))
    return html.unescape(re.sub(r"</?[a-zA-Z][^>]*>", "", broken)).strip(" ")
