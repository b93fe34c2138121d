"""Trials that were continued for longer: what more epochs brought each of them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.blocks import Block, Column, Figure, Note, Table
from sweeper.report.format import as_float, metric_label, plural, short_names
from sweeper.report.param_columns import param_columns
from sweeper.report.parameters import run_params, varied_params
from sweeper.report.shares import is_share
from sweeper.report.study_data import StudyData
from sweeper.report.theme import epoch_figure, plotted, series_style
from sweeper.tracking.promoted import Continued, read_promoted

__all__ = ["build_promoted", "gather_promoted", "gather_promoted_curves"]

_FIELDS = ("trial", "run", "state", "epochs_before", "continued_from_epoch", "epochs")


def gather_promoted(found: Sequence[Continued], maximize: bool) -> pd.DataFrame:
    """One row a continued trial, the best now first.

    Columns: trial, run, state, epochs_before, continued_from_epoch (0: trained from the start), epochs, value_before,
    value, gain (above 0: better than before), best_epoch; then the parameters that differ between the rows.

    Args:
        found: The continued trials, as `read_promoted` gives them.
        maximize: Whether larger values are better.
    """
    params = [run_params(each.run) for each in found]
    varied = [path for path in varied_params(params) if path != "training.epochs"]
    rows = []
    for each, values in zip(found, params, strict=True):
        told = each.to_dict()
        # A value counts once its training has ended: what a running one has so far may yet fall away.
        value = as_float(each.run.value) if each.run.state == "COMPLETE" else None
        before = as_float(each.source.value)
        gain = None if value is None or before is None else (value - before) * (1 if maximize else -1)
        rows.append(
            {key: told[key] for key in _FIELDS}
            | {"value_before": before, "value": value, "gain": gain, "best_epoch": told["best_epoch"]}
            | {path: values.get(path) for path in varied}
        )
    return pd.DataFrame(rows, dtype=object)


def gather_promoted_curves(found: Sequence[Continued], data: StudyData) -> pd.DataFrame:
    """The objective's metric of each continued trial against epoch, those before it was continued included.

    Columns: trial, run, epoch, value, continued (whether the epoch came after the trial's own).
    """
    rows = data.reader.read_histories([each.run.run_id for each in found], [data.objective.metric])
    frames = []
    for each in found:
        told = each.to_dict()
        curve = rows[rows["run_id"] == each.run.run_id].drop_duplicates("epoch", keep="last").sort_values("epoch")
        frames.append(
            pd.DataFrame(
                {
                    "trial": told["trial"],
                    "run": told["run"],
                    "epoch": curve["epoch"].to_numpy(),
                    "value": curve["value"].to_numpy(),
                    "continued": curve["epoch"].to_numpy() > told["epochs_before"],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _describe(frame: pd.DataFrame, data: StudyData) -> str:
    """What continuing brought, in a sentence or two."""
    n_trials, n = frame["trial"].nunique(), len(frame)
    by = f", by {n} trainings one after another" if n > n_trials else ""
    were = "was" if n_trials == 1 else "were"
    words = (
        f"{plural(n_trials, 'trial')} of the search {were} continued{by}, to at most {max(frame['epochs'])} epochs. "
    )
    done = frame[frame["gain"].notna()]
    if done.empty:
        return words + "None of them has ended yet."
    better = int((done["gain"] > 0).sum())
    best = done.iloc[0]
    unit = " %" if data.value_is_percent else ""
    words += f"{better} of the {len(done)} that ended {'is' if better == 1 else 'are'} better than before. "
    words += (
        f"The best now is trial {best['trial']}, with {metric_label(data.objective.metric)} "
        f"{data.value_text(best['value'])}{unit} after {best['epochs']} epochs; it had "
        f"{data.value_text(best['value_before'])}{unit} after {best['epochs_before']}."
    )
    return words


def _draw_table(frame: pd.DataFrame, data: StudyData) -> Table:
    value = metric_label(data.objective.metric)
    unit, points = (" (%)", " (points)") if data.value_is_percent else ("", "")
    columns = [
        Column(key="trial", label="trial", title="of the search", numeric=True, header=True),
        Column(key="run", label="continued as"),
        Column(key="epochs_before", label="epochs before", numeric=True),
        Column(key="epochs", label="epochs now", numeric=True),
        Column(key="value_before", label=f"{value} before{unit}", show=data.value_text, numeric=True),
        Column(key="value", label=f"{value} now{unit}", show=data.value_text, numeric=True),
        Column(key="gain", label=f"better by{points}", title="below 0: worse", show=data.value_text, numeric=True),
        Column(key="best_epoch", label="best epoch", numeric=True),
    ]
    if (frame["state"] != "COMPLETE").any():
        columns.insert(2, Column(key="state", label="state"))
    varied = [key for key in frame.columns if "." in key or key == "seed"]
    labels = short_names(varied)
    columns += param_columns(frame, varied, labels)
    anew = [str(trial) for trial in frame.loc[frame["continued_from_epoch"] == 0, "trial"]]
    note = "Numbers are those of one training each, at the epoch that the objective takes. "
    if data.objective.at == "best":
        note += "The best of all epochs is never worse than that of the first ones: a small gain may be luck."
    if anew:
        note += f" Of trial{'' if len(anew) == 1 else 's'} {', '.join(anew)} no checkpoint was kept: trained anew."
    return Table(
        key="continued",
        title="Trials before and after, the best now first",
        frame=frame,
        columns=columns,
        note=note.strip(),
    )


def _draw_curves(curves: pd.DataFrame, data: StudyData) -> Figure:
    metric, share = data.objective.metric, is_share(data.objective.metric)
    figure = epoch_figure(curves["epoch"], y=metric_label(metric), percent_y=share, legend=True)
    hover = "epoch %{x}: " + ("%{y:.2~%}" if share else "%{y:.4g}")
    for index, (run, curve) in enumerate(curves.groupby("run", sort=False)):
        colour, dash, _ = series_style(index)
        name = f"trial {curve['trial'].iloc[0]}"
        if curves.drop_duplicates("run")["trial"].duplicated().any():
            name += f" ({run})"  # one trial that was continued twice
        figure.add_trace(
            go.Scatter(
                x=curve["epoch"].tolist(),
                y=plotted(curve["value"]),
                name=name,
                mode="lines+markers" if len(curve) < 3 else "lines",
                line={"color": colour, "width": 2, "dash": dash},
                hovertemplate=hover,
            )
        )
        before = curve[~curve["continued"].astype(bool)]
        if before.empty:
            continue
        figure.add_trace(
            go.Scatter(
                x=[int(before["epoch"].iloc[-1])],
                y=plotted([before["value"].iloc[-1]]),
                mode="markers",
                marker={"color": colour, "size": 9},
                showlegend=False,
                hovertemplate=f"{name} ended here in the search<extra></extra>",
            )
        )
    return Figure(
        key="curves",
        title=f"{metric_label(metric).capitalize()} of the continued trials against epoch",
        description=f"A line a continued trial: {metric_label(metric)} against epoch, and where the search ended it.",
        figure=figure,
        data=curves,
        note="A point is where the trial ended in the search.",
    )


def build_promoted(data: StudyData) -> Sequence[Block]:
    """The trials of a study that were continued for longer; nothing where none was."""
    found = read_promoted(data.record, data.reader)
    if not found:
        return []
    frame = gather_promoted(found, data.objective.maximize)
    blocks: list[Block] = [Note(text=_describe(frame, data)), _draw_table(frame, data)]
    shown = found[: data.top]
    curves = gather_promoted_curves(shown, data)
    return [*blocks, _draw_curves(curves, data)] if len(curves) else blocks
