"""How the search went: value against trial number, and against each parameter that varied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.axes import category_axis, spread_axis, tick_room
from sweeper.report.blocks import Block, Figure, Note, Row
from sweeper.report.determined import describe_determined, find_determined
from sweeper.report.format import as_float, param_text, plural, short_names
from sweeper.report.levels import is_log
from sweeper.report.parameters import expand_lists, tree_order, varied_params
from sweeper.report.searched import Parameter
from sweeper.report.sections.head import state_words
from sweeper.report.study_data import StudyData
from sweeper.report.theme import MUTED, blank_figure, plain, plotted, series_style, whole_ticks
from sweeper.tracking.records import RunRecord

__all__ = [
    "build_search",
    "draw_optimization",
    "draw_slice",
    "drawn_rows",
    "gather_optimization",
    "gather_slices",
    "sampler_learns",
    "value_range",
]

_EVEN_SAMPLERS = ("grid", "random", "qmc")
_VALUED_STATES = ("COMPLETE", "PRUNED")
_SMALL_RANGE = 8
_N_DRAWN = 2000
"""A browser draws each point as an element of its own: twenty figures of ten thousand would take it a minute."""
_N_BEST_DRAWN = 100


def gather_optimization(data: StudyData) -> pd.DataFrame:
    """Value against trial number: columns trial, state, value, best (of the complete trials so far).

    Complete and pruned trials with a finite value, by number.
    """
    rows: list[tuple[Any, ...]] = []
    best: float | None = None
    for run in data.runs:
        value = as_float(run.value)
        if run.state not in _VALUED_STATES or value is None:
            continue
        if run.state == "COMPLETE" and data.objective.is_better(value, best):
            best = value
        rows.append((run.number, run.state, value, best))
    return pd.DataFrame(rows, columns=["trial", "state", "value", "best"])


def drawn_rows(data: StudyData, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of a frame with a row a trial that are drawn: all, or of very many the best and a share of the others,
    evenly spread over the trials."""
    if len(frame) <= _N_DRAWN:
        return frame
    values = frame["value"].astype(float).reset_index(drop=True)
    best = (values.nlargest if data.objective.maximize else values.nsmallest)(_N_BEST_DRAWN, keep="first").index
    spread = (i * len(frame) // _N_DRAWN for i in range(_N_DRAWN))
    return frame.iloc[sorted({*spread, *best.tolist()})]


def _thinning_words(drawn: pd.DataFrame, frame: pd.DataFrame) -> str:
    if len(drawn) == len(frame):
        return ""
    words = f"Drawn are {len(drawn):,} of {len(frame):,} trials, the best {_N_BEST_DRAWN} among them"
    return f"{words}; the CSV file has all."


def value_range(frame: pd.DataFrame) -> tuple[float, float] | None:
    """A range of the value axis that spreads the complete trials, where pruned ones would press them together.

    None where all trials can be shown without that.
    """
    complete = [float(v) for v in frame.loc[frame["state"] == "COMPLETE", "value"]]
    everything = [float(v) for v in frame["value"]]
    if len(complete) < 3:
        return None
    low, high = min(complete), max(complete)
    span = high - low
    if span <= 0.0 or max(everything) - min(everything) <= 3.0 * span:
        return None
    return low - 0.2 * span, high + 0.2 * span


def _whole_range(frame: pd.DataFrame) -> tuple[float, float]:
    """A range with all trials in it, which several figures can share."""
    low, high = (float(end) for end in frame["value"].astype(float).agg(["min", "max"]))
    margin = 0.06 * (high - low) or 0.01 * abs(high) or 0.01
    return low - margin, high + margin


def _value_axis(data: StudyData, figure: go.Figure, frame: pd.DataFrame, shown: tuple[float, float] | None) -> None:
    values = [float(v) for v in frame["value"]]
    # Losses of a few bad trials would flatten all others against the axis.
    if not data.value_is_percent and values and min(values) > 0.0 and max(values) > 100.0 * min(values):
        figure.update_yaxes(type="log")
    elif shown is not None:
        figure.update_yaxes(range=list(shown))


def _value_format(data: StudyData) -> str:
    return "%{y:.2~%}" if data.value_is_percent else "%{y:.4g}"


def _axis_label(data: StudyData) -> str:
    return data.value_label.removesuffix(" (%)")


def draw_optimization(data: StudyData, frame: pd.DataFrame) -> Figure:
    """Points for trials (hollow where pruned) and a step line for the best so far."""
    drawn = drawn_rows(data, frame)
    figure = blank_figure(x="trial", y=_axis_label(data), percent_y=data.value_is_percent, legend=True)
    for state, symbol in (("COMPLETE", "circle"), ("PRUNED", "circle-open")):
        points = drawn[drawn["state"] == state]
        if not points.empty:
            figure.add_trace(
                go.Scatter(
                    x=points["trial"].tolist(),
                    y=points["value"].tolist(),
                    mode="markers",
                    name=state_words(state),
                    marker={"symbol": symbol, "size": 8, "color": series_style(0)[0] if state == "COMPLETE" else MUTED},
                    hovertemplate="trial %{x}: " + _value_format(data),
                )
            )
    running = frame.dropna(subset="best")
    improved = running[running["best"] != running["best"].shift()]
    line = running if len(drawn) == len(frame) else pd.concat([improved, running.tail(1)])
    figure.add_trace(
        go.Scatter(
            x=line["trial"].tolist(),
            y=line["best"].tolist(),
            mode="lines",
            name="best so far",
            line={"shape": "hv", "color": series_style(1)[0], "width": 2},
            hovertemplate="best up to trial %{x}: " + _value_format(data),
        )
    )
    whole_ticks(figure, frame["trial"].tolist())
    shown = value_range(frame)
    _value_axis(data, figure, frame, shown)
    notes = (
        ["Hollow: pruned trials, at the value they were stopped with."] if (frame["state"] == "PRUNED").any() else []
    )
    if shown is not None and figure.layout.yaxis.type != "log":
        outside = int((~frame["value"].between(*shown)).sum())
        notes.append(f"{plural(outside, 'pruned trial')} outside of the axis; a double click shows all.")
    words = f"{plural(len(frame), 'trial')} with a value"
    if not improved.empty:
        last = improved.iloc[-1]
        unit = " %" if data.value_is_percent else ""
        words += f"; the best, {data.value_text(float(last['best']))}{unit}, was found by trial {int(last['trial'])}"
    return Figure(
        key="optimization",
        title="Value against trial",
        description=f"{words}.",
        figure=figure,
        data=frame,
        note=" ".join([*notes, _thinning_words(drawn, frame)]).strip(),
    )


def _valued(data: StudyData) -> tuple[list[RunRecord], list[dict[str, Any]]]:
    """Trials with a value, and what varied in each, lists taken apart."""
    runs = [run for run in data.runs if run.state in _VALUED_STATES and as_float(run.value) is not None]
    own = ({p: v for p, v in data.params[run.run_id].items() if p in data.factors} for run in runs)
    return runs, list(map(expand_lists, own))


def gather_slices(data: StudyData) -> dict[str, pd.DataFrame]:
    """Value against each parameter that varied, by its path: columns trial, state, value, x, branch.

    `x` is the parameter's value; `branch` names the branch of a choice that it belongs to, where there is one.
    Lists are taken apart into items and length. Trials without a parameter, or in whose branch it is fixed,
    are left out of its frame.
    """
    runs, params = _valued(data)
    slices = {}
    for path in sorted(varied_params(params), key=tree_order):
        searched = data.searched.get(path)
        branch = searched.branch if searched else None
        rows = []
        for run, values in zip(runs, params, strict=True):
            own = data.params[run.run_id].get(branch) if branch else None
            if path in values and (searched is None or not searched.branches or own in searched.branches):
                rows.append((run.number, run.state, run.value, values[path], own))
        if len({str(x) for *_, x, _ in rows}) > 1:
            slices[path] = pd.DataFrame(rows, columns=["trial", "state", "value", "x", "branch"], dtype=object)
    return slices


def _is_numeric(values: Sequence[Any]) -> bool:
    return all(as_float(value) is not None for value in values)


def draw_slice(
    data: StudyData, path: str, label: str, frame: pd.DataFrame, shown: tuple[float, float] | None = None
) -> Figure:
    """Value against one parameter; colour and symbol tell branches apart, hollow points were pruned.

    `shown` is the range of the value axis; by default all points are within it.
    """
    searched = data.searched.get(path)
    xs = frame["x"].tolist()
    numeric = _is_numeric(xs) and not (searched is not None and searched.choice)
    branches = [b for b in dict.fromkeys(frame["branch"]) if b is not None]
    order = list(searched.order) if searched else []
    branch_param = data.searched.get(searched.branch) if searched and searched.branch else None
    branch_order = list(branch_param.order) if branch_param else []
    branches.sort(key=lambda b: (branch_order.index(str(b)) if str(b) in branch_order else len(branch_order), str(b)))
    figure = blank_figure(x=label, y=_axis_label(data), percent_y=data.value_is_percent, legend=len(branches) > 1)
    drawn = drawn_rows(data, frame)
    for index, branch in enumerate(branches or [None]):
        points = drawn if branch is None else drawn[drawn["branch"] == branch]
        colour, _, symbol = series_style(index)
        symbols = [symbol if state == "COMPLETE" else f"{symbol}-open" for state in points["state"]]
        figure.add_trace(
            go.Scatter(
                x=plotted(points["x"]) if numeric else [plain(param_text(x)) for x in points["x"]],
                y=plotted(points["value"]),
                customdata=points["trial"].tolist(),
                mode="markers",
                name=_branch_name(searched, branch),
                marker={"symbol": symbols, "size": 8, "color": colour, "opacity": 0.85},
                hovertemplate=f"trial %{{customdata}}<br>{plain(label)} %{{x}}<br>{_value_format(data)}<extra></extra>",
            )
        )
    if not numeric:
        texts = {param_text(x): x for x in xs}
        known = [t for t in order if t in texts]
        rest = [t for t in texts if t not in known]
        rest.sort(key=lambda t: (as_float(texts[t]) is None, as_float(texts[t]) or 0.0, t))
        category_axis(figure, [plain(t) for t in known + rest])
    elif is_log(data, path, xs):
        spread_axis(figure, xs, log=True, narrow=True)
    elif all(isinstance(x, int) for x in xs) and max(xs) - min(xs) < _SMALL_RANGE:
        figure.update_xaxes(dtick=1)
    else:
        spread_axis(figure, xs, log=False, narrow=True)
    _value_axis(data, figure, frame, shown)
    return Figure(
        key=f"slice-{path.replace('.', '-')}",
        title=f"Value against {label}",
        description=f"{plural(len(frame), 'trial')} as points, {_axis_label(data)} against {path}.",
        figure=figure,
        data=frame,
        note=_thinning_words(drawn, frame),
        height=280 + tick_room(figure),
    )


def _branch_name(searched: Parameter | None, branch: Any) -> str:
    """A branch in the legend: `adam`; `3 blocks` of those that a length tells apart."""
    if branch is None:
        return ""
    path = searched.branch if searched is not None and searched.branch is not None else ""
    part = path.removesuffix(".repeat").rpartition(".")[2]
    return plain(f"{branch} {part.replace('_', ' ')}" if path.endswith(".repeat") else param_text(branch))


def build_search(data: StudyData) -> Sequence[Block]:
    """Optimization history, then one slice a parameter; nothing where nothing was to be searched."""
    if data.runs and not data.searched and not data.factors:
        return []
    frame = gather_optimization(data)
    if frame.empty:
        return [Note(text="No trial has a value yet, so that there is nothing to draw.")]
    blocks: list[Block] = [Row(items=[draw_optimization(data, frame)])]
    slices = gather_slices(data)
    if not slices:
        but = " but the seed" if data.has_seeds else ""
        return [*blocks, Note(text=f"No parameter{but} varied between the trials that have a value.")]
    labels = short_names(slices)
    shown = value_range(frame) or _whole_range(frame)
    determined = find_determined(_valued(data)[1], list(slices), data.searched)
    figures = [
        draw_slice(data, path, labels[path], points, shown) for path, points in slices.items() if path not in determined
    ]
    notes = ["One point a trial."]
    if len(figures) > 1:
        why = "the sampler looks more often where values were good, and " if sampler_learns(data) else ""
        notes.append(f"A trend here is no cause: {why}all other parameters change too.")
    if determined:
        notes.append(describe_determined(determined, labels))
    return [*blocks, Note(text=" ".join(notes)), Row(items=figures, columns=3)]


def sampler_learns(data: StudyData) -> bool:
    """Whether the sampler looks more often where values were good, so that parameters go together with these."""
    return data.study.sampler.name not in _EVEN_SAMPLERS
