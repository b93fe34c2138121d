"""Parallel coordinates: every complete trial as a line through its parameters, the best on top."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from sweeper.report.blocks import Figure
from sweeper.report.drawn import Drawn, DrawnParameter
from sweeper.report.format import param_text, plural
from sweeper.report.study_data import StudyData
from sweeper.report.theme import blank_figure, in_lines, ordered_colour, plain

__all__ = ["build_parallel", "gather_parallel"]

_N_GROUPS = 5
_N_TEXTS = 6
"""At most so many categories of one parameter are written out."""
_N_LETTERS = 14
_N_LINES = 500
"""With more lines nobody can follow one, and a browser takes seconds to draw them."""
_JITTER = 0.03
"""Categories are spread by so much, so that lines through one value can be told apart."""

_BELOW = 0.16
"""Texts stand so far below their axis, as a share of the distance between two."""


def gather_parallel(drawn: Drawn) -> pd.DataFrame:
    """Complete trials, best first: columns trial, value, group (0 for the best fifth), one a parameter."""
    sign = -1.0 if drawn.data.objective.maximize else 1.0
    order = sorted(range(len(drawn.runs)), key=lambda i: (sign * drawn.values[i], drawn.runs[i].number))
    groups = _groups([drawn.values[i] for i in order])
    rows = [
        {
            "trial": drawn.runs[i].number,
            "value": drawn.values[i],
            "group": group,
            **{p.path: drawn.rows[i].get(p.path) for p in drawn.parameters},
        }
        for group, i in zip(groups, order, strict=True)
    ]
    frame = pd.DataFrame(rows, dtype=object)
    return frame.where(frame.notna(), None)


def _groups(values: Sequence[float]) -> list[int]:
    """Groups of about as many trials each, from 0, of values in order; equal values stay together."""
    n_groups = min(_N_GROUPS, len(values))
    first = {value: place for place, value in reversed(list(enumerate(values)))}
    groups = [first[value] * n_groups // len(values) for value in values]
    names = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    return [names[group] for group in groups]


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    """All trials, or as many as can be drawn, evenly by rank: the best and the worst among them."""
    places = np.linspace(0, len(frame) - 1, min(len(frame), _N_LINES)).round().astype(int)
    return frame.iloc[places]


def _place(parameter: DrawnParameter, value: float | str) -> float:
    """Where a value lies on its axis, 0 to 1."""
    if not parameter.is_number:
        return parameter.options.index(value) / (len(parameter.options) - 1)
    low, high = float(parameter.options[0]), float(parameter.options[-1])
    if parameter.is_log:
        return (math.log(float(value)) - math.log(low)) / (math.log(high) - math.log(low))
    return (float(value) - low) / (high - low)


def _texts(parameter: DrawnParameter) -> list[tuple[float, str]]:
    """What is written along an axis: the categories, if few, else the ends."""
    options: Sequence[float | str] = parameter.options
    if parameter.is_number or len(options) > _N_TEXTS:
        options = (options[0], options[-1])
    return [(_place(parameter, option), _cut(param_text(option))) for option in options]


def _cut(text: str) -> str:
    # The end of a long one tells it apart: `flip + crop` and `flip + crop + cutout`.
    return text if len(text) <= _N_LETTERS else f"…{text[1 - _N_LETTERS :].lstrip()}"


def build_parallel(data: StudyData, drawn: Drawn) -> Figure:
    """Axes lie below each other, so that names are written in full on a narrow page too."""
    frame = gather_parallel(drawn)
    figure = blank_figure(x="", y="", legend=True)
    low, high = min(drawn.values), max(drawn.values)
    n_groups = int(frame["group"].max()) + 1
    shown = _shown(frame)
    parameters = drawn.parameters
    n = len(parameters)
    for group in reversed(range(n_groups)):
        own = shown[shown["group"] == group]
        xs: list[float | None] = []
        ys: list[float | None] = []
        texts: list[str] = []
        for place, (_, row) in enumerate(own.iterrows()):
            shift = _JITTER * (2.0 * (place + 0.5) / len(own) - 1.0)
            head = f"trial {row['trial']}, {data.value_text(row['value'])}"
            xs.append((row["value"] - low) / (high - low) if high > low else 0.5)
            ys.append(0)
            texts.append(head)
            for line, parameter in enumerate(parameters, start=1):
                value = row[parameter.path]
                at = None if value is None else _place(parameter, value)
                xs.append(None if at is None else round(at + (0.0 if parameter.is_number else shift), 4))
                ys.append(None if at is None else line)
                texts.append("" if value is None else f"{head}: {plain(parameter.label)} {plain(param_text(value))}")
            xs.append(None)
            ys.append(None)
            texts.append("")
        ends = sorted({data.value_text(own["value"].min()), data.value_text(own["value"].max())})
        figure.add_trace(
            go.Scatter(
                x=xs,
                y=ys,
                text=texts,
                mode="lines+markers",
                name=" to ".join(ends),
                line={"color": ordered_colour(group, n_groups), "width": 2.5 if group == 0 else 1.2},
                marker={"size": 4},
                opacity=1.0 if group == 0 else 0.8,
                legendrank=group,
                hovertemplate="%{text}<extra></extra>",
            )
        )
    marks = [(0.0, 0, data.value_text(low)), (1.0, 0, data.value_text(high))] if high > low else []
    marks += [(at, line, plain(text)) for line, p in enumerate(parameters, start=1) for at, text in _texts(p)]
    figure.add_trace(
        go.Scatter(
            x=[at for at, _, _ in marks],
            y=[line + _BELOW for _, line, _ in marks],
            text=[text for _, _, text in marks],
            textposition=[
                "bottom right" if at == 0 else "bottom left" if at == 1 else "bottom center" for at, *_ in marks
            ],
            textfont={"size": 11},
            mode="text",
            hoverinfo="skip",
            showlegend=False,
        )
    )
    figure.update_layout(
        xaxis={"visible": False, "range": [-0.05, 1.05], "fixedrange": True},
        yaxis={
            "tickmode": "array",
            "tickvals": list(range(n + 1)),
            "ticktext": [in_lines(plain(data.value_label)), *(plain(p.label) for p in parameters)],
            "range": [n + 0.6, -0.4],
            "showline": False,
            "ticks": "",
            "fixedrange": True,
        },
    )
    some = f" Of {len(frame):,} trials {len(shown)} are drawn, evenly by rank." if len(shown) < len(frame) else ""
    return Figure(
        key="parallel",
        title="Parallel coordinates of the complete trials",
        description=f"{plural(len(shown), 'line')} through the values of {plural(n, 'parameter')}, "
        "coloured by the objective.",
        figure=figure,
        data=frame,
        note=f"One line a trial, coloured by its rank: {n_groups} groups of about the same size, named by their "
        f"{data.value_label}, the best one thick. A click on the legend hides a group. A line breaks where a trial has "
        f"no such parameter.{some}",
        height=120 + 52 * (n + 1),
    )
