"""Tables and the data of figures as CSV."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from sweeper.report.blocks import Figure, Table
from sweeper.report.format import hide_paths

__all__ = ["render_csv"]


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return json.dumps(list(value))
    return hide_paths(value) if isinstance(value, str) else value


def render_csv(block: Table | Figure) -> str:
    """The whole frame, numbers in full precision; lists as JSON, missing values empty, no folder of the machine."""
    frame: pd.DataFrame = block.frame if isinstance(block, Table) else block.data
    frame = pd.DataFrame({column: [_cell(v) for v in frame[column]] for column in frame.columns}, dtype=object)
    return frame.to_csv(index=False, lineterminator="\n")
