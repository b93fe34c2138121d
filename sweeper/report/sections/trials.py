"""The best trials, and all of them with every parameter that varied."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd

from sweeper.report.blocks import Block, Column, Note, Table
from sweeper.report.format import count, duration, param_text, plural
from sweeper.report.parameters import constant_params
from sweeper.report.sections.head import failure_reason, run_seconds, state_words
from sweeper.report.statistics import Interval, accuracy_interval
from sweeper.report.study_data import StudyData

__all__ = [
    "best_interval",
    "build_all_trials",
    "build_best_trials",
    "describe_best",
    "draw_best_trials",
    "draw_trials",
    "gather_constants",
    "gather_trials",
    "no_best_words",
]


def no_best_words(data: StudyData) -> str:
    """Why there is no best trial, in a sentence."""
    if not data.runs:
        return "No trial has been started yet."
    states = ", ".join(f"{len(runs)} {state_words(state)}" for state, runs in data.by_state.items())
    return f"No trial is complete with a value yet, so that none is best: {states}."


def gather_trials(data: StudyData) -> pd.DataFrame:
    """All trials, best first.

    Columns: rank (complete trials only), trial, state, value, best_epoch, n_epochs, train_accuracy, val_accuracy,
    n_parameters, seconds, one a varied parameter under its dotted path, reason (of a failure).
    """
    rank = {run.run_id: i for i, run in enumerate(data.complete, start=1)}
    rows = []
    for run in data.ranked:
        n_parameters = run.tags.get("sweeper.n_parameters", "")
        row = {
            "rank": rank.get(run.run_id),
            "trial": run.number,
            "state": run.state,
            "value": run.value,
            "best_epoch": data.epoch_of[run.run_id],
            "n_epochs": data.n_epochs[run.run_id],
            "train_accuracy": data.at_epoch(run, "train/accuracy"),
            "val_accuracy": data.at_epoch(run, "val/accuracy"),
            "n_parameters": int(n_parameters) if n_parameters.isdecimal() else None,
            "seconds": run_seconds(run),
        }
        row |= {path: data.params[run.run_id].get(path) for path in data.varied}
        row["reason"] = failure_reason(run) if run.state == "FAIL" else ""
        rows.append(row)
    columns = ["rank", "trial", "state", "value", "best_epoch", "n_epochs", "train_accuracy", "val_accuracy"]
    columns += ["n_parameters", "seconds", *data.varied, "reason"]
    # Objects keep integers with gaps, booleans and lists as they are.
    return pd.DataFrame(rows, columns=columns, dtype=object)


def gather_constants(data: StudyData) -> pd.DataFrame:
    """Parameters that did not vary: columns parameter, value, n_trials."""
    constants = constant_params([data.params[run.run_id] for run in data.runs])
    rows = [(c.path, json.dumps(c.value) if isinstance(c.value, list) else c.value, c.n_runs) for c in constants]
    return pd.DataFrame(rows, columns=["parameter", "value", "n_trials"], dtype=object)


def _param_columns(data: StudyData, frame: pd.DataFrame) -> list[Column]:
    columns = []
    for path in data.varied:
        numeric = all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in frame[path])
        # None is a value of some parameters, and the absence of others: both show as a dash.
        columns.append(Column(key=path, label=data.labels[path], title=path, show=_param_or_dash, numeric=numeric))
    return columns


def _param_or_dash(value: object) -> str:
    return "–" if value is None else param_text(value)


def _duration(value: object) -> str:
    return duration(value if isinstance(value, int | float) else None)


def _result_columns(data: StudyData) -> list[Column]:
    metric = data.objective.metric
    columns = [
        Column(key="value", label=data.value_label, title=metric, show=data.value_text, numeric=True),
        Column(key="best_epoch", label="epoch", title="epoch that the trial is judged by", show=count, numeric=True),
    ]
    for part, label in (("train", "training accuracy (%)"), ("val", "validation accuracy (%)")):
        if metric != f"{part}/accuracy" or data.objective.at == "last":
            columns.append(Column(key=f"{part}_accuracy", label=label, show=data.accuracy_text, numeric=True))
    return columns


def draw_trials(data: StudyData, frame: pd.DataFrame) -> Table:
    """The table of all trials, sortable and filterable in the page."""
    columns = [
        Column(key="rank", label="rank", show=count, numeric=True),
        Column(key="trial", label="trial", numeric=True, header=True),
        Column(key="state", label="state", show=lambda state: state_words(str(state))),
        *_result_columns(data),
        Column(key="n_epochs", label="epochs run", show=count, numeric=True),
        *_param_columns(data, frame),
        Column(key="seconds", label="time", title="seconds from start to end", show=_duration, numeric=True),
    ]
    if (frame["reason"] != "").any():
        columns.append(Column(key="reason", label="reason of failure", show=lambda reason: str(reason)))
    return Table(key="trials", title="All trials", frame=frame, columns=columns, interactive=True, sorted_by="rank")


def draw_best_trials(data: StudyData, frame: pd.DataFrame) -> Table:
    """The table of the best trials: results, then the parameters that varied."""
    frame = frame[frame["rank"].notna()].head(data.top)
    columns = [
        Column(key="rank", label="rank", show=count, numeric=True),
        Column(key="trial", label="trial", numeric=True, header=True),
        *_result_columns(data),
        *_param_columns(data, frame),
    ]
    return Table(
        key="best", title="Best trial" if len(frame) == 1 else f"Best {len(frame)} trials", frame=frame, columns=columns
    )


def best_interval(data: StudyData) -> Interval | None:
    """Wilson's 95 % interval of the best value, where that is an accuracy over a known number of pictures."""
    part, _, quantity = data.objective.metric.partition("/")
    if quantity != "accuracy" or data.best is None:
        return None
    return accuracy_interval(data.best.value, data.n_pictures(part))


def describe_best(data: StudyData) -> str:
    """The best trial in sentences that its numbers support."""
    assert data.best is not None
    best, interval = data.best, best_interval(data)
    unit = " %" if data.value_is_percent else ""
    text = f"Trial {best.number} is best, with {data.value_text(best.value)}{unit}"
    epoch = data.epoch_of[best.run_id]
    text += "." if epoch is None else f" at epoch {epoch}."
    if interval is not None:
        part = data.objective.metric.partition("/")[0]
        inside = sum(interval.low <= (run.value or 0.0) <= interval.high for run in data.complete[1:])
        text += (
            f" On {count(data.n_pictures(part))} pictures the 95 % interval (Wilson) of one accuracy is "
            f"{data.accuracy_text(interval.low)} to {data.accuracy_text(interval.high)} %"
        )
        text += (
            f"; {plural(inside, 'other complete trial lies', 'other complete trials lie')} within it."
            if inside
            else "."
        )
    if len(data.complete) > 1 and data.objective.metric.startswith("val/"):
        text += (
            f" It was chosen from {len(data.complete)} on the very pictures it is measured on, so that its value is "
            "an optimistic estimate for new ones."
        )
    return text


def build_best_trials(data: StudyData) -> Sequence[Block]:
    """The best trials and how sure their order is."""
    if data.best is None:
        return [Note(text=no_best_words(data))]
    return [Note(text=describe_best(data)), draw_best_trials(data, gather_trials(data))]


def build_all_trials(data: StudyData) -> Sequence[Block]:
    """All trials, and what did not vary between them."""
    if not data.runs:
        return [Note(text=no_best_words(data))]
    blocks: list[Block] = [draw_trials(data, gather_trials(data))]
    constants = gather_constants(data)
    if not constants.empty:
        n = len(data.runs)
        columns = [
            Column(key="parameter", label="parameter", header=True),
            Column(key="value", label="value", show=param_text),
        ]
        if (constants["n_trials"] < n).any():
            label = "trials that have it"
            columns.append(Column(key="n_trials", label=label, show=lambda k: f"{k} of {n}", numeric=True))
        blocks.insert(0, Table(key="constants", title="The same in all trials", frame=constants, columns=columns))
    return blocks
