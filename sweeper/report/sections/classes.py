"""Accuracy of each class: configurations against classes, on given and on true labels, and against epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from sweeper.report.blocks import Block, Column, Note, Row, Table
from sweeper.report.class_accuracies import gather_class_accuracies, gather_comparison, gather_parts, is_compared
from sweeper.report.format import count, interval_text
from sweeper.report.param_columns import param_columns
from sweeper.report.sections.class_curves import build_class_curves
from sweeper.report.study_data import StudyData
from sweeper.report.theme import PART_LABELS

__all__ = ["build_classes", "draw_class_table", "draw_parts"]

_N_COLUMNS = 14
"""With more classes than this, classes become the rows of the table."""
_N_FACTORS = 4
"""With more parameters that varied than this, they are told apart by number; the table of the best trials has them."""
_N_BEFORE_VERDICT = 5
_VERDICTS = {
    "first": "",
    "worse": "worse",
    "better": "better",
    "alike": "not distinguishable",
    "unknown": "–",
}


def _with_spread(data: StudyData, frame: pd.DataFrame, key: str) -> list[str]:
    """A measure in percent, with its deviation over the seeds where there is one."""
    return [
        data.accuracy_text(mean) + ("" if deviation is None else f" ± {data.accuracy_text(deviation)}")
        for mean, deviation in zip(frame[key], frame[f"{key}:sd"], strict=True)
    ]


def _measure_columns(data: StudyData, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Column]]:
    """The measures of a frame of accuracies as texts, and their columns."""
    texts: dict[str, list[str]] = {}
    columns: list[Column] = []
    interval_title = "95 % interval"
    for key, label, title in (
        ("overall", "overall", ""),
        ("avg", "avg", "mean of the classes"),
        *((f"class:{name}", name, "") for name in data.class_names),
    ):
        if frame[key].isna().all() and key != "overall":
            continue
        texts[f"{key}:text"] = _with_spread(data, frame, key)
        columns.append(Column(key=f"{key}:text", label=label, title=title, numeric=True))
        low, high = {"overall": ("low", "high"), "avg": ("avg_low", "avg_high")}.get(key, ("", ""))
        if low and frame[low].notna().any():
            texts[f"{key}:interval"] = [
                interval_text(*ends, data.accuracy_text) for ends in zip(frame[low], frame[high], strict=True)
            ]
            of = f"{interval_title} of {label}"
            of_this = of if key == "avg" and "overall:interval" not in texts else interval_title
            columns.append(Column(key=f"{key}:interval", label=of_this, title=of, numeric=True))
    return pd.DataFrame(texts, index=frame.index, dtype=object), columns


def _row_names(measures: Sequence[Column]) -> list[str]:
    """Names of measures that have a row each: an interval is not beside what it belongs to."""
    return [column.title if column.key.endswith(":interval") else column.label for column in measures]


def _interval_note(data: StudyData, frame: pd.DataFrame, *, has_seeds: bool) -> str:
    notes = []
    if has_seeds:
        notes.append("Mean ± standard deviation over the seeds.")
    if frame["low"].notna().any() or frame["avg_low"].notna().any():
        n = count(data.n_pictures("val"))
        notes.append(
            "95 % intervals: Student's, of the mean over the seeds."
            if has_seeds
            else f"95 % intervals: Wilson's, over {n} validation pictures; of avg from what is known of each class."
            if frame["avg_low"].notna().any()
            else f"95 % interval: Wilson's, of the overall accuracy on {n} pictures."
        )
    return " ".join(notes)


def _name_columns(data: StudyData, frame: pd.DataFrame) -> list[Column]:
    """What names a configuration: its trial, or with seeds its trials; then the parameters that varied, if few."""
    if data.has_seeds:
        columns = [Column(key="trials", label="trials", header=True)]
        if len(set(frame["n_trials"])) > 1 or (frame["n_seeds"] < frame["n_trials"]).any():
            columns.append(Column(key="seeds", label="seeds", numeric=True))
    else:
        columns = [Column(key="trial", label="trial", numeric=True, header=True)]
    if len(data.factors) <= _N_FACTORS:
        columns += param_columns(frame, data.factors, data.labels)
    return columns


def draw_class_table(data: StudyData, part: str, frame: pd.DataFrame, *, true: bool = False) -> Table:
    """Configurations against classes; with many classes the other way round."""
    title = f"Accuracy of each class in {PART_LABELS[part]}{data.label_words(true=true)} (%)"
    note = _interval_note(data, frame, has_seeds=data.has_seeds)
    key = f"classes-{part}{'-true' if true else ''}"
    texts, measures = _measure_columns(data, frame)
    if len(data.class_names) > _N_COLUMNS:
        names = [f"trial {n}" if not data.has_seeds else f"trials {n}" for n in frame["trials"]]
        shown = dict(zip(names, (list(row) for row in texts.itertuples(index=False)), strict=True))
        turned = pd.DataFrame({"class": _row_names(measures), **shown}, dtype=object)
        columns = [Column(key="class", label="class", header=True)]
        columns += [Column(key=name, label=name, numeric=True) for name in shown]
        return Table(key=key, title=title, frame=turned, columns=columns, note=note, interactive=True)
    seeds = [str(k) if k == n else f"{k} of {n}" for k, n in zip(frame["n_seeds"], frame["n_trials"], strict=True)]
    whole = pd.concat([frame, texts], axis="columns").assign(seeds=seeds)
    columns = [*_name_columns(data, frame), *measures]
    if is_compared(data, part, true=true) and len(frame) > 1:
        compared = gather_comparison(data)
        if compared["low"].notna().any():
            whole = whole.assign(difference_low=compared["low"], difference_high=compared["high"])
            whole["difference:text"] = [
                _difference(data, low, high) for low, high in compared[["low", "high"]].to_numpy()
            ]
            whole["verdict"] = [_VERDICTS[verdict] for verdict in compared["verdict"]]
            # Before many classes: in a wide table the last columns are out of sight.
            is_wide = len(data.class_names) > _N_BEFORE_VERDICT
            classes = [i for i, column in enumerate(columns) if column.key.startswith("class:")]
            place = classes[0] if classes and is_wide else len(columns)
            columns[place:place] = [
                Column(key="difference:text", label="against the first (points)", numeric=True),
                Column(key="verdict", label="verdict"),
            ]
            note += f" {_comparison_note(data, len(frame))}"
    return Table(key=key, title=title, frame=whole, columns=columns, note=note.strip())


def _difference(data: StudyData, low: Any, high: Any) -> str:
    if low is None:
        return ""
    return f"{100 * low:+.{data.decimals}f} to {100 * high:+.{data.decimals}f}".replace("-", "−")


def _comparison_note(data: StudyData, n: int) -> str:
    what = f"Against the first: interval of the difference in {data.value_label.removesuffix(' (%)')}"
    how = ", paired by seed" if data.has_seeds else ", for these pictures; other seeds may differ by more"
    method = "Holm" if data.has_seeds else "Bonferroni"
    together = f"; corrected for all pairs of configurations ({method}), since chance may have chosen the first"
    together = together if n > 2 else ""
    return f"{what}{how}{together}."


def draw_parts(data: StudyData, frame: pd.DataFrame) -> Table:
    """The best configuration: parts and labels against classes; with many classes the other way round."""
    texts, measures = _measure_columns(data, frame)
    both = frame["true"].any()
    names = [
        PART_LABELS[part] + ((", true labels" if true else ", given labels") if both else "")
        for part, true in zip(frame["part"], frame["true"], strict=True)
    ]
    first = data.configurations[0]
    title = f"Accuracy of {first.name} in each part (%)"
    note = _interval_note(data, frame, has_seeds=len(first.runs) > 1)
    if len(data.class_names) > _N_COLUMNS:
        shown = dict(zip(names, (list(row) for row in texts.itertuples(index=False)), strict=True))
        turned = pd.DataFrame({"class": _row_names(measures), **shown}, dtype=object)
        columns = [Column(key="class", label="class", header=True)]
        columns += [Column(key=name, label=name, numeric=True) for name in shown]
        return Table(key="parts", title=title, frame=turned, columns=columns, note=note, interactive=True)
    whole = pd.concat([frame, texts], axis="columns").assign(name=names)
    columns = [Column(key="name", label="pictures", header=True), *measures]
    return Table(key="parts", title=title, frame=whole, columns=columns, note=note)


def _has_accuracies(frame: pd.DataFrame) -> bool:
    measures = [c for c in frame.columns if c == "avg" or (c.startswith("class:") and not c.endswith(":sd"))]
    return bool(frame[measures].notna().any(axis=None))


def build_classes(data: StudyData) -> Sequence[Block]:
    """The best configuration part by part, all shown configurations, and curves of the best trial; nothing without a
    best trial, or where there are no classes."""
    if data.best is None or data.task != "classification":
        return []
    blocks: list[Block] = []
    parts = gather_parts(data)
    if not parts.empty and _has_accuracies(parts) and (len(data.shown) == 1 or parts["true"].any()):
        blocks.append(draw_parts(data, parts))
    for part in ("val", "train") if len(data.shown) > 1 else ():
        for true in (False, True):
            frame = gather_class_accuracies(data, part, true=true)
            if _has_accuracies(frame):
                blocks.append(draw_class_table(data, part, frame, true=true))
    if len(data.shown) < len(data.configurations) and blocks:
        words = (
            f"The best {len(data.shown)} of {len(data.configurations)} are shown; all are in the table of all trials."
        )
        blocks.insert(0, Note(text=words))
    figures = build_class_curves(data)
    if figures:
        blocks.append(Row(items=figures))
    return blocks or [Note(text="No accuracies of single classes were recorded.")]
