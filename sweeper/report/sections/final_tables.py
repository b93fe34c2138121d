"""Tables of a study's tests: configurations against what validation and test say of them, and against classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from sweeper.report.blocks import Column, Table
from sweeper.report.final import FinalData
from sweeper.report.format import (
    count,
    interval_text,
    metric_label,
    number,
    percent,
    percent_decimals,
    short_names,
)
from sweeper.report.param_columns import param_columns
from sweeper.report.parameters import run_params, varied_params
from sweeper.report.shares import is_share

__all__ = [
    "KINDS",
    "draw_test_classes",
    "draw_test_table",
    "gather_test",
    "gather_test_classes",
    "label_of",
    "shows",
]

_N_COLUMNS = 14
"""With more classes than this, classes become the rows of the table."""
KINDS = {"accuracy": "given labels", "true_accuracy": "true labels", "loss": ""}
"""What is measured of each class, or of each output, and against which labels."""


def label_of(metric: str) -> str:
    """`test accuracy (%)`, `test accuracy, true labels (%)`, `test loss`."""
    quantity = metric.partition("/")[2]
    plain_metric, kind = metric, ""
    if quantity.startswith("true_"):
        plain_metric, kind = metric.replace("/true_", "/"), ", true labels"
    return metric_label(plain_metric) + kind + (" (%)" if is_share(metric) else "")


def shows(final: FinalData, metric: str) -> Callable[[Any], str]:
    """How values of a metric are shown."""
    if not is_share(metric):
        return number
    decimals = percent_decimals(final.n_pictures("test"))
    return lambda value: percent(value, decimals)


def gather_test(final: FinalData) -> pd.DataFrame:
    """One row a configuration, the best by validation first.

    Columns: trial, n_seeds, n_failed, n_left; of the objective's metric and each `test/` measure `<metric>`, its mean
    over the seeds, `<metric> sd`, `<metric> low` and `<metric> high` (95 % interval); then the parameters that differ.
    """
    params = {c.source: run_params(c.runs[0]) for c in final.configurations}
    varied = [path for path in varied_params(list(params.values())) if path != "seed"]
    rows = []
    for configuration in final.configurations:
        row: dict[str, Any] = {
            "trial": configuration.source,
            "n_seeds": len(configuration.complete),
            "n_failed": sum(run.state == "FAIL" for run in configuration.runs),
            "n_left": sum(run.state in ("RUNNING", "WAITING") for run in configuration.runs),
        }
        for metric in _metrics(final):
            sample = final.sample(configuration, metric)
            interval = None if sample is None else sample.interval
            row[metric] = None if sample is None else sample.mean
            row[f"{metric} sd"] = None if sample is None else sample.deviation
            row[f"{metric} low"] = None if interval is None else interval.low
            row[f"{metric} high"] = None if interval is None else interval.high
        rows.append(row | {path: params[configuration.source].get(path) for path in varied})
    return pd.DataFrame(rows, dtype=object)


def _metrics(final: FinalData) -> list[str]:
    return [final.objective.metric, *(f"test/{measure}" for measure in final.measures)]


def _shown_metrics(final: FinalData) -> list[str]:
    """Those of a whole part; accuracies beside the objective's stand with those of the classes, where these are."""
    with_classes = {m for measure in KINDS if final.class_measures(measure) for m in (measure, _balanced(measure))}
    first = final.measures[:1]
    shown = [m for m in final.measures if m in first or m == "loss" or m not in with_classes]
    return [final.objective.metric, *(f"test/{measure}" for measure in shown)]


def _balanced(measure: str) -> str:
    """`true_balanced_accuracy` of `true_accuracy`."""
    return measure.replace("accuracy", "balanced_accuracy")


def draw_test_table(final: FinalData, frame: pd.DataFrame) -> Table:
    """Configurations against what validation and test say of them."""
    frame = frame.copy()
    columns = [
        Column(key="trial", label="trial", title="that found the configuration", numeric=True, header=True),
        Column(key="n_seeds", label="seeds", numeric=True),
    ]
    columns += [
        Column(key=key, label=label, numeric=True)
        for key, label in (("n_failed", "failed"), ("n_left", "not yet trained"))
        if frame[key].any()
    ]
    for metric in _shown_metrics(final):
        show = shows(final, metric)
        columns.append(Column(key=metric, label=label_of(metric), title="mean over the seeds", show=show, numeric=True))
        is_first = metric in (final.objective.metric, f"test/{final.measures[0]}")
        if is_first and frame[f"{metric} sd"].notna().any():
            frame[f"{metric} ±"] = [
                f"±\u00a0{show(value) if is_share(metric) else number(value, 2)}" for value in frame[f"{metric} sd"]
            ]
            title = "standard deviation over the seeds"
            columns.append(Column(key=f"{metric} ±", label="± deviation", title=title, numeric=True))
        has_interval = metric != final.objective.metric and frame[f"{metric} low"].notna().any()
        if has_interval and (is_first or is_share(metric)):
            frame[f"{metric} interval"] = [
                interval_text(low, high, show)
                for low, high in zip(frame[f"{metric} low"], frame[f"{metric} high"], strict=True)
            ]
            columns.append(Column(key=f"{metric} interval", label="95 % interval", numeric=True))
    known = {f"{m}{what}" for m in _metrics(final) for what in ("", " sd", " low", " high", " ±", " interval")}
    known |= {"trial", "n_seeds", "n_failed", "n_left"}
    varied = [path for path in frame.columns if path not in known]
    labels = short_names(varied)
    columns += param_columns(frame, varied, labels)
    n_pictures = final.n_pictures("test")
    over = f" of {count(n_pictures)} pictures" if n_pictures else ""
    at_best = final.objective.at == "best"
    note = (
        f"Each training counts at {'the epoch that validation chose' if at_best else 'its last epoch'}. "
        f"Intervals: Student's, of the mean over the seeds on this test part{over}; of a single training Wilson's, "
        "of its accuracy over the pictures. The seeds are none that the search used."
    )
    return Table(
        key="test",
        title="The configurations on test, best in validation first",
        frame=frame,
        columns=columns,
        note=note,
    )


def gather_test_classes(final: FinalData, measure: str) -> pd.DataFrame:
    """Means over the seeds of a measure on test: `accuracy`, `true_accuracy`; `loss` of each output of a regression.

    Columns: trial; of accuracies overall, low, high, avg (mean of the classes), avg_low, avg_high (95 % intervals as of
    `FinalData.sample`); then one a class as `class:<name>`. Empty where it was not measured of classes.
    """
    measured = final.class_measures(measure)
    rows = []
    for configuration in final.configurations:
        row: dict[str, Any] = {"trial": configuration.source}
        for key, prefix, metric in (("overall", "", measure), ("avg", "avg_", _balanced(measure))):
            sample = final.sample(configuration, f"test/{metric}")
            if measure != "loss":
                interval = None if sample is None else sample.interval
                row |= {key: None if sample is None else sample.mean}
                row |= {
                    f"{prefix}{end}": None if interval is None else getattr(interval, end) for end in ("low", "high")
                }
        samples = {m: final.sample(configuration, f"test/{m}") for m in measured}
        named = {f"class:{m.removeprefix(measure + '/')}": s.mean if s else None for m, s in samples.items()}
        rows.append(row | named)
    return pd.DataFrame(rows if measured else [], dtype=object)


def draw_test_classes(final: FinalData, measure: str, frame: pd.DataFrame) -> Table:
    """Configurations against overall, mean of the classes and each class; with many classes the other way round."""
    show = shows(final, f"test/{measure}")
    kind = KINDS[measure] if "true_accuracy" in final.measures else ""
    title = "Loss of each output on test" if measure == "loss" else "Accuracy of each class on test (%)"
    title += f", {kind}" if kind else ""
    key = f"classes-{measure.replace('_', '-')}"
    texts: dict[str, list[str]] = {}
    for name, prefix in (("overall", ""), ("avg", "avg_")):
        if name in frame and frame[name].notna().any():
            texts[name] = [show(value) for value in frame[name]]
            ends = list(zip(frame[f"{prefix}low"], frame[f"{prefix}high"], strict=True))
            if any(low is not None for low, _ in ends):
                texts[f"{name} interval"] = [interval_text(low, high, show) for low, high in ends]
    texts |= {k: [show(v) for v in frame[k]] for k in frame.columns if k.startswith("class:")}
    labels = {k: "95 % interval" if k.endswith(" interval") else k.removeprefix("class:") for k in texts}
    note = f"Means over the seeds.{' Avg: mean of the classes.' if 'avg' in texts else ''}"
    if sum(k.startswith("class:") for k in texts) <= _N_COLUMNS:
        whole = frame.assign(**{f"{k}:text": values for k, values in texts.items()})
        columns = [Column(key="trial", label="trial", numeric=True, header=True)]
        columns += [Column(key=f"{k}:text", label=labels[k], numeric=True) for k in texts]
        return Table(key=key, title=title, frame=whole, columns=columns, note=note)
    rows = {f"trial {trial}": [texts[k][i] for k in texts] for i, trial in enumerate(frame["trial"])}
    turned = pd.DataFrame({"class": list(labels.values()), **rows}, dtype=object)
    columns = [Column(key="class", label="class", header=True)]
    columns += [Column(key=k, label=k, numeric=True) for k in rows]
    return Table(key=key, title=title, frame=turned, columns=columns, note=note, interactive=True)
