"""Columns of tables that hold the values of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from sweeper.report.blocks import Column
from sweeper.report.format import param_text

__all__ = ["param_columns", "param_or_dash"]


def param_columns(frame: pd.DataFrame, paths: Iterable[str], labels: Mapping[str, str]) -> list[Column]:
    """A column a parameter, by its short name; those of numbers are aligned as such.

    Args:
        frame: With a column a parameter, under its dotted path.
        paths: The parameters, in their order.
        labels: Their short names.
    """
    return [
        Column(
            key=path,
            label=labels[path],
            title=path,
            show=param_or_dash,
            numeric=all(value is None or _is_number(value) for value in frame[path]),
        )
        for path in paths
    ]


def param_or_dash(value: Any) -> str:
    """A value as text. None is a value of some parameters, and the absence of others: both are a dash."""
    return "–" if value is None else param_text(value)


def _is_number(value: object) -> bool:
    """Whether a value is shown as one number: lists of one, such as the dropout of one layer, are."""
    item = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
    return isinstance(item, int | float) and not isinstance(item, bool)
