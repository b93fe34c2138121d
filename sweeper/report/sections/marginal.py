"""Marginal effects: the value against each parameter, the others averaged over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from sweeper.report.axes import category_axis, spread_axis, tick_room
from sweeper.report.blocks import Block, Figure, Row
from sweeper.report.drawn import DrawnParameter
from sweeper.report.format import param_text
from sweeper.report.study_data import StudyData
from sweeper.report.surrogate import Marginal, Surrogate
from sweeper.report.theme import blank_figure, plain, plotted, series_style

__all__ = ["build_marginals", "draw_marginal", "gather_marginal"]

_N_FIGURES = 9


def gather_marginal(data: StudyData, surrogate: Surrogate, marginal: Marginal) -> pd.DataFrame:
    """Columns x, mean, low, high (95 % interval), in the unit of the objective."""
    ends = [_of_value(data, surrogate, values) for values in (marginal.mean, marginal.low, marginal.high)]
    frame = pd.DataFrame({"x": list(marginal.xs), "mean": ends[0], "low": ends[1], "high": ends[2]})
    return frame.astype({"x": object})


def _of_value(data: StudyData, surrogate: Surrogate, values: npt.NDArray[np.float64]) -> list[float]:
    shown = 10.0**values if surrogate.log else np.clip(values, 0.0, 1.0) if data.value_is_percent else values
    return [float(f"{v:.6g}") for v in shown]


def draw_marginal(
    data: StudyData, surrogate: Surrogate, parameter: DrawnParameter, frame: pd.DataFrame, shown: tuple[float, float]
) -> Figure:
    """A line with its band; for categories points with bars. `shown` is the range of the value axis, where that is
    linear."""
    label = data.value_label.removesuffix(" (%)")
    n_own, n_trials = sum(parameter.path in row for row in surrogate.drawn.rows), len(surrogate.drawn.rows)
    figure = blank_figure(x=parameter.label, y=label, percent_y=data.value_is_percent)
    colour = series_style(0)[0]
    value = "%{y:.2~%}" if data.value_is_percent else "%{y:.4g}"
    low, high, mean = (plotted(frame[key]) for key in ("low", "high", "mean"))
    if parameter.is_number:
        xs = plotted(frame["x"])
        figure.add_trace(
            go.Scatter(
                x=[*xs, *reversed(xs)],
                y=[*high, *reversed(low)],
                fill="toself",
                fillcolor="rgba(31,127,196,0.18)",
                line={"width": 0},
                mode="lines",
                hoverinfo="skip",
            )
        )
        few = len(xs) <= 8
        figure.add_trace(
            go.Scatter(
                x=xs,
                y=mean,
                mode="lines+markers" if few else "lines",
                line={"color": colour, "width": 2},
                hovertemplate=f"{plain(parameter.label)} %{{x:.3g}}: {value}<extra></extra>",
            )
        )
        spread_axis(figure, [float(x) for x in parameter.options], log=parameter.is_log, narrow=True)
    else:
        names = [plain(param_text(x)) for x in frame["x"]]
        figure.add_trace(
            go.Scatter(
                x=names,
                y=mean,
                mode="markers",
                marker={"color": colour, "size": 8},
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [h - m for h, m in zip(frame["high"], frame["mean"], strict=True)],
                    "arrayminus": [m - lo for lo, m in zip(frame["low"], frame["mean"], strict=True)],
                    "color": colour,
                    "thickness": 1.5,
                },
                hovertemplate=f"%{{x}}: {value}<extra></extra>",
            )
        )
        category_axis(figure, names)
    if surrogate.log:
        figure.update_yaxes(type="log")
    else:
        figure.update_yaxes(range=list(shown))
    ends = frame["mean"].astype(float)
    unit = " %" if data.value_is_percent else ""
    return Figure(
        key=f"effect-{parameter.path.replace('.', '-')}",
        title=f"Marginal effect of {parameter.label}",
        description=f"{label} from {data.value_text(float(ends.min()))} to {data.value_text(float(ends.max()))}{unit} "
        f"over the values of {parameter.path}, others averaged over.",
        figure=figure,
        data=frame,
        note="" if n_own == n_trials else f"Over the {n_own} of {n_trials} trials that have it.",
        height=280 + tick_room(figure),
    )


def build_marginals(data: StudyData, surrogate: Surrogate, parameters: Sequence[DrawnParameter]) -> list[Block]:
    """A figure for each of the parameters, which come in their order; all on one value axis."""
    frames = {p: gather_marginal(data, surrogate, surrogate.marginal(p)) for p in parameters[:_N_FIGURES]}
    low, high = min(f["low"].min() for f in frames.values()), max(f["high"].max() for f in frames.values())
    margin = 0.06 * (high - low) or 0.01
    shown = (float(low - margin), float(high + margin))
    figures = [draw_marginal(data, surrogate, p, f, shown) for p, f in frames.items()]
    return [Row(items=figures, columns=3)]
