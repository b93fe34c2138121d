"""The command that compares the values of one factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.cli.options import Csv, Json, Name, open_workspace
from sweeper.cli.output import number, print_json, print_table

if TYPE_CHECKING:
    import pandas as pd

    from sweeper.report.factor import Factor

__all__ = ["register"]

MAX_CLASSES = 12
"""Of more classes the tables show none; --json and --csv have them."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: sweeper compare digits-balance --factor training.balance")(compare)


def compare(
    name: Name,
    factor: Annotated[
        str | None,
        typer.Option(
            "--factor",
            metavar="PARAMETER",
            help="Parameter whose values are compared, such as training.balance or balance. Default: the one that "
            "varied; `configuration` is all that varied together.",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="Measure by which they are compared, such as val/accuracy/cat or test/balanced_accuracy. Default: the "
            "study's objective.",
        ),
    ] = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Compare the values of one parameter: accuracies, and differences to the best with their intervals.

    Differences are paired by the seed and all else that varied, and corrected for the number of comparisons. What
    cannot be told apart is said to be so.
    """
    from sweeper.report.factor import open_factor
    from sweeper.report.factor_tables import PARTS, describe_factor, factor_dict, gather_factor
    from sweeper.report.study_data import StudyData
    from sweeper.tracking.runs import read_study

    record, reader = read_study(name, open_workspace())
    chosen = open_factor(StudyData(record, reader), factor, metric=metric)
    frame = gather_factor(chosen)
    if as_json:
        print_json(factor_dict(chosen, frame))
        return
    if as_csv:
        typer.echo(frame.to_csv(index=False, lineterminator="\n"), nl=False)
        return
    _print_differences(chosen, frame)
    for part, true in PARTS:
        _print_measures(chosen, frame, part, true=true)
    for sentence in describe_factor(chosen, frame):
        typer.echo(sentence)


def _print_differences(factor: Factor, frame: pd.DataFrame) -> None:
    n = "n_tests" if factor.metric.startswith("test/") else "n_complete"
    columns = [factor.label, "trainings", factor.metric, "95 % interval", "difference to the first", "its interval"]
    rows = [
        [
            row["value"],
            row[n],
            _spread(row["mean"], row["sd"]),
            _interval(row["low"], row["high"]),
            "" if row["difference"] is None else _signed(row["difference"]),
            "" if row["verdict"] == "best" else _interval(row["difference_low"], row["difference_high"], signed=True),
        ]
        for _, row in frame.iterrows()
    ]
    if frame["p_holm"].notna().any():
        columns += ["better in", "p (Holm)"]
        for row, better, n_pairs, p in zip(
            rows, *(frame[key] for key in ("n_better", "n_pairs", "p_holm")), strict=True
        ):
            row += ["" if n_pairs is None else f"{better} of {n_pairs}", "" if p is None else number(p)]
    print_table([*columns, "verdict"], [[*row, v] for row, v in zip(rows, frame["verdict"], strict=True)], n_kept=2)
    typer.echo()


def _print_measures(factor: Factor, frame: pd.DataFrame, part: str, *, true: bool) -> None:
    """A row for each value: overall, mean of the classes, each class. Nothing where that was not measured."""
    measures = factor.measures(part, true=true)
    if len(factor.data.class_names) > MAX_CLASSES:
        measures = {key: metric for key, metric in measures.items() if not key.startswith("class:")}
    if not measures or frame[list(measures.values())].isna().all(axis=None):
        return
    n = "n_tests" if part == "test" else "n_complete"
    typer.echo({"val": "validation", "test": "test"}[part] + (", true labels" if true else ""))
    rows = [
        [row["value"], row[n], *(_spread(row[metric], row[f"{metric} sd"]) for metric in measures.values())]
        for _, row in frame.iterrows()
    ]
    print_table([factor.label, "trainings", *(key.removeprefix("class:") for key in measures)], rows, n_kept=2)
    typer.echo()


def _spread(mean: Any, deviation: Any) -> str:
    return number(mean) + ("" if deviation is None else f" ± {deviation:.2g}")


def _signed(value: float) -> str:
    return f"{value:+.4g}" if value else "0"


def _interval(low: Any, high: Any, *, signed: bool = False) -> str:
    show = _signed if signed else number
    return "–" if low is None else f"{show(low)} to {show(high)}"
