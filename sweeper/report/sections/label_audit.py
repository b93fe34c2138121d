"""The audit of a study's labels: suspects with their pictures, and how right it is where true labels are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.blocks import Block, Column, Figure, Note, Picture, Row, Table
from sweeper.report.format import aligned, count, number, percent, plural
from sweeper.report.statistics import accuracy_interval
from sweeper.report.study_data import StudyData
from sweeper.report.theme import MUTED, PART_COLOURS, PART_LABELS, blank_figure
from sweeper.tracking.analyses import FoundResult, find_results

__all__ = [
    "build_label_audit",
    "describe_audit",
    "draw_curve",
    "gather_methods",
    "gather_noise",
    "gather_pairs",
    "gather_thresholds",
]

_N_ROWS = 12
_SURE = 0.9
"""A longer table can be filtered, and scrolls."""
_METHODS = {
    "mixture": "mixture of each pair of classes",
    "confident": "confident joint",
    "by_class": "prune by class",
    "by_noise_rate": "prune by noise rate",
    "both": "prune by class and noise rate",
}
_BETWEEN = {"relabel": "with the suspects of the round before relabelled", "drop": "without those of the round before"}


def _interval(share: float | None, n: int) -> str:
    interval = accuracy_interval(share, n)
    return "–" if interval is None else f"{percent(interval.low)}–{percent(interval.high)}"


def describe_audit(result: Any) -> str:
    """How the audit was made and what it found, in plain words."""
    trials, truth = result["trials"], result["truth"]
    words = (
        f"{plural(result['n_pictures'], 'picture')} for training and validation, each predicted by models that were "
        f"not trained on it: {result['n_folds']} folds, {plural(result['n_seeds'], 'seed')}, "
        f"{plural(len(trials), 'configuration')}, of trial {', '.join(map(str, trials))}. "
        f"Suspects are chosen by {_METHODS[result['prune']]}"
    )
    if result["n_rounds"] > 1:
        words += f", in {result['n_rounds']} rounds, {_BETWEEN[result['between']]}"
    words += f": {plural(len(result['suspects']), 'label is', 'labels are')} suspect."
    if truth is None:
        return words
    precision, recall = (
        f"{percent(truth[what])} % (95 % interval {_interval(truth[what], truth[of])})"
        for what, of in (("precision", "suspects"), ("recall", "wrong"))
    )
    return (
        f"{words} Against the true labels: precision {precision}, recall {recall}; {truth['found']} of "
        f"{truth['wrong']} wrong labels are found. With all suggestions taken over, {truth['wrong_after']} are wrong."
    )


def gather_methods(result: Any) -> pd.DataFrame:
    """What each way to choose suspects comes to. Columns: prune, suspects; with true labels found, precision, recall,
    f1, wrong_after."""
    columns = ["prune", "suspects"]
    if result["truth"] is not None:
        columns += ["found", "precision", "recall", "f1", "wrong_after"]
    frame = pd.DataFrame(result["methods"], dtype=object)[columns]
    return frame.assign(prune=[_METHODS[method] for method in frame["prune"]])


def _draw_methods(result: Any) -> Table:
    labels = {
        "prune": Column(key="prune", label="suspects by", header=True),
        "suspects": Column(key="suspects", label="suspects", show=count, numeric=True),
        "found": Column(key="found", label="wrong", title="suspects whose label is wrong", show=count, numeric=True),
        "precision": Column(key="precision", label="precision (%)", show=percent, numeric=True),
        "recall": Column(key="recall", label="recall (%)", show=percent, numeric=True),
        "f1": Column(key="f1", label="F1 (%)", show=percent, numeric=True),
        "wrong_after": Column(
            key="wrong_after",
            label="wrong after",
            title="labels that are wrong once suggestions are taken",
            numeric=True,
        ),
    }
    frame = gather_methods(result)
    return Table(
        key="methods",
        title="Ways to choose suspects",
        frame=frame,
        columns=[labels[key] for key in frame.columns],
        note="All from the same predictions. The last four are confident learning (Northcutt, Jiang and Chuang 2021). "
        "The first takes a picture for mislabelled where it looks like those of the other class, and more of them do "
        "than the model's own mistakes explain.",
    )


def gather_noise(result: Any) -> pd.DataFrame:
    """Estimated and, where known, true counts of wrong labels. Columns: given, true, pictures (given as this class),
    estimated, confident (by the calibrated confident joint), and known."""
    names = result["class_names"]
    rows = []
    for i, given in enumerate(names):
        for j, other in enumerate(names):
            if i != j:
                row: dict[str, Any] = {
                    "given": given,
                    "true": other,
                    "pictures": result["per_class"][i],
                    "estimated": result["estimated_wrong"][i][j],
                    "confident": result["estimated_joint"][i][j],
                }
                if result["truth"] is not None:
                    row["known"] = result["truth"]["joint"][i][j]
                rows.append(row)
    frame = pd.DataFrame(rows, dtype=object)
    occurs = (frame[[c for c in ("estimated", "confident", "known") if c in frame]].astype(float) >= 0.5).any(axis=1)
    return frame[occurs].sort_values("estimated", ascending=False, kind="stable", ignore_index=True)


def _draw_noise(frame: pd.DataFrame) -> Table:
    columns = [
        Column(key="given", label="given", header=True),
        Column(key="true", label="truly"),
        Column(key="pictures", label="given as this", show=count, numeric=True),
        Column(key="estimated", label="estimated wrong", numeric=True),
        Column(key="confident", label="by the confident joint", numeric=True),
    ]
    if "known" in frame.columns:
        columns.append(Column(key="known", label="known to be wrong", show=count, numeric=True))
    return Table(key="noise", title="Wrong labels by class", frame=frame, columns=columns)


def draw_curve(result: Any) -> Figure:
    """Precision against recall as more of the ranked pictures are taken, and where the suspects lie."""
    truth = result["truth"]
    frame = pd.DataFrame(truth["curve"])
    figure = blank_figure(x="recall", y="precision", percent_y=True, legend=True)
    figure.update_xaxes(tickformat=".2~%", range=[0, 1.02])
    figure.update_yaxes(range=[0, 1.02])
    figure.add_trace(
        go.Scatter(
            x=frame["recall"].tolist(),
            y=frame["precision"].tolist(),
            customdata=frame["n"].tolist(),
            name="ranked pictures",
            mode="lines",
            line={"color": PART_COLOURS["val"], "width": 2},
            hovertemplate="first %{customdata}: precision %{y:.1%}, recall %{x:.1%}",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[truth["recall"]],
            y=[truth["precision"]],
            name=f"{plural(truth['suspects'], 'suspect')}",
            mode="markers",
            marker={"color": PART_COLOURS["train"], "size": 10, "symbol": "diamond"},
            hovertemplate="precision %{y:.1%}, recall %{x:.1%}",
        )
    )
    share = truth["wrong"] / result["n_pictures"]
    figure.add_hline(y=share, line={"color": MUTED, "width": 1, "dash": "dot"})
    return Figure(
        key="curve",
        title="Precision against recall of wrong labels",
        description=f"A line from the most suspect picture to the last wrong label; average precision "
        f"{percent(truth['average_precision'])} %.",
        figure=figure,
        data=frame,
        note=f"Average precision {percent(truth['average_precision'])} %. Dotted: {percent(share)} % of all labels are "
        "wrong, the precision of a guess.",
        height=400,
    )


def gather_pairs(result: Any) -> pd.DataFrame:
    """The pairs of given and predicted class; see `sweeper.analysis.audit_tables.pair_rows`."""
    return pd.DataFrame(result["pairs"], dtype=object)


def _draw_pairs(frame: pd.DataFrame) -> Table:
    columns = [
        Column(key="given", label="given", header=True),
        Column(key="predicted", label="predicted"),
        Column(key="n", label="pictures", show=count, numeric=True),
        Column(key="confidence", label="confidence", show=number, numeric=True),
        Column(key="n_agreed", label="given as predicted", show=count, numeric=True),
        Column(key="agreed_confidence", label="their confidence", show=number, numeric=True),
    ]
    if "truly_predicted" in frame.columns:
        columns.append(Column(key="truly_predicted", label="prediction true", show=count, numeric=True))
    return Table(
        key="pairs",
        title="Confidence where prediction and given label differ",
        frame=frame,
        columns=columns,
        interactive=len(frame) > _N_ROWS,
        note="Mean probability of the predicted class, over the pictures of each given class that are predicted as "
        "another, and beside it over those that are both given and predicted as that other class.",
    )


def gather_thresholds(result: Any) -> pd.DataFrame:
    """The threshold table; see `sweeper.analysis.audit_tables.threshold_rows`."""
    return pd.DataFrame(result["threshold_table"], dtype=object)


def _draw_thresholds(frame: pd.DataFrame) -> Table:
    columns = [
        Column(key="given", label="given", header=True),
        Column(key="predicted", label="predicted"),
        Column(key="threshold", label="confidence at least", numeric=True),
        Column(key="relabelled", label="relabelled", show=count, numeric=True),
    ]
    if "rightly" in frame.columns:
        columns += [
            Column(key="rightly", label="rightly", show=count, numeric=True),
            Column(key="wrongly", label="wrongly", show=count, numeric=True),
        ]
    return Table(
        key="thresholds",
        title="Relabelling by a threshold of confidence",
        frame=frame,
        columns=columns,
        note="What would come of giving each picture its predicted class where that is at least so confident.",
        interactive=True,
    )


def _draw_suspects(result: Any) -> Table:
    frame = pd.DataFrame(result["suspects"], dtype=object)
    columns = [
        Column(key="rank", label="rank", numeric=True, header=True),
        Column(key="picture", label="picture"),
        Column(key="part", label="part", show=lambda part: PART_LABELS.get(part, str(part))),
        Column(key="given", label="given"),
        Column(key="suggested", label="suggested"),
        Column(key="confidence", label="confidence", show=aligned(frame["confidence"]), numeric=True),
        Column(
            key="probability",
            label="probability",
            title="of being mislabelled",
            show=aligned(frame["probability"]),
            numeric=True,
        ),
    ]
    if result["truth"] is not None:
        columns.append(Column(key="true", label="true"))
    return Table(
        key="suspects",
        title="Suspects, the most suspect first",
        frame=frame,
        columns=columns,
        interactive=True,
        sorted_by="rank",
        note="Confidence: predicted probability of the suggested class. Probability: of a wrong label, as estimated"
        + ("; of equal ones the less likely given class first." if result.get("ranking") == "probability" else ".")
        + _describe_calibration(result),
    )


def _describe_calibration(result: Any) -> str:
    """How often the most probable suspects are truly wrong, where that is known: probabilities may claim too much."""
    if result["truth"] is None:
        return ""
    sure = [row for row in result["suspects"] if row["probability"] >= _SURE]
    wrong = sum(row["true"] != row["given"] for row in sure)
    share = f" ({percent(wrong / len(sure), 0)} %)" if sure else ""
    found = plural(len(sure), "suspect")
    return f" By the true labels, {wrong} of the {found} with a probability of at least {_SURE} are wrong{share}."


def _pictures(found: FoundResult) -> list[Picture]:
    content = found.read("suspects.png")
    if content is None:
        return []
    colours = "" if found.result["truth"] is None else " Green: the suggestion is the true class; red: it is not."
    shown = found.result["suspects"][: found.result["n_shown"]]
    words = "; ".join(f"{row['given']} → {row['suggested']}" for row in shown)
    return [
        Picture(
            key="pictures",
            title="The most suspect pictures",
            description=f"The first {plural(len(shown), 'suspect')} in rows: {words}.",
            content=content,
            note=f"By rank: given class, suggested class and the confidence in it.{colours}",
        )
    ]


def build_label_audit(data: StudyData) -> Sequence[Block]:
    """What the audit of the study's labels found; nothing where there was none."""
    blocks: list[Block] = []
    for found in find_results(data.record, data.reader, "label_audit"):
        result = found.result
        blocks.append(Note(text=describe_audit(result)))
        tables = [_draw_methods(result)]
        if result["truth"] is not None and result["truth"]["curve"]:
            blocks.append(draw_curve(result))
        noise = gather_noise(result)
        if len(noise):
            tables.append(_draw_noise(noise))
        blocks += [Row(items=tables), *_pictures(found)]
        if result["suspects"]:
            blocks.append(_draw_suspects(result))
        pairs = gather_pairs(result)
        if len(pairs):
            blocks += [_draw_pairs(pairs), _draw_thresholds(gather_thresholds(result))]
    return blocks
