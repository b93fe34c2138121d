"""Diagnosis of learning rates: which diverged, were too high, too slow, or fine, for each optimizer."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.axes import log_value_axis, mark_diverged, spread_axis
from sweeper.report.blocks import Block, Column, Figure, Note, Row, Table
from sweeper.report.format import count, number, param_text, percent, plural
from sweeper.report.learning import VERDICTS, gather_learning
from sweeper.report.study_data import StudyData
from sweeper.report.theme import blank_figure, plain, series_style

__all__ = ["build_learning_rate", "describe_best_rate", "draw_learning", "gather_rate_ranges"]

_SYMBOLS = {"fine": 0, "too slow": 1, "learnt nothing": 4, "blew up": 3}

_N_LISTED = 6
"""More learning rates than this stand as a range."""


def gather_rate_ranges(frame: pd.DataFrame) -> pd.DataFrame:
    """Verdicts by optimizer: columns optimizer, verdict, n_trials, lowest, highest (learning rate), rates, trials.

    `rates` has the learning rates as text, each where they are few: too low and too high ones may share a verdict.
    """
    rows = []
    for optimizer in dict.fromkeys(frame["optimizer"]):
        own = frame[frame["optimizer"] == optimizer] if optimizer is not None else frame[frame["optimizer"].isna()]
        for verdict in VERDICTS:
            some = own[own["verdict"] == verdict]
            if not some.empty:
                numbers = ", ".join(map(str, some["trial"]))
                rates = sorted(set(some["lr"].astype(float)))
                texts = [param_text(rate) for rate in rates]
                words = ", ".join(texts) if len(rates) <= _N_LISTED else f"{texts[0]} to {texts[-1]}"
                rows.append((optimizer, verdict, len(some), rates[0], rates[-1], words, numbers))
    columns = ["optimizer", "verdict", "n_trials", "lowest", "highest", "rates", "trials"]
    return pd.DataFrame(rows, columns=columns)


def _tabulate(ranges: pd.DataFrame) -> Table:
    columns = [
        Column(key="optimizer", label="optimizer", header=True),
        Column(key="verdict", label="verdict"),
        Column(key="n_trials", label="trials", show=count, numeric=True),
        Column(key="rates", label="learning rates"),
    ]
    meanings = "; ".join(f"{verdict}: {VERDICTS[verdict]}" for verdict in VERDICTS if verdict in set(ranges["verdict"]))
    note = f"{meanings[0].upper()}{meanings[1:]}. Complete and diverged trials; other parameters may have had a part."
    return Table(key="rates", title="Learning rates by what became of them", frame=ranges, columns=columns, note=note)


def describe_best_rate(data: StudyData, frame: pd.DataFrame) -> str:
    """What the best trial's training loss says of its learning rate, in sentences; empty where it says nothing."""
    own = frame[frame["trial"] == data.best.number] if data.best is not None else frame.head(0)
    if own.empty:
        return ""
    best = own.iloc[0]
    number_of = best["trial"]
    subject = f"Trial {number_of}, of the best configuration," if data.has_seeds else f"The best trial, {number_of},"
    text = f"{subject} had learning rate {param_text(best['lr'])}"
    if best["optimizer"] is not None:
        text += f" with {param_text(best['optimizer'])}"
    text += f"; its training loss went from {number(best['first_loss'], 3)} to {number(best['last_loss'], 3)}"
    text += f": {best['verdict']}."
    if best["last_fall"] is not None and best["last_fall"] >= 0.1:
        text += (
            f" The last quarter of its epochs still had {percent(best['last_fall'], 0)} % of the fall: more epochs may "
            "lower it further."
        )
    return text


def draw_learning(frame: pd.DataFrame) -> Figure:
    """Last training loss against learning rate, one symbol a verdict."""
    figure = blank_figure(x="learning rate", y="last training loss", legend=frame["verdict"].nunique() > 1)
    for verdict, style in _SYMBOLS.items():
        some = frame[(frame["verdict"] == verdict) & frame["last_loss"].notna()]
        if some.empty:
            continue
        colour, _, symbol = series_style(style)
        figure.add_trace(
            go.Scatter(
                x=some["lr"].tolist(),
                y=some["last_loss"].tolist(),
                mode="markers",
                name=verdict,
                customdata=[
                    f"trial {n}{'' if o is None else f', {plain(param_text(o))}'}"
                    for n, o in zip(some["trial"], some["optimizer"], strict=True)
                ],
                marker={"color": colour, "symbol": symbol, "size": 8},
                hovertemplate="%{customdata}<br>learning rate %{x:.3g}<br>loss %{y:.4g}<extra></extra>",
            )
        )
    gone = frame[frame["verdict"] == "diverged"]
    mark_diverged(figure, gone["lr"].tolist(), [f"trial {n} diverged" for n in gone["trial"]])
    rates = [float(rate) for rate in frame["lr"]]
    if 0.0 < min(rates) < max(rates):
        spread_axis(figure, rates, log=True)
    known = [float(v) for v in frame["last_loss"] if v is not None]
    if known:
        log_value_axis(figure, min(known), max(known))
    words = ", ".join(f"{n} {verdict}" for verdict in VERDICTS if (n := int((frame["verdict"] == verdict).sum())))
    return Figure(
        key="rates-loss",
        title="Training loss after the last epoch against learning rate",
        description=f"{plural(len(frame), 'trial')} as points: {words}.",
        figure=figure,
        data=frame,
        note="One point a trial" + ("." if gone.empty else "; crosses at the upper edge diverged."),
        height=360,
    )


def build_learning_rate(data: StudyData) -> Sequence[Block]:
    """What the best trial's rate did; where rates varied, all of them; nothing without a recorded training loss."""
    frame = gather_learning(data)
    if frame.empty:
        return []
    words = describe_best_rate(data, frame)
    blocks: list[Block] = [Note(text=words)] if words else []
    if frame["lr"].nunique() > 1:
        blocks += [_tabulate(gather_rate_ranges(frame)), Row(items=[draw_learning(frame)])]
    return blocks
