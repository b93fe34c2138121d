"""What was measured against the values of one parameter: accuracy of each class, losses, the gap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.axes import beside, log_value_axis, mark_diverged, place_axis, spread_axis, tick_room
from sweeper.report.blocks import Figure
from sweeper.report.effect import Effect
from sweeper.report.format import as_float, plural
from sweeper.report.theme import MUTED, PART_COLOURS, PART_LABELS, blank_figure, plain, series_style, show_points

__all__ = ["build_value_figures", "draw_against", "gather_against", "gather_gap"]


_FAR_ABOVE = 1.5
"""A bar that reaches so many times as high as all others, of a trial that blew up, leaves the axis."""


@dataclass(frozen=True, kw_only=True)
class _Style:
    name: str
    colour: str
    dash: str = "solid"
    symbol: str = "circle"


def gather_against(effect: Effect, series: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Measures of complete trials by the values of the parameter: a row a series and value.

    Columns: series, level (its text), x (its number), median, low, high (over the trials of that value), n_trials,
    blew_up (whether most of these trials did).

    Args:
        effect: The parameter.
        series: By its name, a measure of each run by run id; what is missing is left out.
    """
    rows = []
    for name, values in series.items():
        for level in effect.levels:
            ids = [run.run_id for run in level.runs if run.state == "COMPLETE" and run.run_id in values.index]
            known = [x for run_id in ids if (x := as_float(float(values[run_id]))) is not None]
            if known:
                blown = 2 * sum(run_id in effect.blown for run_id in ids) > len(ids)
                rows.append((name, level.label, level.x, median(known), min(known), max(known), len(known), blown))
    columns = ["series", "level", "x", "median", "low", "high", "n_trials", "blew_up"]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def gather_gap(effect: Effect) -> pd.DataFrame:
    """Training minus validation accuracy, at the epoch that each trial is judged by, as of `gather_against`."""
    judged = effect.judged
    if not {"train/accuracy", "val/accuracy"} <= set(judged.columns):
        return gather_against(effect, {})
    return gather_against(effect, {"gap": judged["train/accuracy"] - judged["val/accuracy"]})


def draw_against(
    effect: Effect,
    frame: pd.DataFrame,
    styles: Sequence[_Style],
    *,
    key: str,
    title: str,
    y: str,
    percent: bool,
    note: str = "",
) -> Figure:
    """One line a series through the medians, with bars from the lowest to the highest trial of a value."""
    figure = blank_figure(x=effect.label, y=y, percent_y=percent, legend=len(styles) > 1 or bool(effect.diverged))
    places = {level.label: i for i, level in enumerate(effect.levels)}
    for index, style in enumerate(styles):
        points = frame[frame["series"] == style.name]
        medians = [float(v) for v in points["median"]]
        spread = bool((points["n_trials"] > 1).any())
        figure.add_trace(
            go.Scatter(
                x=points["x"].tolist()
                if effect.is_numeric
                else [places[label] + beside(index, len(styles)) for label in points["level"]],
                y=medians,
                name=plain(style.name),
                customdata=[[plain(level), n] for level, n in zip(points["level"], points["n_trials"], strict=True)],
                mode="lines+markers" if effect.is_numeric else "markers",
                line={"color": style.colour, "dash": style.dash, "width": 2},
                marker={
                    "symbol": [f"{style.symbol}-open" if blown else style.symbol for blown in points["blew_up"]],
                    "size": [11 if blown else 7 for blown in points["blew_up"]],
                    "color": style.colour,
                    # With sizes in a list, Plotly would draw bubbles: clear ones with a white edge.
                    "opacity": 1,
                    "line": {"width": 0},
                },
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [h - m for h, m in zip(points["high"], medians, strict=True)],
                    "arrayminus": [m - low for m, low in zip(medians, points["low"], strict=True)],
                    "thickness": 1,
                    "width": 2,
                    "color": style.colour,
                }
                if spread
                else None,
                hovertemplate=f"{plain(effect.label)} %{{customdata[0]}}: "
                + ("%{y:.2~%}" if percent else "%{y:.4g}")
                + (" (median of %{customdata[1]})" if spread else ""),
            )
        )
    mark_diverged(
        figure,
        [x if isinstance(x, float) else float(places[x]) for _, x in effect.diverged],
        [f"trial {run.number} diverged" for run, _ in effect.diverged],
    )
    is_cut = _axes(effect, figure, frame, percent=percent)
    notes = [note] if note else []
    if frame["n_trials"].gt(1).any():
        notes.append("Points: medians over the trials of a value; bars: from the lowest to the highest of them.")
    if frame["blew_up"].any():
        notes.append("Open symbols: the training loss blew up.")
    if is_cut:
        notes.append("Losses of trials that blew up lie above the axis; a double click shows all.")
    lowest, highest = frame["median"].astype(float).agg(["min", "max"])
    return Figure(
        key=key,
        title=title,
        description=f"{plural(len(styles), 'line')} over {len(effect.levels)} values of {effect.path}, "
        f"from {lowest:.4g} to {highest:.4g}.",
        figure=figure,
        data=frame,
        note=" ".join(notes),
        height=360 + tick_room(figure),
    )


def _axes(effect: Effect, figure: go.Figure, frame: pd.DataFrame, *, percent: bool) -> bool:
    """Both axes, and whether trials that blew up leave the vertical one, where they would flatten all else."""
    if effect.is_numeric:
        spread_axis(figure, [level.x for level in effect.levels if level.x is not None], log=effect.is_log)
    else:
        # All of them: one at which every trial diverged has no point, and would not be there.
        place_axis(figure, [plain(level.label) for level in effect.levels])
    if percent:
        return False
    low, high = float(frame["low"].min()), float(frame["high"].max())
    log_value_axis(figure, low, high)
    spoiled = {level.label for level in effect.levels if any(run.run_id in effect.blown for run in level.runs)}
    rest = frame[~frame["level"].isin(spoiled)]["high"].max()
    top = float(frame["median"].max())
    if rest == rest:  # some did not blow up
        near = frame["median"][frame["median"] <= _FAR_ABOVE * rest]
        top = max(float(rest), float(near.max()))
    if not spoiled or high <= _FAR_ABOVE * top:
        return False
    log_value_axis(figure, low, top)
    if top > 30.0 * low:
        figure.update_yaxes(range=[math.log10(low) - 0.05, math.log10(top) + 0.05])
    else:
        pad = 0.06 * (top - low)
        figure.update_yaxes(type="linear", tickmode="auto", range=[low - pad, top + pad])
    return True


def _class_figures(effect: Effect) -> list[Figure]:
    figures = []
    kinds = ("Dashed", "dotted") if effect.is_numeric else ("Round", "square")
    for true in (False, True):
        kind = "true_" if true else ""
        metrics = {name: f"val/{kind}accuracy/{name}" for name in effect.class_names}
        metrics |= {"overall": f"val/{kind}accuracy", "avg": f"val/{kind}balanced_accuracy"}
        series = {name: effect.judged[m] for name, m in metrics.items() if m in effect.judged.columns}
        frame = gather_against(effect, series)
        if frame.empty:
            continue
        styles = []
        for index, name in enumerate(effect.class_names):
            colour, dash, symbol = series_style(index)
            styles.append(_Style(name=name, colour=colour, dash=dash, symbol=symbol))
        styles += [
            _Style(name="overall", colour=MUTED, dash="dash"),
            _Style(name="avg", colour=MUTED, dash="dot", symbol="square"),
        ]
        labels = effect.data.label_words(true=true)
        figures.append(
            draw_against(
                effect,
                frame,
                [style for style in styles if style.name in series],
                key=f"classes{'-true' if true else ''}",
                title=f"Accuracy of each class against {effect.label}, validation{labels}",
                y="accuracy",
                percent=True,
                note="{} grey: overall; {} grey: avg, the mean of the classes.".format(*kinds),
            )
        )
    return figures


def _output_figure(effect: Effect) -> list[Figure]:
    names = [name for name in effect.data.output_names if f"val/loss/{name}" in effect.judged.columns]
    frame = gather_against(effect, {name: effect.judged[f"val/loss/{name}"] for name in names})
    if frame.empty:
        return []
    styles = [_Style(name=n, colour=c, dash=d, symbol=s) for i, n in enumerate(names) for c, d, s in [series_style(i)]]
    title = f"Validation loss of each output against {effect.label}"
    return [draw_against(effect, frame, styles, key="outputs", title=title, y="loss", percent=False)]


def _loss_figure(effect: Effect) -> list[Figure]:
    last = effect.last_losses
    parts = [part for part in ("train", "val") if part in last.columns and last[part].notna().any()]
    frame = gather_against(effect, {PART_LABELS[part]: last[part].dropna() for part in parts})
    if frame.empty:
        return []
    dashes = {"train": "dash", "val": "solid"}
    styles = [_Style(name=PART_LABELS[p], colour=PART_COLOURS[p], dash=dashes[p]) for p in parts]
    title = f"Loss after the last epoch against {effect.label}"
    return [draw_against(effect, frame, styles, key="last-loss", title=title, y="loss", percent=False)]


def _gap_figure(effect: Effect) -> list[Figure]:
    frame = gather_gap(effect)
    if frame.empty:
        return []
    style = _Style(name="gap", colour=series_style(0)[0])
    title = f"Training minus validation accuracy against {effect.label}"
    note = "Training accuracy is measured while the model learns, with any dropout and augmentation."
    figure = draw_against(effect, frame, [style], key="gap", title=title, y="difference", percent=True, note=note)
    show_points(figure.figure)
    figure.figure.add_hline(y=0, line={"color": MUTED, "width": 1, "dash": "dot"})
    return [figure]


def build_value_figures(effect: Effect) -> list[Figure]:
    """Accuracy of each class on given and true labels, or loss of each output; last losses; the gap."""
    return [*_class_figures(effect), *_output_figure(effect), *_loss_figure(effect), *_gap_figure(effect)]
