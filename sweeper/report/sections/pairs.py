"""Interactions: what two parameters do only together, and contours over the pairs that are worth a look."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.axes import log_ticks
from sweeper.report.blocks import Block, Column, Figure, Note, Row, Table
from sweeper.report.drawn import DrawnParameter
from sweeper.report.format import number, param_text, percent
from sweeper.report.study_data import StudyData
from sweeper.report.surrogate import TRUSTED, USEFUL, Interaction, Surrogate
from sweeper.report.theme import blank_figure, plain

__all__ = ["build_pairs", "draw_contour", "gather_interactions"]

_N_PARAMETERS = 5
_N_CONTOURS = 2
_N_ROWS = 6
_N_LISTED = 8
"""Numbers with no more values than this are drawn as cells, not as a continuous axis."""
_SEEN = 0.005
"""Share of a joint effect that is not shown as 0 %."""
_FAINT = 0.2
"""Share of the colours, from the page's own on, that no value has."""
_WORTH = 0.1
"""Share of a joint effect from which a pair is worth a look."""


def gather_interactions(surrogate: Surrogate, parameters: Sequence[DrawnParameter]) -> list[Interaction]:
    """The pairs of the first few parameters, those that do most together first."""
    pairs = itertools.combinations(parameters[:_N_PARAMETERS], 2)
    found = [i for first, second in pairs if (i := surrogate.interaction(first, second)) is not None]
    return sorted(found, key=lambda i: (-i.size, i.first.path, i.second.path))


def _tabulate(data: StudyData, interactions: Sequence[Interaction], *, log: bool) -> Table:
    rows = [(f"{i.first.label} × {i.second.label}", i.share, i.size) for i in interactions]
    frame = pd.DataFrame(rows, columns=["pair", "share", "size"])
    unit = " (decades)" if log else " (points)" if data.value_is_percent else ""
    columns = [
        Column(key="pair", label="pair", header=True),
        Column(key="share", label="share of the joint effect (%)", show=lambda v: percent(v, 0), numeric=True),
        Column(
            key="size",
            label=f"size{unit}",
            show=(lambda v: percent(v, 2)) if data.value_is_percent else (lambda v: number(v, 2)),
            numeric=True,
        ),
    ]
    note = (
        "What two parameters do together beyond what each does by itself: as a share of the variance of their joint "
        f"effect (H² of Friedman and Popescu), and as standard deviation. Pairs of the {_N_PARAMETERS} most important."
    )
    return Table(key="interactions", title="Interactions", frame=frame, columns=columns, note=note)


def _is_listed(parameter: DrawnParameter) -> bool:
    return not parameter.is_number or len(parameter.options) <= _N_LISTED


def _axis(parameter: DrawnParameter, values: Sequence[float | str]) -> dict[str, Any]:
    """An axis of a map: few values by their place, numbers as they are, in the logarithm where they are so."""
    title = {"text": plain(parameter.label)}
    if _is_listed(parameter):
        texts = [plain(param_text(v)) for v in values]
        return {"title": title, "tickvals": list(range(len(values))), "ticktext": texts, "showgrid": False}
    if parameter.is_log:
        ticks = log_ticks(float(values[0]), float(values[-1]))
        texts = [param_text(t) for t in ticks]
        inside = [(math.log10(t), text) for t, text in zip(ticks, texts, strict=True)]
        low, high = math.log10(float(values[0])), math.log10(float(values[-1]))
        inside = [(t, text) for t, text in inside if low <= t <= high]
        return {"title": title, "tickvals": [t for t, _ in inside], "ticktext": [t for _, t in inside]}
    return {"title": title}


def _place(parameter: DrawnParameter, values: Sequence[float | str], value: float | str) -> float:
    if _is_listed(parameter):
        return float(list(values).index(value))
    return math.log10(float(value)) if parameter.is_log else float(value)


def draw_contour(data: StudyData, surrogate: Surrogate, first: DrawnParameter, second: DrawnParameter) -> Figure:
    """The model's value over two parameters, and the trials as points."""
    xs, ys, means = surrogate.joint(first, second)
    cells = [[float(f"{10.0**v if surrogate.log else v:.6g}") for v in line] for line in means]
    numbers = not _is_listed(first) and not _is_listed(second)
    figure = blank_figure(x=first.label, y=second.label)
    px, py = ([_place(p, values, v) for v in values] for p, values in ((first, xs), (second, ys)))
    shown = "%{z:.2~%}" if data.value_is_percent else "%{z:.4g}"
    surface: dict[str, Any] = {
        "x": px,
        "y": py,
        "z": cells,
        "coloraxis": "coloraxis",
        "hovertemplate": f"model: {shown}<extra></extra>",
    }
    figure.add_trace(
        go.Contour(**surface, line={"width": 0.5}, ncontours=12) if numbers else go.Heatmap(**surface, xgap=1, ygap=1)
    )
    own = [(run, row) for run, row in zip(surrogate.drawn.runs, surrogate.drawn.rows, strict=True)]
    points = [(run, row[first.path], row[second.path]) for run, row in own if first.path in row and second.path in row]
    figure.add_trace(
        go.Scatter(
            x=[_place(first, xs, x) for _, x, _ in points],
            y=[_place(second, ys, y) for _, _, y in points],
            customdata=[f"trial {run.number}: {data.value_text(run.value)}" for run, _, _ in points],
            mode="markers",
            cliponaxis=False,
            marker={"size": 6, "color": "#7F7F7F", "line": {"width": 1, "color": "#ffffff"}},
            showlegend=False,
            hovertemplate="%{customdata}<extra></extra>",
        )
    )
    lowest, highest = min(map(min, cells)), max(map(max, cells))
    figure.update_layout(
        xaxis=_axis(first, xs),
        yaxis=_axis(second, ys),
        coloraxis={
            # The lowest colour is that of the page: it would look as if nothing were there.
            "cmin": lowest - _FAINT * (highest - lowest),
            "cmax": highest,
            "colorbar": {
                "thickness": 12,
                "tickformat": ".2~%" if data.value_is_percent else ".3~g",
                "outlinewidth": 0,
                "len": 1,
            },
        },
    )
    best = max if data.objective.maximize else min
    value, i, j = best((v, i, j) for j, line in enumerate(cells) for i, v in enumerate(line))
    places = f"{first.label} {param_text(xs[i])} and {second.label} {param_text(ys[j])}"
    unit = " %" if data.value_is_percent else ""
    frame = pd.DataFrame(
        [(x, y, cells[j][i]) for j, y in enumerate(ys) for i, x in enumerate(xs)],
        columns=[first.path, second.path, "value"],
        dtype=object,
    )
    return Figure(
        key=f"contour-{first.path}-{second.path}".replace(".", "-"),
        title=f"{data.value_label.removesuffix(' (%)').capitalize()} over {first.label} and {second.label}",
        description=f"A map of the model's value; it is best, {data.value_text(value)}{unit}, at {places}.",
        figure=figure,
        data=frame,
        note="Colour: the model's mean over the other parameters. Points: complete trials. Far from points it guesses.",
        height=380,
    )


def _describe(surrogate: Surrogate, worth: Sequence[Interaction], *, any_listed: bool) -> str:
    """Which pairs are worth a look, or why none is said to be."""
    explained = surrogate.explained
    if explained < TRUSTED:
        share = f"{percent(explained, 0)} %" if explained > 0.0 else "nothing"
        return (
            f"No pair is called worth a look: for that, the model would have to explain {percent(TRUSTED, 0)} % of the "
            f"variance of trials that it has not seen, and it explains {share}."
        )
    if worth:
        return f"Worth a look: {', '.join(f'{i.first.label} × {i.second.label}' for i in worth)}."
    if any_listed:
        return "No pair does much together: each parameter can be read by itself."
    return f"No pair of the {_N_PARAMETERS} most important does anything together in the model."


def build_pairs(data: StudyData, surrogate: Surrogate, parameters: Sequence[DrawnParameter]) -> list[Block]:
    """The table of the pairs, which of them are worth a look, and contours; nothing for a single parameter, and of a
    model that says next to nothing the words alone."""
    interactions = gather_interactions(surrogate, parameters) if len(parameters) > 1 else []
    if not interactions:
        return []
    listed = [i for i in interactions[:_N_ROWS] if i.share >= _SEEN]
    worth = [i for i in listed if i.share >= _WORTH] if surrogate.explained >= TRUSTED else []
    blocks: list[Block] = [Note(text=_describe(surrogate, worth, any_listed=bool(listed)))]
    if surrogate.explained < USEFUL:
        return blocks
    if listed:
        blocks.append(_tabulate(data, listed, log=surrogate.log))
    shown = [*worth, *(i for i in interactions if i not in worth)][:_N_CONTOURS]
    blocks.append(Row(items=[draw_contour(data, surrogate, i.first, i.second) for i in shown]))
    return blocks
