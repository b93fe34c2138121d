"""What one parameter did: a table of its values, and figures against it and against epoch."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

import pandas as pd

from sweeper.report.blocks import Block, Column, Note, Row, Table
from sweeper.report.divergence import has_diverged, loss_of_constant
from sweeper.report.effect import Effect, choose_parameter
from sweeper.report.format import aligned, as_float, count, number, plural
from sweeper.report.learning import loss_scale
from sweeper.report.levels import CONFIGURATION, Level, in_full
from sweeper.report.sections.effect_curves import build_level_curves
from sweeper.report.sections.effect_values import build_value_figures
from sweeper.report.sections.search import sampler_learns
from sweeper.report.study_data import StudyData

__all__ = ["build_effect", "describe_failures", "draw_levels", "gather_levels"]


def gather_levels(effect: Effect) -> pd.DataFrame:
    """A row a value of the parameter, in order; measures are medians over its complete trials.

    Columns: level, x, words (what a level stands for that is called by its trials), n_trials (complete and diverged),
    trials, n_diverged, n_blown_up, train_loss, val_loss (after the last epoch), then at the epoch that each trial is
    judged by train_accuracy, overall, avg, `class:<name>`, true_overall, true_avg, `true_class:<name>`,
    `loss:<output>`; remark. What was not measured is left out.
    """
    measures = {"train_accuracy": "train/accuracy"}
    for kind in ("", "true_"):
        measures |= {f"{kind}overall": f"val/{kind}accuracy", f"{kind}avg": f"val/{kind}balanced_accuracy"}
        measures |= {f"{kind}class:{name}": f"val/{kind}accuracy/{name}" for name in effect.class_names}
    measures |= {f"loss:{name}": f"val/loss/{name}" for name in effect.data.output_names}
    measures = {key: metric for key, metric in measures.items() if metric in effect.judged.columns}
    rows = [_row(effect, level, measures) for level in effect.levels]
    frame = pd.DataFrame(rows, dtype=object)
    frame = frame.where(frame.notna(), None)
    return frame[[column for column in frame.columns if column == "x" or frame[column].notna().any()]]


def _row(effect: Effect, level: Level, measures: dict[str, str]) -> dict[str, Any]:
    complete = [run.run_id for run in level.runs if run.state == "COMPLETE"]
    row: dict[str, Any] = {
        "level": level.label,
        "x": level.x,
        "words": level.words or None,
        "n_trials": len(level.runs),
        "trials": ", ".join(str(run.number) for run in level.runs),
        "n_diverged": sum(map(has_diverged, level.runs)),
        "n_blown_up": sum(run_id in effect.blown for run_id in complete),
    }
    sources = {f"{part}_loss": effect.last_losses[part] for part in ("train", "val")}
    sources |= {key: effect.judged[metric] for key, metric in measures.items()}
    for key, values in sources.items():
        known = [x for run_id in complete if (x := as_float(float(values.get(run_id, float("nan"))))) is not None]
        row[key] = median(known) if known else None
    return row | {"remark": _remark(effect, row)}


def _remark(effect: Effect, row: dict[str, Any]) -> str:
    remarks = []
    for key, words in (("n_diverged", "diverged"), ("n_blown_up", "blew up")):
        if row[key]:
            remarks.append(words if row[key] == row["n_trials"] else f"{row[key]} of {row['n_trials']} {words}")
    shares = {name: row.get(f"class:{name}") for name in effect.class_names}
    always = [name for name, share in shares.items() if share == 1.0]
    if len(always) == 1 and all(share == 0.0 for name, share in shares.items() if name != always[0]):
        remarks.append(f"predicts only {always[0]}")
    return ", ".join(remarks)


def describe_failures(effect: Effect, frame: pd.DataFrame) -> str:
    """Which values diverged, and which blew up, in sentences; empty where none did."""
    sentences = []
    diverged = frame[frame["n_diverged"] > 0]
    if not diverged.empty:
        words = [_some_of(effect, row, "n_diverged") for _, row in diverged.iterrows()]
        sentences.append(f"Diverged, with a loss that became NaN or infinite: {'; '.join(words)}.")
    blown = frame[frame["n_blown_up"] > 0]
    if not blown.empty:
        words = [
            f"{_some_of(effect, row, 'n_blown_up')}, training loss {_blown_loss(effect, level)}"
            for level, (_, row) in zip(effect.levels, frame.iterrows(), strict=True)
            if row["n_blown_up"]
        ]
        constant = loss_of_constant(effect.data)
        limit = (
            f"above twice the {number(constant)} of predicting all {len(effect.data.class_names)} classes alike"
            if constant is not None
            else "above ten times the median after the first epoch"
        )
        sentences.append(f"Blew up, with a last training loss {limit}: {'; '.join(words)}.")
    return " ".join(sentences)


def _blown_loss(effect: Effect, level: Level) -> str:
    """Median of the last training losses of the trials that blew up."""
    ids = [run.run_id for run in level.runs if run.run_id in effect.blown]
    return number(median(float(effect.last_losses["train"][run_id]) for run_id in ids), 3)


def _some_of(effect: Effect, row: pd.Series, key: str) -> str:
    share = "" if row[key] == row["n_trials"] == 1 else f" ({row[key]} of {plural(row['n_trials'], 'trial')})"
    return f"{effect.label} {row['level']}{share}"


def draw_levels(effect: Effect, frame: pd.DataFrame) -> Table:
    """The table of the values."""
    data = effect.data
    names = [in_full(level.label, level.words) for level in effect.levels]
    frame = frame.assign(name=[name for name, _ in names], rest=[rest for _, rest in names])
    columns = [Column(key="name", label=effect.label, title=effect.path, header=True, numeric=effect.is_numeric)]
    if (frame["n_trials"] > 1).any():
        columns.append(Column(key="n_trials", label="trials", show=count, numeric=True))
    if (frame["remark"] != "").any():
        columns.append(Column(key="remark", label="remark", show=str))
    labels = {"train_loss": "last training loss", "val_loss": "last validation loss"}
    for key, label in labels.items():
        if key in frame:
            columns.append(Column(key=key, label=label, show=aligned(frame[key]), numeric=True))
    for key in frame.columns:
        if key.startswith("loss:"):
            label = f"validation loss of {key.removeprefix('loss:')}"
            columns.append(Column(key=key, label=label, show=aligned(frame[key]), numeric=True))
    titles = {"train_accuracy": "training (%)", "overall": "overall (%)", "avg": "avg (%)"}
    for key in frame.columns:
        kind = "true " if key.startswith("true_") else ""
        name = key.removeprefix("true_")
        if name in titles or name.startswith("class:"):
            label = kind + titles.get(name, f"{name.removeprefix('class:')} (%)")
            columns.append(Column(key=key, label=label, show=data.accuracy_text, numeric=True))
    if frame["rest"].any():
        columns.insert(1, Column(key="rest", label="what varied", show=str))  # what the name stands for
    notes = []
    if any(c.key in ("overall", "avg") for c in columns):
        notes.append("Accuracies of classes, overall and avg, their mean, are of validation.")
    if (frame["n_trials"] > 1).any():
        notes.append("Medians over the complete trials of a value.")
    return Table(
        key="values",
        title="Configurations" if effect.path == CONFIGURATION else f"Values of {effect.label}",
        frame=frame,
        columns=columns,
        note=" ".join(notes),
    )


def build_effect(data: StudyData) -> Sequence[Block]:
    """The parameter that was asked for or explains most; nothing where no parameter varied, or not that one."""
    path = choose_parameter(data)
    if path is None:
        return []
    effect = Effect(data, path)
    if len(effect.levels) < 2:
        return []
    blocks: list[Block] = []
    frame = gather_levels(effect)
    failures = describe_failures(effect, frame)
    if not effect.is_only:
        others = "Other parameters varied too"
        if sampler_learns(data):
            others += ", and the sampler looks more often where values were good"
        blocks.append(
            Note(text=f"By {effect.label} ({path}). {others}: what follows is no effect of {effect.label} alone.")
        )
    if failures:
        blocks.append(Note(text=failures, level="warning"))
    if len({loss_scale(data, run) for level in effect.levels for run in level.runs}) > 1:
        words = "Losses are not on one scale: label smoothing and the balance of classes are part of them."
        blocks.append(Note(text=f"{words} Compare accuracies."))
    blocks.append(draw_levels(effect, frame))
    figures = [*build_value_figures(effect), *build_level_curves(effect)]
    return [*blocks, Row(items=figures)] if figures else blocks
