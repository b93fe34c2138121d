"""Figures as files, SVG and PDF, drawn by matplotlib from the traces of the page's Plotly figures."""

from sweeper.report.drawing.figure import draw_figure

__all__ = ["draw_figure"]
