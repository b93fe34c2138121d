"""Features of a trial's model in the plane, beside a principal component analysis of the pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.blocks import Block, Column, Figure, Row, Table
from sweeper.report.format import percent, plural
from sweeper.report.study_data import StudyData
from sweeper.report.theme import blank_figure, plain, series_style
from sweeper.tracking.analyses import FoundResult, find_results

__all__ = ["build_embedding", "draw_plane", "gather_plane", "gather_separation"]

_PARTS = {"train": "training", "val": "validation", "both": "training and validation"}
_N_SMALL = 1000
"""Of more pictures than this, points are small."""
_WORDS = {"features": "the features", "pixels": "the pixels"}


def gather_plane(found: FoundResult, space: str) -> pd.DataFrame:
    """Columns: picture, class, x, y; by class, then by picture."""
    result = found.result
    points = result["spaces"][space]["points"]
    frame = pd.DataFrame(
        {
            "picture": result["pictures"],
            "label": result["classes"],
            "class": [result["class_names"][k] for k in result["classes"]],
            "x": [x for x, _ in points],
            "y": [y for _, y in points],
        }
    )
    return frame.sort_values(["label", "picture"], kind="stable", ignore_index=True).drop(columns="label")


def gather_separation(found: FoundResult) -> pd.DataFrame:
    """Columns: space, dimensions, knn_accuracy, silhouette; the plane and, where there are more, all dimensions."""
    rows = []
    for space, described in found.result["spaces"].items():
        rows.append({"space": _title(found, space), "dimensions": 2, **described["plane"]})
        if described["n_dimensions"] != 2:
            rows.append({"space": _title(found, space), "dimensions": described["n_dimensions"], **described["all"]})
    return pd.DataFrame(rows, columns=["space", "dimensions", "knn_accuracy", "silhouette"])


def _title(found: FoundResult, space: str) -> str:
    return {"bottleneck": "bottleneck", "penultimate": "input of the last layer"}.get(
        found.result["features"] if space == "features" else "", "pixels"
    )


def draw_plane(found: FoundResult, space: str, frame: pd.DataFrame) -> Figure:
    """A point a picture, coloured by class."""
    described = found.result["spaces"][space]
    is_plane = described["n_dimensions"] == 2
    axes = ("first unit", "second unit") if is_plane else ("first component", "second component")
    figure = blank_figure(x=axes[0], y=axes[1], legend=True)
    names = found.result["class_names"]
    for index, name in enumerate(names):
        points = frame[frame["class"] == name]
        if points.empty:
            continue
        colour, _, symbol = series_style(index)
        figure.add_trace(
            # Not Scattergl, whose shaders are compiled from text, which the page's security policy refuses.
            go.Scatter(
                x=points["x"].tolist(),
                y=points["y"].tolist(),
                name=plain(name),
                mode="markers",
                # After six classes colours repeat, with other symbols.
                marker={
                    "color": colour,
                    "size": 4 if len(frame) > _N_SMALL else 7,
                    "opacity": 0.7,
                    "symbol": "circle" if index < 6 else symbol,
                },
                hovertemplate="%{x:.3g}, %{y:.3g}",
            )
        )
    what = _title(found, space)
    how = "" if is_plane else ", first two principal components"
    return Figure(
        key=f"t{found.run.number}-{found.variant}-{space}",
        title=f"{what.capitalize()}{how}, trial {found.run.number}",
        description=f"Scatter of {plural(len(frame), 'picture')} by {_WORDS[space]}, coloured by class: "
        f"{percent(described['plane']['knn_accuracy'])} % have the class of most of their neighbours.",
        figure=figure,
        data=frame,
        height=460,
    )


def _signed(value: Any) -> str:
    return f"{value:.3f}".replace("-", "−")


def _largest(result: Any) -> float:
    """Share of the pictures that are of the most frequent class."""
    return max(Counter(result["classes"]).values()) / len(result["classes"])


def _draw_separation(found: FoundResult, frame: pd.DataFrame) -> Table:
    result = found.result
    return Table(
        key=f"t{found.run.number}-{found.variant}-separation",
        title=f"How well classes separate, trial {found.run.number}",
        frame=frame,
        columns=[
            Column(key="space", label="of", header=True),
            Column(key="dimensions", label="dimensions", numeric=True),
            Column(key="knn_accuracy", label="neighbours (%)", show=percent, numeric=True),
            Column(key="silhouette", label="silhouette", show=_signed, numeric=True),
        ],
        note=f"Over {plural(result['n_pictures'], 'picture')} for {_PARTS[result['part']]}, by their "
        f"{result['labels']} labels. Neighbours: share of pictures that have the class of most of their "
        f"{result['n_neighbours']} nearest neighbours; to say the largest class of every picture would be right for "
        f"{percent(_largest(result))} %. Silhouette: −1 to 1, how much nearer a picture is to its own "
        "class than to the next.",
    )


def build_embedding(data: StudyData) -> Sequence[Block]:
    """Features and pixels side by side, and how well classes separate in each; nothing where nobody looked."""
    blocks: list[Block] = []
    for found in find_results(data.record, data.reader, "embedding"):
        figures = [draw_plane(found, space, gather_plane(found, space)) for space in ("features", "pixels")]
        blocks += [Row(items=figures), _draw_separation(found, gather_separation(found))]
    return blocks
