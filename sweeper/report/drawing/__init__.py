"""Figures as files, SVG and PDF, drawn by matplotlib from the traces of the page's Plotly figures; no browser needed."""

from sweeper.report.drawing.figure import DrawnFigure, draw_figure

__all__ = ["DrawnFigure", "draw_figure"]
