"""The best trials, and all of them with every parameter that varied."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd

from sweeper.report.blocks import Block, Column, Note, Table
from sweeper.report.format import aligned, count, duration, interval_text, number, param_text, percent, plural
from sweeper.report.param_columns import param_columns
from sweeper.report.parameters import constant_params
from sweeper.report.sections.head import failure_reason, run_seconds, state_words
from sweeper.report.shares import possible
from sweeper.report.statistics import Interval, accuracy_interval, describe_sample
from sweeper.report.study_data import StudyData
from sweeper.report.theme import PART_LABELS

__all__ = [
    "best_interval",
    "build_all_trials",
    "build_best_trials",
    "describe_best",
    "describe_best_configuration",
    "draw_best_configurations",
    "draw_best_trials",
    "draw_trials",
    "gather_best_configurations",
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


def gather_trials(data: StudyData, n: int | None = None) -> pd.DataFrame:
    """All trials, or the first `n`, best first.

    Columns: rank (complete trials only), trial, state, value, best_epoch, n_epochs, train_loss, val_loss,
    train_accuracy, val_accuracy (these four at the epoch that the trial is judged by), n_parameters, seconds, one a
    varied parameter under its dotted path, reason (of a failure).
    """
    rank = {run.run_id: i for i, run in enumerate(data.complete, start=1)}
    rows = []
    for run in data.ranked[:n]:
        n_parameters = run.tags.get("sweeper.n_parameters", "")
        row = {
            "rank": rank.get(run.run_id),
            "trial": run.number,
            "state": run.state,
            "value": run.value,
            "best_epoch": data.epoch_of[run.run_id],
            "n_epochs": data.n_epochs[run.run_id],
            **{
                f"{part}_{quantity}": data.at_epoch(run, f"{part}/{quantity}")
                for quantity in ("loss", "accuracy")
                for part in ("train", "val")
            },
            "n_parameters": int(n_parameters) if n_parameters.isdecimal() else None,
            "seconds": run_seconds(run),
        }
        row |= {path: data.params[run.run_id].get(path) for path in data.varied}
        row["reason"] = failure_reason(run) if run.state == "FAIL" else ""
        rows.append(row)
    columns = ["rank", "trial", "state", "value", "best_epoch", "n_epochs", "train_loss", "val_loss"]
    columns += ["train_accuracy", "val_accuracy", "n_parameters", "seconds", *data.varied, "reason"]
    # Objects keep integers with gaps, booleans and lists as they are.
    return pd.DataFrame(rows, columns=columns, dtype=object)


def gather_constants(data: StudyData) -> pd.DataFrame:
    """Parameters that did not vary: columns parameter, value, n_trials."""
    constants = constant_params([data.params[run.run_id] for run in data.runs])
    rows = [(c.path, json.dumps(c.value) if isinstance(c.value, list) else c.value, c.n_runs) for c in constants]
    return pd.DataFrame(rows, columns=["parameter", "value", "n_trials"], dtype=object)


def _constant_text(value: object) -> str:
    """A value as everywhere else; lists, which CSV files hold as JSON, too."""
    return param_text(json.loads(value) if isinstance(value, str) and value.startswith("[") else value)


def _duration(value: object) -> str:
    return duration(value if isinstance(value, int | float) else None)


def _result_columns(data: StudyData, frame: pd.DataFrame) -> list[Column]:
    metric = data.objective.metric
    show_value = data.value_text if data.value_is_percent else aligned(frame["value"])
    columns = [
        Column(key="value", label=data.value_label, title=metric, show=show_value, numeric=True),
        Column(key="best_epoch", label="epoch", title="epoch that the trial is judged by", show=count, numeric=True),
    ]
    for quantity in ("accuracy", "loss"):
        for part in ("train", "val"):
            key = f"{part}_{quantity}"
            if metric == f"{part}/{quantity}" or frame[key].isna().all():
                continue
            show = data.accuracy_text if quantity == "accuracy" else aligned(frame[key])
            unit = " (%)" if quantity == "accuracy" else ""
            columns.append(Column(key=key, label=f"{PART_LABELS[part]} {quantity}{unit}", show=show, numeric=True))
    return columns


def draw_trials(data: StudyData, frame: pd.DataFrame) -> Table:
    """The table of all trials, sortable and filterable in the page."""
    columns = [
        Column(key="rank", label="rank", show=count, numeric=True),
        Column(key="trial", label="trial", numeric=True, header=True),
        Column(key="state", label="state", show=lambda state: state_words(str(state))),
        *_result_columns(data, frame),
        Column(key="n_epochs", label="epochs run", show=count, numeric=True),
        *param_columns(frame, data.varied, data.labels),
        Column(key="seconds", label="time", title="seconds from start to end", show=_duration, numeric=True),
    ]
    if (frame["reason"] != "").any():
        columns.append(Column(key="reason", label="reason of failure", show=lambda reason: str(reason)))
    title = "Trials, the best first"
    return Table(key="trials", title=title, frame=frame, columns=columns, interactive=True, sorted_by="rank")


def draw_best_trials(data: StudyData, frame: pd.DataFrame) -> Table:
    """The table of the best trials: results, then the parameters that varied."""
    frame = frame[frame["rank"].notna()].head(data.top)
    columns = [
        Column(key="rank", label="rank", show=count, numeric=True),
        Column(key="trial", label="trial", numeric=True, header=True),
        *_result_columns(data, frame),
        *param_columns(frame, data.varied, data.labels),
    ]
    return Table(
        key="best", title="Best trial" if len(frame) == 1 else f"Best {len(frame)} trials", frame=frame, columns=columns
    )


def gather_best_configurations(data: StudyData) -> pd.DataFrame:
    """The best configurations by the mean over their seeds.

    Columns: rank, trials, n_seeds (complete), n_trials, value, deviation (None for one seed), low, high (Student's 95 %
    interval of the mean), lowest, highest, then one a varied parameter but the seed.
    """
    rows = []
    for rank, configuration in enumerate(data.configurations[: data.top], start=1):
        values = [run.value for run in configuration.runs if run.value is not None]
        sample = describe_sample(values)
        assert sample is not None
        interval = possible(sample.interval, data.objective.metric)
        row = {
            "rank": rank,
            "trials": ", ".join(str(run.number) for run in configuration.runs),
            "n_seeds": sample.n,
            "n_trials": configuration.n_trials,
            "value": sample.mean,
            "deviation": sample.deviation,
            "low": None if interval is None else interval.low,
            "high": None if interval is None else interval.high,
            "lowest": min(values),
            "highest": max(values),
        }
        rows.append(row | {path: data.params[configuration.typical.run_id].get(path) for path in data.factors})
    columns = ["rank", "trials", "n_seeds", "n_trials", "value", "deviation", "low", "high", "lowest", "highest"]
    frame = pd.DataFrame(rows, columns=[*columns, *data.factors], dtype=object)
    return frame.where(frame.notna(), None)


def draw_best_configurations(data: StudyData, frame: pd.DataFrame) -> Table:
    """The table of the best configurations."""
    show = data.value_text if data.value_is_percent else aligned([*frame["value"], *frame["lowest"], *frame["highest"]])

    shown = frame.assign(
        seeds=[str(k) if k == n else f"{k} of {n}" for k, n in zip(frame["n_seeds"], frame["n_trials"], strict=True)],
        spread=[_deviation(data, deviation) for deviation in frame["deviation"]],
        interval=[interval_text(low, high, show) for low, high in zip(frame["low"], frame["high"], strict=True)],
        range=[interval_text(low, high, show) for low, high in zip(frame["lowest"], frame["highest"], strict=True)],
    )
    columns = [
        Column(key="rank", label="rank", show=count, numeric=True),
        Column(key="trials", label="trials", header=True),
        Column(key="seeds", label="seeds", numeric=True),
        Column(key="value", label=f"{data.value_label}, mean", title=data.objective.metric, show=show, numeric=True),
        Column(key="spread", label="± deviation", title="standard deviation over the seeds", numeric=True),
        Column(key="interval", label="95 % interval", title="Student's, of the mean over the seeds", numeric=True),
        Column(key="range", label="lowest–highest", numeric=True),
        *param_columns(frame, data.factors, data.labels),
    ]
    title = "Best configuration" if len(frame) == 1 else f"Best {len(frame)} configurations"
    return Table(key="best", title=title, frame=shown, columns=columns)


def _deviation(data: StudyData, deviation: object) -> str:
    return percent(deviation, data.decimals + 1) if data.value_is_percent else number(deviation, 2)


def describe_best_configuration(data: StudyData) -> str:
    """The best configuration in sentences that its numbers support."""
    best = data.configurations[0]
    sample = describe_sample([run.value for run in best.runs if run.value is not None])
    assert sample is not None
    assert data.best is not None
    unit = " %" if data.value_is_percent else ""
    words = f"Best is the configuration of {best.name}, with {data.value_text(sample.mean)}{unit}"
    interval = possible(sample.interval, data.objective.metric)
    if interval is not None:
        words += (
            f" in the mean over {sample.n} seeds (95 % interval {data.value_text(interval.low)} to "
            f"{data.value_text(interval.high)}{unit})"
        )
    words += f". Where one trial stands for it below, that is trial {data.best.number}, with {best.typical_words}."
    if best.n_trials > len(best.runs):
        words += f" {plural(best.n_trials - len(best.runs), 'seed')} of {best.n_trials} did not complete."
    if len(data.configurations) > 1 and data.objective.metric.startswith("val/"):
        words += (
            f" It was chosen from {len(data.configurations)} on the very pictures it is measured on, so that its mean "
            "is an optimistic estimate for new ones."
        )
    return words


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
    if data.has_seeds:
        table = draw_best_configurations(data, gather_best_configurations(data))
        return [Note(text=describe_best_configuration(data)), table]
    return [Note(text=describe_best(data)), draw_best_trials(data, gather_trials(data, data.top))]


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
            Column(key="value", label="value", show=_constant_text),
        ]
        if (constants["n_trials"] < n).any():
            label = "trials that have it"
            columns.append(Column(key="n_trials", label=label, show=lambda k: f"{k} of {n}", numeric=True))
        blocks.append(Table(key="constants", title="The same in all trials", frame=constants, columns=columns))
    return blocks
