"""Comparison: the values of one factor beside each other, and which of them are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from sweeper.report.blocks import Block, Column, Note, Table
from sweeper.report.effect import Effect, choose_parameter
from sweeper.report.factor import Factor
from sweeper.report.factor_tables import PARTS, gather_factor
from sweeper.report.factor_words import describe_factor, difference_text, value_shows
from sweeper.report.format import aligned, interval_text, number
from sweeper.report.levels import CONFIGURATION, in_full
from sweeper.report.shares import is_share
from sweeper.report.study_data import StudyData
from sweeper.report.theme import PART_LABELS

__all__ = ["build_comparison", "draw_differences", "draw_measures"]

_N_COLUMNS = 14
"""Of more classes than this only the CSV file tells."""
_P_LOWEST = 0.001


def _p_text(p: Any) -> str:
    if p is None:
        return "–"
    return f"< {_P_LOWEST}" if p < _P_LOWEST else f"{p:.{4 if p < 0.1 else 3}f}"


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with names as tables have room for, and what those of trials stand for."""
    names = [in_full(label, words) for label, words in zip(frame["value"], frame["words"], strict=True)]
    return frame.assign(name=[name for name, _ in names], rest=[rest for _, rest in names])


def draw_differences(factor: Factor, frame: pd.DataFrame) -> Table:
    """The values by the metric, and their differences to the best."""
    show, is_percent = value_shows(factor, factor.metric), is_share(factor.metric)

    def signed(value: Any) -> str:
        return "" if value is None else difference_text(factor, value)

    spreads = ["" if sd is None else f" ± {show(sd)}" for sd in frame["sd"]]
    whole = _named(frame).assign(
        mean_text=[show(mean) + spread for mean, spread in zip(frame["mean"], spreads, strict=True)],
        interval=[interval_text(low, high, show) for low, high in zip(frame["low"], frame["high"], strict=True)],
        difference_interval=[
            ""
            if row["verdict"] == "first"
            else interval_text(row["difference_low"], row["difference_high"], signed, between=" to ")
            for _, row in frame.iterrows()
        ],
        better=[f"{k} of {n}" if n and n > 1 else "" for k, n in zip(frame["n_better"], frame["n_pairs"], strict=True)],
    )
    of_tests = factor.metric.startswith("test/")
    columns = [
        Column(key="name", label=factor.label, title=factor.path, header=True),
        Column(key="n_tests" if of_tests else "n_complete", label="trainings", numeric=True),
        Column(key="mean_text", label=factor.metric_text() + (" (%)" if is_percent else ""), numeric=True),
    ]
    if frame["low"].notna().any():
        columns.append(Column(key="interval", label="95 % interval", numeric=True))
    unit = " (points)" if is_percent else ""
    columns += [
        Column(key="difference", label=f"difference to the first{unit}", show=signed, numeric=True),
        Column(key="difference_interval", label="its interval", title="95 % or more", numeric=True),
        Column(key="verdict", label="verdict"),
    ]
    if any(whole["better"]):
        title = "pairs in which it is better than the first"
        columns.append(Column(key="better", label="better in", title=title, numeric=True))
    if frame["p_holm"].notna().any():
        title = "of the paired t test, corrected for all pairs of values (Holm)"
        columns.append(
            Column(key="p_holm", label="p", title=title, show=lambda p: "" if p is None else _p_text(p), numeric=True)
        )
    if whole["rest"].any():
        columns.insert(1, Column(key="rest", label="what varied", show=str))  # what the name stands for
    spread = "Mean ± standard deviation over the trainings of a value. " if any(spreads) else ""
    return Table(
        key="differences-test" if of_tests else "differences",
        title=f"Values of {factor.label} by {factor.metric_text()}",
        frame=whole,
        columns=columns,
        note=f"{spread}Not distinguishable: the interval of the difference holds 0.",
    )


def draw_measures(factor: Factor, frame: pd.DataFrame, part: str, *, true: bool) -> Table | None:
    """The values against overall, mean of the classes and each class in a part; None where that was not measured.

    Values that were not tested are not in the table of the test part.
    """
    measures = factor.measures(part, true=true)
    if not measures or frame[list(measures.values())].isna().all(axis=None):
        return None
    n = "n_tests" if part == "test" else "n_complete"
    frame = frame[frame[n] > 0]
    whole = _named(frame)[["value", "name", n]]
    columns = [Column(key="name", label=factor.label, header=True)]
    if (frame[n] > 1).any():
        columns.append(Column(key=n, label="trainings", numeric=True))
    classes = [key for key in measures if key.startswith("class:")]
    for key, metric in measures.items():
        show = value_shows(factor, metric) if is_share(metric) else aligned(frame[metric])
        whole[key], whole[f"{key}:sd"] = frame[metric], frame[f"{metric} sd"]
        whole[f"{key}:text"] = [
            show(mean) + ("" if sd is None else f" ± {show(sd) if is_share(metric) else number(sd, 2)}")
            for mean, sd in zip(frame[metric], frame[f"{metric} sd"], strict=True)
        ]
        if key not in classes or len(classes) <= _N_COLUMNS:
            label = key.partition(":")[2] or key
            title = "mean of the classes" if key == "avg" else ""
            columns.append(Column(key=f"{key}:text", label=label, title=title, numeric=True))
    has_true = bool(factor.measures(part, true=True))
    labels = "" if not has_true else ", true labels" if true else ", given labels"
    what = "Accuracies" if classes or "overall" in measures else "Losses"
    return Table(
        key=f"{part}{'-true' if true else ''}",
        title=f"{what} in {PART_LABELS[part]}{labels}{' (%)' if what == 'Accuracies' else ''}, by {factor.label}",
        frame=whole,
        columns=columns,
        note="" if len(classes) <= _N_COLUMNS else f"The CSV file has the {len(classes)} classes.",
    )


def build_comparison(data: StudyData) -> Sequence[Block]:
    """The values of the parameter that was asked for, or the one that varied; nothing where there is none, its values
    are many, or no trials can be compared."""
    path = choose_parameter(data)
    if path is None or (data.by is None and not _is_the_one(data, path)):
        return []
    factor = Factor(data, path)
    if not factor.is_comparable:
        return []
    blocks: list[Block] = []
    tested = f"test/{factor.metric.partition('/')[2]}"
    for each in (factor, Factor(data, path, metric=tested) if tested in factor.measured.columns else None):
        if each is not None and each.is_comparable:
            frame = gather_factor(each)
            blocks += [Note(text=" ".join(describe_factor(each, frame))), draw_differences(each, frame)]
    frame = gather_factor(factor)
    tables = (draw_measures(factor, frame, part, true=true) for part, true in PARTS)
    return [*blocks, *(table for table in tables if table is not None)]


def _is_the_one(data: StudyData, path: str) -> bool:
    """Whether nothing but this parameter varied; of single trials, the table of classes compares all configurations."""
    return data.has_seeds if path == CONFIGURATION else Effect(data, path).is_only
