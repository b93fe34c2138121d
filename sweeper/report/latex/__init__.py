"""A report as LaTeX: a booktabs table in a file of its own for each table, and a document that inputs them."""

from sweeper.report.latex.document import render_latex
from sweeper.report.latex.table import render_latex_table

__all__ = ["render_latex", "render_latex_table"]
