"""Room for legends: a figure is as much higher as its legend is, so that the plot keeps its own height."""

from __future__ import annotations

import math

import plotly.graph_objects as go

__all__ = ["legend_height"]

_WIDTH = 520
"""Pixels of a figure beside another one on a desktop."""
_LETTER = 6.6
"""Mean width of a letter in pixels, in Plotly's legend."""
_HANDLE = 42
"""Pixels of the line before a name, and between two names."""
_LINE = 19
_N_FREE = 2
"""Lines for which every figure has room."""


def legend_height(figure: go.Figure) -> int:
    """Pixels that the legend of a figure needs beyond two lines; 0 for less or none.

    As Plotly does, names stand in columns as wide as the longest of them.
    """
    if not figure.layout.showlegend:
        return 0
    names = [trace.name for trace in figure.data if trace.name and trace.showlegend is not False]
    if not names:
        return 0
    column = _HANDLE + _LETTER * max(map(len, names))
    n_lines = math.ceil(len(names) / max(int(_WIDTH / column), 1))
    return _LINE * max(n_lines - _N_FREE, 0)
