"""What accuracy costs over several studies: model size, training time, and the trials that none beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.axes import log_ticks
from sweeper.report.blocks import Block, Column, Figure, Row, Table
from sweeper.report.format import as_float, count, duration, number, param_text, percent, plural
from sweeper.report.sections.head import run_seconds
from sweeper.report.shares import is_share
from sweeper.report.study_data import StudyData
from sweeper.report.theme import MUTED, blank_figure, plain, series_style

__all__ = ["build_costs", "draw_cost", "gather_costs", "pareto_front"]

_COSTS = {"n_parameters": "parameters", "seconds": "training time (s)"}
_N_ROWS = 15


def gather_costs(studies: Sequence[StudyData], *, quantity: str, maximize: bool) -> pd.DataFrame:
    """Every complete trial of all studies: columns study, trial, value (in validation), n_parameters, seconds (from
    start to end of its run), is_best (of its study), front_n_parameters, front_seconds (whether no other trial is at
    least as good and costs less)."""
    rows: list[dict[str, Any]] = []
    for data in studies:
        own = data.objective.metric == f"val/{quantity}"
        for run in data.complete:
            value = as_float(run.value) if own else data.at_epoch(run, f"val/{quantity}")
            n_parameters = run.tags.get("sweeper.n_parameters", "")
            if value is not None:
                rows.append(
                    {
                        "study": data.record.name,
                        "trial": run.number,
                        "value": value,
                        "n_parameters": int(n_parameters) if n_parameters.isdecimal() else None,
                        "seconds": run_seconds(run),
                        "is_best": run is data.best,
                    }
                )
    frame = pd.DataFrame(rows, columns=["study", "trial", "value", *_COSTS, "is_best"], dtype=object)
    frame = frame.where(frame.notna(), None)
    for cost in _COSTS:
        frame[f"front_{cost}"] = pareto_front(frame["value"].tolist(), frame[cost].tolist(), maximize=maximize)
    return frame


def pareto_front(values: Sequence[float], costs: Sequence[float | None], *, maximize: bool) -> list[bool]:
    """Which of some points no other one beats: better at no higher cost, or as good at a lower one.

    Of equal points the first counts. Points without a cost, or with none above 0, are not on the front.
    """
    sign = -1.0 if maximize else 1.0
    order = [i for i, cost in enumerate(costs) if cost is not None and cost > 0]
    order.sort(key=lambda i: (costs[i] or 0.0, sign * values[i], i))
    on_front = [False] * len(values)
    best: float | None = None
    for i in order:
        if best is None or sign * values[i] < best:
            best = sign * values[i]
            on_front[i] = True
    return on_front


def draw_cost(frame: pd.DataFrame, cost: str, *, quantity: str) -> Figure | None:
    """Trials of all studies over a cost, the best of each large, and the Pareto front; None where all cost the same."""
    known = frame[[c is not None and c > 0 for c in frame[cost]]]
    if known[cost].nunique() < 2:
        return None
    in_percent = is_share(f"val/{quantity}")
    words = quantity.replace("_", " ")
    figure = blank_figure(x=_COSTS[cost], y=f"validation {words}", percent_y=in_percent, legend=True)
    shown = "%{y:.2~%}" if in_percent else "%{y:.4g}"
    front = known[known[f"front_{cost}"]].sort_values(cost, kind="stable")
    figure.add_trace(
        go.Scatter(
            x=front[cost].tolist(),
            y=front["value"].tolist(),
            mode="lines",
            name="Pareto front",
            line={"shape": "hv", "color": MUTED, "width": 1.5, "dash": "dot"},
            hoverinfo="skip",
        )
    )
    for index, study in enumerate(dict.fromkeys(frame["study"])):
        rows = known[known["study"] == study]
        if rows.empty:
            continue
        colour, _, symbol = series_style(index)
        figure.add_trace(
            go.Scatter(
                x=rows[cost].tolist(),
                y=rows["value"].tolist(),
                customdata=[f"{plain(study)}, trial {n}" for n in rows["trial"]],
                mode="markers",
                name=plain(study),
                marker={
                    "color": colour,
                    "symbol": symbol,
                    "size": [12 if best else 6 for best in rows["is_best"]],
                    "opacity": [1.0 if best else 0.55 for best in rows["is_best"]],
                },
                hovertemplate=f"%{{customdata}}: {shown}, %{{x:,.3~s}}<extra></extra>",
            )
        )
    low, high = float(min(known[cost])), float(max(known[cost]))
    if high > 5 * low:
        ticks = log_ticks(low, high)
        texts = [count(t) if t >= 1 else param_text(t) for t in ticks]
        figure.update_xaxes(type="log", tickmode="array", tickvals=ticks, ticktext=texts)
    return Figure(
        key=f"cost-{cost.replace('_', '-')}",
        title=f"{words.capitalize()} against {'model size' if cost == 'n_parameters' else 'training time'}",
        description=f"{plural(len(known), 'complete trial')} of {known['study'].nunique()} studies as points, "
        f"{plural(len(front), 'of them on the front', 'of them on the front')}.",
        figure=figure,
        data=known,
        note="One point a complete trial, in validation; large: the best of a study, with seeds its typical one. "
        + ("" if cost == "n_parameters" else "Times are from start to end of a run, on its device and beside others. ")
        + "On the dotted line no trial is better without costing more.",
        height=400,
    )


def _tabulate(frame: pd.DataFrame, *, quantity: str, maximize: bool) -> Table | None:
    front = frame[frame["front_n_parameters"] | frame["front_seconds"]]
    if len(front) < 2:
        return None
    in_percent = is_share(f"val/{quantity}")
    sizes, times = front["front_n_parameters"].tolist(), front["front_seconds"].tolist()
    shown = front.assign(
        front=["size and time" if s and t else "size" if s else "time" for s, t in zip(sizes, times, strict=True)]
    ).sort_values(["value", "study", "trial"], ascending=[not maximize, True, True], kind="stable")
    columns = [
        Column(key="study", label="study", header=True),
        Column(key="trial", label="trial", numeric=True),
        Column(
            key="value",
            label=f"validation {quantity.replace('_', ' ')}" + (" (%)" if in_percent else ""),
            show=percent if in_percent else number,
            numeric=True,
        ),
        Column(key="n_parameters", label="parameters", show=count, numeric=True),
        Column(key="seconds", label="time", show=lambda v: duration(as_float(v)), numeric=True),
        Column(key="front", label="unbeaten in"),
    ]
    return Table(
        key="pareto",
        title="Trials on a Pareto front",
        frame=shown,
        columns=columns,
        note="Unbeaten: no trial of these studies is better with fewer parameters, or in less time.",
        interactive=len(shown) > _N_ROWS,
    )


def build_costs(studies: Sequence[StudyData], *, quantity: str, maximize: bool) -> list[Block]:
    """Accuracy against model size and training time, and the trials on a front; nothing without complete trials."""
    frame = gather_costs(studies, quantity=quantity, maximize=maximize)
    figures = [figure for cost in _COSTS if (figure := draw_cost(frame, cost, quantity=quantity)) is not None]
    if not figures:
        return []
    table = _tabulate(frame, quantity=quantity, maximize=maximize)
    return [Row(items=figures), *([table] if table is not None else [])]
