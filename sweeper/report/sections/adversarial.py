"""Adversarial pictures: accuracy of each class against the size of the change, and pictures before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.blocks import Block, Figure, Note, Picture, Row
from sweeper.report.format import number, percent, plural
from sweeper.report.study_data import StudyData
from sweeper.report.theme import PART_LABELS, blank_figure, plain, series_style
from sweeper.tracking.analyses import FoundResult, find_results

__all__ = ["build_adversarial", "describe_attack", "draw_against_epsilon", "gather_attack"]

_N_LINES = 12
_METHODS = {"fgsm": "FGSM", "bim": "the basic iterative method", "pgd": "PGD"}


def gather_attack(result: Any) -> pd.DataFrame:
    """Columns: epsilon, class, n, right, accuracy; of a targeted attack as_target and target_rate too."""
    frame = pd.DataFrame(result["accuracy"])
    frame["accuracy"] = frame["right"] / frame["n"]
    if "as_target" in frame.columns:
        frame["target_rate"] = frame["as_target"] / frame["n"]
    return frame


def describe_attack(found: FoundResult, frame: pd.DataFrame) -> str:
    """What was done, and what came of it, in plain words."""
    result = found.result
    steps = "" if result["method"] == "fgsm" else f" in {plural(result['n_steps'], 'step')}"
    aim = "any other class" if result["target"] is None else f"{result['target']}"
    whose = plural(result["n_pictures"], f"{PART_LABELS[result['part']]} picture")
    labels = "" if result["labels"] == "given" else " Classes are the true ones."
    totals = frame.groupby("epsilon")[["n", "right", *(["as_target"] if "as_target" in frame else [])]].sum()
    first, last = totals.iloc[0], totals.iloc[-1]
    words = (
        f"Trial {found.run.number}, attacked by {_METHODS.get(result['method'], result['method'])}{steps} so that "
        f"{whose} are taken for {aim}, each pixel changed by at most ε of its range of 0 to 1: "
        f"{percent(first['right'] / first['n'])} % are right without a change, "
        f"{percent(last['right'] / last['n'])} % at ε = {number(float(totals.index[-1]))}."
    )
    if "as_target" in totals:
        words += f" There, {percent(last['as_target'] / last['n'])} % are taken for {result['target']}."
    return words + labels


def draw_against_epsilon(found: FoundResult, frame: pd.DataFrame, column: str, *, key: str) -> Figure:
    """A share of the pictures of each class against ε; of many classes those lowest and highest at the largest ε."""
    result = found.result
    names = [name for name in result["class_names"] if (frame["class"] == name).any()]
    last = {name: float(frame.loc[frame["class"] == name, column].iloc[-1]) for name in names}
    ranked = sorted(names, key=lambda name: (last[name], names.index(name)))
    kept = {*ranked[: _N_LINES // 2], *ranked[-_N_LINES // 2 :]} if len(names) > _N_LINES else {*names}
    drawn = [name for name in names if name in kept]
    styled = result["class_names"] if len(result["class_names"]) <= _N_LINES else drawn
    words = "accuracy" if column == "accuracy" else f"taken for {result['target']}"
    figure = blank_figure(x="ε, largest change of a pixel", y=words, percent_y=True, legend=True)
    for name in drawn:
        colour, dash, symbol = series_style(styled.index(name))
        curve = frame[frame["class"] == name]
        figure.add_trace(
            go.Scatter(
                x=curve["epsilon"].tolist(),
                y=curve[column].tolist(),
                name=plain(name),
                mode="lines+markers",
                line={"color": colour, "dash": dash, "width": 2},
                marker={"symbol": symbol, "size": 6},
                hovertemplate="ε %{x:.4f}: %{y:.1%}",
            )
        )
    note = "" if len(drawn) == len(names) else f"Of {len(names)} classes, those lowest and highest at the largest ε."
    return Figure(
        key=key,
        title=f"{words.capitalize()} against ε, {_short(found)}",
        description=f"Lines of {words} against ε for {plural(len(drawn), 'class', 'classes')}.",
        figure=figure,
        data=frame,
        note=note,
    )


def _short(found: FoundResult) -> str:
    return f"trial {found.run.number}, {found.variant}"


def _examples(found: FoundResult, key: str) -> list[Picture]:
    content, shown = found.read("pictures.png"), found.result["examples"]
    if content is None or not shown:
        return []
    words = [
        f"a {e['label']} predicted as {e['before']} ({percent(e['before_confidence'])} %) and then as {e['after']} "
        f"({percent(e['after_confidence'])} %) at ε = {number(e['epsilon'])}"
        for e in shown
    ]
    return [
        Picture(
            key=key,
            title=f"Before, noise and after, {_short(found)}",
            description=f"Pictures in triples of before, noise and after: {'; '.join(words)}.",
            content=content,
            note="The noise is what was added, times the factor below it, around grey: black is −ε, white is +ε. "
            "Percentages are the model's confidence.",
        )
    ]


def build_adversarial(data: StudyData) -> Sequence[Block]:
    """Each attack on a run of the study: a sentence, figures, pictures; nothing where there was none."""
    blocks: list[Block] = []
    for found in find_results(data.record, data.reader, "attack"):
        key = f"t{found.run.number}-{found.variant}"
        frame = gather_attack(found.result)
        figures = [draw_against_epsilon(found, frame, "accuracy", key=f"{key}-accuracy")]
        if "target_rate" in frame.columns:
            figures.append(draw_against_epsilon(found, frame, "target_rate", key=f"{key}-target"))
        blocks += [Note(text=describe_attack(found, frame)), Row(items=figures), *_examples(found, f"{key}-pictures")]
    return blocks
