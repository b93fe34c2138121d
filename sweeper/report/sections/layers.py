"""Layers of the best trial's network with their parameter counts."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sweeper.report.blocks import Block, Column, Table
from sweeper.report.format import count
from sweeper.report.study_data import StudyData

__all__ = ["build_layers", "gather_layers"]

_N_ROWS = 30
"""A longer table scrolls in a frame of its own, and can be filtered."""


def gather_layers(data: StudyData) -> pd.DataFrame:
    """Columns name, kind, output_shape (`16×30×30`), n_parameters; empty where no layers were recorded."""
    columns = ["name", "kind", "output_shape", "n_parameters"]
    raw = None if data.best is None else data.artifact(data.best, "layers.json")
    layers = [layer for layer in raw if isinstance(layer, dict)] if isinstance(raw, list) else []
    rows = [
        (
            str(layer.get("name", "")),
            str(layer.get("kind", "")),
            "×".join(map(str, layer.get("output_shape") or ())),
            int(layer.get("n_parameters") or 0),
        )
        for layer in layers
    ]
    return pd.DataFrame(rows, columns=columns)


def build_layers(data: StudyData) -> Sequence[Block]:
    """The table; nothing where no layers were recorded."""
    frame = gather_layers(data)
    if frame.empty or data.best is None:
        return []
    columns = [
        Column(key="name", label="layer", header=True),
        Column(key="kind", label="kind"),
        Column(key="output_shape", label="output shape", numeric=True),
        Column(key="n_parameters", label="parameters", show=count, numeric=True),
    ]
    title = f"Layers of trial {data.best.number}: {count(int(frame['n_parameters'].sum()))} parameters"
    return [Table(key="layers", title=title, frame=frame, columns=columns, interactive=len(frame) > _N_ROWS)]
