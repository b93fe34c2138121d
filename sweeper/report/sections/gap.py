"""Over-fitting: how far training lies above validation in the best trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from sweeper.report.blocks import Block, Column, Note, Table
from sweeper.report.format import as_float, count, percent
from sweeper.report.statistics import accuracy_interval
from sweeper.report.study_data import StudyData
from sweeper.tracking.records import RunRecord

__all__ = ["build_gap", "describe_gap", "draw_gaps", "draws_evenly", "gather_gaps"]

_LOSS_RISE = 0.05
"""A rise of validation loss after its lowest epoch is mentioned from this share on; less is noise between epochs."""


def _decimals(data: StudyData) -> int:
    """One at least: rounded to whole percents, two accuracies would seem not to differ by their gap."""
    return max(data.decimals, 1)


def gather_gaps(data: StudyData, runs: Sequence[RunRecord] | None = None) -> pd.DataFrame:
    """Training and validation of trials, by default the best ones, at the epoch that each is judged by.

    Columns: trial, epoch, train_accuracy, val_accuracy, gap (training minus validation, a fraction), low, high (95 %
    interval of the gap from Wilson's interval of the validation accuracy; missing where the number of pictures is),
    overfit (True where the whole interval is above 0; None where there is no interval), val_loss_lowest_epoch,
    val_loss_rise (from its lowest epoch to the last, as a share of the lowest).
    """
    n = data.n_pictures("val")
    rows: list[dict[str, Any]] = []
    for run in data.best_runs if runs is None else runs:
        train, val = data.at_epoch(run, "train/accuracy"), data.at_epoch(run, "val/accuracy")
        row: dict[str, Any] = {
            "trial": run.number,
            "epoch": data.epoch_of[run.run_id],
            "train_accuracy": train,
            "val_accuracy": val,
        }
        if train is not None and val is not None:
            row["gap"] = train - val
            # Drawn with equal classes, training pictures are others than those of validation: no verdict on the sum.
            interval = None if draws_evenly(data, run) else accuracy_interval(val, n)
            if interval is not None:
                row |= {"low": train - interval.high, "high": train - interval.low, "overfit": train > interval.high}
        if data.n_epochs[run.run_id]:
            losses = data.epochs.loc[run.run_id]["val/loss"].dropna()
            lowest = as_float(float(losses.min())) if not losses.empty else None
            last = as_float(float(losses.iloc[-1])) if not losses.empty else None
            if lowest and last is not None and lowest > 0.0:
                row |= {
                    "val_loss_lowest_epoch": losses.index.tolist()[int(losses.argmin())],
                    "val_loss_rise": last / lowest - 1.0,
                }
        rows.append(row)
    columns = ["trial", "epoch", "train_accuracy", "val_accuracy", "gap", "low", "high", "overfit"]
    columns += ["val_loss_lowest_epoch", "val_loss_rise"]
    frame = pd.DataFrame(rows, columns=columns, dtype=object)
    return frame.where(frame.notna(), None)


def _describe_seeds(data: StudyData) -> str:
    """How many seeds of the best configuration are over-fitted, where it has several; empty where none is."""
    runs = data.configurations[0].runs
    verdicts = gather_gaps(data, runs)["overfit"]
    if len(runs) < 2 or verdicts.isna().any():
        return ""
    n = sum(verdict is True for verdict in verdicts)
    which = "each is" if n == len(runs) else "1 is" if n == 1 else f"{n} are"
    return f"Of the {len(runs)} seeds of this configuration, {which} over-fitted." if n else ""


def draws_evenly(data: StudyData, run: RunRecord) -> bool:
    """Whether a trial drew training pictures so that each class is as frequent, unlike in validation."""
    return data.params[run.run_id].get("training.balance") in ("sampler", "both")


def describe_gap(data: StudyData, gap: pd.Series) -> tuple[str, bool]:
    """The gap of a trial in sentences, and whether it is over-fitted beyond what chance explains."""
    text, overfit = "", gap["overfit"] is True
    train, val = (percent(gap[f"{part}_accuracy"], _decimals(data)) for part in ("train", "val"))
    if gap["gap"] is not None:
        size = percent(abs(gap["gap"]), _decimals(data))
        side = "above" if gap["gap"] >= 0 else "below"
        text = (
            f"Trial {gap['trial']}: training accuracy {train} % lies {size} points {side} validation accuracy {val} %"
        )
    if gap["low"] is not None:
        low, high = (percent(gap[end], _decimals(data)).replace("-", "−") for end in ("low", "high"))
        text += f" (95 % interval of the gap {low} to {high} points, from {count(data.n_pictures('val'))} pictures). "
        if overfit:
            text += "It is over-fitted: the gap is larger than the chance of the validation sample explains."
        elif gap["high"] < 0:
            text += "It is not over-fitted; dropout and augmentation, which act in training only, may explain the sign."
        else:
            text += "Over-fitting is not distinguishable from chance here."
    elif text and data.best is not None and draws_evenly(data, data.best):
        text += (
            ". Training pictures were drawn with equal classes, those of validation were not: compare class by class."
        )
    elif text:
        text += ". The number of validation pictures is not known, so that no interval can be given."
    if gap["val_loss_rise"] is not None and gap["val_loss_rise"] >= _LOSS_RISE:
        rise = f"{100 * gap['val_loss_rise']:.0f} %"
        text += (
            f" Validation loss was lowest at epoch {gap['val_loss_lowest_epoch']} and rose by {rise} until the last."
        )
    return text.strip(), overfit


def draw_gaps(data: StudyData, frame: pd.DataFrame) -> Table:
    """One row a trial."""

    def points(value: Any) -> str:
        x = as_float(value)
        return "–" if x is None else f"{100 * x:+.{_decimals(data)}f}".replace("-", "−")

    def accuracy(value: Any) -> str:
        return percent(value, _decimals(data))

    verdicts = {True: "over-fitted", False: "not distinguishable", None: "–"}
    shown = frame.assign(
        interval=[
            "–" if low is None else f"{points(low)} to {points(high)}"
            for low, high in zip(frame["low"], frame["high"], strict=True)
        ],
        verdict=[
            "training below validation" if high is not None and high < 0 else verdicts[flag]
            for flag, high in zip(frame["overfit"], frame["high"], strict=True)
        ],
    )
    judged = [
        Column(key="interval", label="95 % interval", numeric=True),
        Column(key="verdict", label="over-fitting"),
    ]
    if frame["low"].isna().all():
        judged = []
    columns = [
        Column(key="trial", label="trial", numeric=True, header=True),
        Column(key="epoch", label="epoch", show=count, numeric=True),
        Column(key="train_accuracy", label="training accuracy (%)", show=accuracy, numeric=True),
        Column(key="val_accuracy", label="validation accuracy (%)", show=accuracy, numeric=True),
        Column(key="gap", label="gap (points)", title="training minus validation", show=points, numeric=True),
        *judged,
        Column(key="val_loss_lowest_epoch", label="lowest validation loss at epoch", show=count, numeric=True),
        Column(
            key="val_loss_rise",
            label="rise since (%)",
            title="of validation loss from its lowest epoch to the last",
            show=lambda rise: percent(rise, 0),
            numeric=True,
        ),
    ]
    note = (
        "No interval where training pictures were drawn with equal classes and those of validation were not: compare "
        "these trials class by class."
        if judged and any(draws_evenly(data, run) for run in data.best_runs)
        else ""
    )
    return Table(key="gap", title="Training against validation", frame=shown, columns=columns, note=note)


def build_gap(data: StudyData) -> Sequence[Block]:
    """What the best trial's gap says, then the table; nothing without a best trial, or where there are no classes."""
    if data.best is None or data.task != "classification":
        return []
    frame = gather_gaps(data)
    if frame["gap"].isna().all():
        return [Note(text="Training and validation accuracy were not both recorded, so that no gap can be given.")]
    words, overfit = describe_gap(data, frame.iloc[0])
    words = f"{words} {_describe_seeds(data)}".strip()
    notes = [Note(text=words, level="warning" if overfit else "text")] if words else []
    return [*notes, draw_gaps(data, frame)]
