"""What was measured against epoch, one line for each value of a parameter."""

from __future__ import annotations

import math

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.axes import log_value_axis, rate_axis
from sweeper.report.blocks import Figure
from sweeper.report.divergence import has_diverged
from sweeper.report.effect import Effect
from sweeper.report.format import plural
from sweeper.report.levels import Level
from sweeper.report.theme import (
    MUTED,
    PART_LABELS,
    epoch_figure,
    ordered_colour,
    plain,
    plotted,
    series_style,
    show_points,
)

__all__ = ["build_level_curves", "draw_level_curves", "gather_level_curves"]

_N_BANDS = 6
"""With more lines than this, bands would hide them."""
_N_BOTH_PARTS = 5
"""With more values than this, training and validation go into figures of their own."""
_N_FOR_BAND = 2
_N_SOLID = 5
"""With more values in order than this, neighbours are told apart by their dashes too."""
_DASHES = ("solid", "dash", "dot")
_OF_SERIES = ("solid", "dash")


def gather_level_curves(effect: Effect, histories: pd.DataFrame, metrics: dict[str, str]) -> pd.DataFrame:
    """Metrics against epoch by the values of the parameter, as medians over their trials.

    Columns: series (a key of `metrics`), level, epoch, median, low, high, n_trials. Epochs that fewer than half of the
    trials of a value have reached are left out; so are numbers that are not finite.

    Args:
        effect: The parameter.
        histories: Index (run_id, epoch), one column a metric.
        metrics: Metric of each series.
    """
    frames = []
    known = set(histories.index.get_level_values("run_id"))
    for series, metric in metrics.items():
        for level in effect.lines:
            ids = [run.run_id for run in level.runs if run.run_id in known]
            if not ids:
                continue
            values = histories[metric].loc[ids].unstack("run_id")
            values = values.where(values.abs() < math.inf).dropna(axis="columns", how="all")
            values = values[values.notna().sum(axis="columns") * 2 >= max(values.shape[1], 1)]
            if values.empty:
                continue
            frames.append(
                pd.DataFrame(
                    {
                        "series": series,
                        "level": level.label,
                        "epoch": values.index,
                        "median": values.median(axis="columns").to_numpy(),
                        "low": values.min(axis="columns").to_numpy(),
                        "high": values.max(axis="columns").to_numpy(),
                        "n_trials": values.notna().sum(axis="columns").to_numpy(),
                    }
                )
            )
    columns = ["series", "level", "epoch", "median", "low", "high", "n_trials"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _colour(effect: Effect, index: int) -> str:
    return ordered_colour(index, len(effect.lines)) if effect.lines[index].x is not None else series_style(index)[0]


def _band(curve: pd.DataFrame, colour: str) -> go.Scatter:
    rgb = ",".join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
    epochs = curve["epoch"].tolist()
    return go.Scatter(
        x=[*epochs, *reversed(epochs)],
        y=plotted([*curve["high"], *reversed(curve["low"].tolist())]),
        fill="toself",
        fillcolor=f"rgba({rgb},0.18)",
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
    )


def draw_level_curves(
    effect: Effect,
    curves: pd.DataFrame,
    *,
    key: str,
    title: str,
    y: str,
    percent: bool = False,
    note: str = "",
) -> Figure:
    """One line a value and series: the first series solid, the second dashed. A cross ends a line that diverged."""
    figure = epoch_figure(curves["epoch"], y=y, percent_y=percent, legend=True)
    names = list(dict.fromkeys(curves["series"]))
    # Where other parameters varied too, a band would show these.
    has_bands = effect.is_only and len(effect.lines) <= _N_BANDS and len(names) == 1
    has_bands = has_bands and bool((curves["n_trials"] > _N_FOR_BAND).any())
    shown = "%{y:.2~%}" if percent else "%{y:.4g}"
    for index, level in enumerate(effect.lines):
        colour, dash = _colour(effect, index), _dash(effect, index)
        for place, name in enumerate(names):
            curve = curves[(curves["series"] == name) & (curves["level"] == level.label)]
            if curve.empty:
                continue
            if has_bands and (curve["n_trials"] > 1).any():
                figure.add_trace(_band(curve, colour))
            figure.add_trace(
                go.Scatter(
                    x=curve["epoch"].tolist(),
                    y=plotted(curve["median"]),
                    name=plain(level.label),
                    legendgroup=str(index),
                    showlegend=place == 0,
                    mode="lines+markers" if len(curve) < 3 else "lines",
                    line={"color": colour, "width": 2, "dash": dash if len(names) == 1 else _OF_SERIES[place]},
                    hovertemplate=f"{plain(level.label)}, {name}, epoch %{{x}}: {shown}<extra></extra>",
                )
            )
        _end_with_cross(figure, curves, level, colour, names[0])
    notes = [note] if note else []
    shown_range, beyond = _range_without_blown(effect, curves) if y == "loss" else (None, [])
    is_log = not percent and log_value_axis(figure, *(shown_range or (curves["median"].min(), curves["median"].max())))
    if shown_range is not None:
        figure.update_yaxes(range=[math.log10(v) for v in shown_range] if is_log else list(shown_range))
        notes.append(f"Above the axis: {', '.join(beyond)}, which blew up; a double click shows all.")
    if (curves["n_trials"] > 1).any():
        notes.append(
            "Lines: medians over the trials of a value" + ("; bands: lowest to highest." if has_bands else ".")
        )
    if curves.groupby(["series", "level"])["n_trials"].nunique().gt(1).any():
        notes.append("A line may jump where some of its trials have ended.")
    silent = [level.label for level in effect.lines if level.label not in set(curves["level"])]
    if silent:
        notes.append(f"No line for {', '.join(silent)}: diverged before the end of the first epoch.")
    return Figure(
        key=key,
        title=title,
        description=f"{plural(curves['level'].nunique(), 'line')} over {plural(curves['epoch'].nunique(), 'epoch')}, "
        f"one a {effect.value_words}.",
        figure=figure,
        data=curves,
        note=" ".join(notes),
        height=400,
    )


def _range_without_blown(effect: Effect, curves: pd.DataFrame) -> tuple[tuple[float, float] | None, list[str]]:
    """A range of the loss that spreads the values that learnt, and those that rise above it; None for all."""
    blown = [level.label for level in effect.lines if any(run.run_id in effect.blown for run in level.runs)]
    rest = curves[~curves["level"].isin(blown)]["median"].astype(float)
    if rest.empty or rest.min() <= 0.0:
        return None, []
    low, high = rest.min() / 1.2, rest.max() * 1.2
    medians = {label: curves.loc[curves["level"] == label, "median"].astype(float) for label in blown}
    if not any(own.min() > high for own in medians.values()):
        return None, []
    return (low, high), [
        label if own.min() > high else f"{label} (in part)" for label, own in medians.items() if own.max() > high
    ]


def _dash(effect: Effect, index: int) -> str:
    if effect.lines[index].x is None:
        return series_style(index)[1]
    # Of many values in order, neighbours look alike.
    return _DASHES[index % len(_DASHES)] if len(effect.lines) > _N_SOLID else "solid"


def _end_with_cross(figure: go.Figure, curves: pd.DataFrame, level: Level, colour: str, series: str) -> None:
    curve = curves[(curves["series"] == series) & (curves["level"] == level.label)]
    if curve.empty or not all(map(has_diverged, level.runs)):
        return
    last = curve.iloc[-1]
    figure.add_trace(
        go.Scatter(
            x=[int(last["epoch"])],
            y=plotted([last["median"]]),
            mode="markers",
            marker={"symbol": "x", "size": 9, "color": colour},
            showlegend=False,
            hovertemplate=f"{plain(level.label)} diverged after epoch %{{x}}<extra></extra>",
        )
    )


def _accuracy_curves(effect: Effect) -> list[Figure]:
    metrics = {PART_LABELS[part]: f"{part}/accuracy" for part in ("val", "train")}
    metrics = {name: m for name, m in metrics.items() if effect.data.epochs[m].notna().any()}
    if not metrics:
        return []
    curves = gather_level_curves(effect, effect.data.epochs, metrics)
    if curves.empty:
        return []
    end = f"accuracy against epoch, one line a {effect.value_words}"
    if len(effect.lines) <= _N_BOTH_PARTS and len(metrics) > 1:
        note = (
            "Solid: validation; dashed: training, measured while the model learns, with any dropout and augmentation."
        )
        title = f"Training and validation {end}"
        figures = [
            draw_level_curves(effect, curves, key="accuracy", title=title, y="accuracy", percent=True, note=note)
        ]
    else:
        figures = [
            draw_level_curves(
                effect,
                curves[curves["series"] == name],
                key=f"accuracy-{metric.partition('/')[0]}",
                title=f"{name.capitalize()} {end}",
                y="accuracy",
                percent=True,
            )
            for name, metric in metrics.items()
        ]
    return figures + _gap_curves(effect)


def _gap_curves(effect: Effect) -> list[Figure]:
    epochs = effect.data.epochs
    gap = (epochs["train/accuracy"] - epochs["val/accuracy"]).to_frame("gap")
    curves = gather_level_curves(effect, gap, {"training minus validation": "gap"})
    if curves.empty:
        return []
    title = f"Training minus validation accuracy against epoch, one line a {effect.value_words}"
    figure = draw_level_curves(effect, curves, key="gap-curves", title=title, y="difference", percent=True)
    show_points(figure.figure)
    figure.figure.add_hline(y=0, line={"color": MUTED, "width": 1, "dash": "dot"})
    return [figure]


def _lr_curves(effect: Effect) -> list[Figure]:
    """Learning rate against epoch, where a schedule changes it."""
    data = effect.data
    runs = [run for level in effect.lines for run in level.runs]
    if all(data.params[run.run_id].get("training.schedule.name", "constant") == "constant" for run in runs):
        return []
    histories = data.histories([run.run_id for run in runs], ["lr"])
    curves = gather_level_curves(effect, histories, {"learning rate": "lr"})
    if curves.empty:
        return []
    title = f"Learning rate against epoch, one line a {effect.value_words}"
    note = "At the last step of each epoch."
    if curves.pivot_table(index="epoch", columns="level", values="median").nunique(axis="columns").max() == 1:
        note += " It is the same for every value: the lines lie on each other."
    figure = draw_level_curves(effect, curves, key="lr", title=title, y="learning rate", note=note)
    rate_axis(figure.figure, [[rate for rate in own if rate > 0.0] for _, own in curves.groupby("level")["median"]])
    return [figure]


def build_level_curves(effect: Effect) -> list[Figure]:
    """Training loss, accuracies, the gap, and the learning rate where a schedule changes it."""
    figures = []
    for part in ("train", "val"):
        curves = gather_level_curves(effect, effect.data.epochs, {PART_LABELS[part]: f"{part}/loss"})
        if not curves.empty and (part == "train" or effect.data.task != "classification"):
            title = f"{PART_LABELS[part].capitalize()} loss against epoch, one line a {effect.value_words}"
            figures.append(draw_level_curves(effect, curves, key=f"loss-{part}", title=title, y="loss"))
    return figures + _accuracy_curves(effect) + _lr_curves(effect)
