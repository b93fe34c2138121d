"""The command that compares the values of one factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.cli.completion import complete_parameter, one_of
from sweeper.cli.options import Csv, Json, Name, open_workspace
from sweeper.cli.output import number, print_json, print_prose, print_table

if TYPE_CHECKING:
    import pandas as pd

    from sweeper.report.factor import Factor

__all__ = ["register"]

MAX_BESIDE = 6
"""More measures than this, and than values, stand below each other."""
MAX_CLASSES = 12
"""Of more classes the tables show none; --json and --csv have them."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: sweeper compare a05-balance --factor training.balance")(compare)


def compare(
    name: Name,
    factor: Annotated[
        str | None,
        typer.Option(
            "--factor",
            metavar="PARAMETER",
            help="Parameter whose values are compared, such as training.balance or balance. Default: the one that "
            "varied; `configuration` is all that varied together.",
            autocompletion=complete_parameter,
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="Measure by which they are compared, such as val/accuracy/cat or test/balanced_accuracy. Default: the "
            "study's objective.",
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="PART",
            help="Compare by the objective's measure in val or, after `sweeper finalize`, in test.",
            autocompletion=one_of("val", "test"),
        ),
    ] = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Compare the values of one parameter.

    Accuracies, and differences to the first with their intervals.

    Differences are paired by the seed and all else that varied, and corrected for the number of comparisons. What
    cannot be told apart is said to be so.
    """
    from sweeper.report.factor_choice import open_factor
    from sweeper.report.factor_tables import PARTS, factor_dict, gather_factor
    from sweeper.report.factor_words import describe_factor
    from sweeper.report.study_data import StudyData
    from sweeper.tracking.runs import read_study

    record, reader = read_study(name, open_workspace())
    chosen = open_factor(StudyData(record, reader), factor, metric=metric, part=on)
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
        print_prose(sentence)


def _print_differences(factor: Factor, frame: pd.DataFrame) -> None:
    """The values by the metric. What matters most comes first: a narrow terminal leaves out the last columns."""
    from sweeper.report.shares import is_share

    share = is_share(factor.metric)
    n = "n_tests" if factor.metric.startswith("test/") else "n_complete"
    columns = [factor.label, "trainings", factor.metric, "verdict", "difference to the first", "its interval"]
    rows = [
        [
            row["words"] or row["value"],
            row[n],
            _spread(row["mean"], row["sd"], share=share),
            row["verdict"],
            "" if row["difference"] is None else _shown(row["difference"], share=share, sign="+"),
            "" if row["verdict"] == "first" else _interval(row, "difference_low", "difference_high", share, sign="+"),
        ]
        for _, row in frame.iterrows()
    ]
    if frame["p_holm"].notna().any():
        columns += ["p (Holm)", "better in"]
        for row, (_, own) in zip(rows, frame.iterrows(), strict=True):
            row += ["" if own["p_holm"] is None else number(own["p_holm"])]
            row += [f"{own['n_better']} of {own['n_pairs']}" if own["n_pairs"] else ""]
    if frame["low"].notna().any():
        columns.append("95 % interval of the mean")
        for row, (_, own) in zip(rows, frame.iterrows(), strict=True):
            row.append(_interval(own, "low", "high", share))
    print_table(columns, rows, n_kept=4)
    typer.echo()


def _print_measures(factor: Factor, frame: pd.DataFrame, part: str, *, true: bool) -> None:
    """A row for each value: overall, mean of the classes, each class; of many classes one for each of these. Nothing
    where that was not measured."""
    from sweeper.report.shares import is_share

    measures = factor.measures(part, true=true)
    if len(factor.data.class_names) > MAX_CLASSES:
        measures = {key: metric for key, metric in measures.items() if not key.startswith("class:")}
    if not measures or frame[list(measures.values())].isna().all(axis=None):
        return
    n = "n_tests" if part == "test" else "n_complete"
    typer.echo({"val": "validation", "test": "test"}[part] + (", true labels" if true else ""))
    rows = [
        [
            row["value"],
            row[n],
            *(_spread(row[metric], row[f"{metric} sd"], share=is_share(metric)) for metric in measures.values()),
        ]
        for _, row in frame.iterrows()
    ]
    columns = [factor.label, "trainings", *(key.partition(":")[2] or key for key in measures)]
    if len(measures) > max(MAX_BESIDE, len(rows)):
        columns, *rows = map(list, zip(columns, *rows, strict=True))
    print_table(columns, rows, n_kept=2)
    typer.echo()


def _shown(value: Any, *, share: bool, sign: str = "") -> str:
    """Accuracies with four decimals, so that they stand under each other; losses with four digits."""
    if value is None:
        return "–"
    text = f"{abs(value):.4f}" if share else number(abs(value))
    return ("-" if value < 0.0 else sign) + text if text.strip("0.") else text


def _spread(mean: Any, deviation: Any, *, share: bool) -> str:
    spread = "" if deviation is None else f" ± {f'{deviation:.4f}' if share else f'{deviation:.2g}'}"
    return _shown(mean, share=share) + spread


def _interval(row: pd.Series, low: str, high: str, share: bool, *, sign: str = "") -> str:
    if row[low] is None:
        return "–"
    return f"{_shown(row[low], share=share, sign=sign)} to {_shown(row[high], share=share, sign=sign)}"
