"""Test: what the chosen configurations reach there, and how often it was touched. Test itself chooses nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sweeper.report.blocks import Block, Facts, Note, Row
from sweeper.report.final import FinalData
from sweeper.report.format import interval_text, plural, timestamp
from sweeper.report.matrix import CELLS, draw_matrix, tabulate_matrix
from sweeper.report.sections.final_curves import draw_test_curves, gather_test_curves
from sweeper.report.sections.final_tables import (
    KINDS,
    draw_test_classes,
    draw_test_table,
    gather_test,
    gather_test_classes,
    label_of,
    shows,
)
from sweeper.report.shares import is_share
from sweeper.report.statistics import Sample
from sweeper.report.study_data import StudyData
from sweeper.tracking.final import FINAL_OF_TAG

__all__ = ["build_test", "gather_test_confusion"]


def gather_test_confusion(final: FinalData, key: str) -> pd.DataFrame:
    """Confusions on test of the configuration that validation chooses, summed over its seeds: see `tabulate_matrix`.

    Args:
        final: The tests.
        key: `test` (against given labels) or `true_test`.
    """
    found = final.confusion(key)
    return pd.DataFrame([] if found is None else tabulate_matrix(*found), columns=list(CELLS))


def _describe_chosen(final: FinalData) -> str:
    """What the configuration that validation chooses, or the only one, reaches on test, in a sentence."""
    chosen = final.chosen
    if chosen is None:
        return "No training of a test has completed."
    parts = []
    for measure in [m for m in final.measures if m != "auc"][:4]:
        sample = final.sample(chosen, f"test/{measure}")
        if sample is not None:
            parts.append(_describe_sample(final, f"test/{measure}", sample))
    seeds = plural(len(chosen.complete), "seed")
    n, trial = len(final.configurations), f"trial {chosen.source}"
    if n > 1:
        found = f"Of the {n} configurations that were trained again, that of {trial} is best in validation, by"
    else:
        found = f"Only the configuration of {trial} was trained again, with"
    return f"{found} {seeds} that the search did not use. On test: {'; '.join(parts)}."


def _describe_sample(final: FinalData, metric: str, sample: Sample) -> str:
    show, label = shows(final, metric), label_of(metric).removesuffix(" (%)")
    unit = " %" if is_share(metric) else ""
    interval = (
        ""
        if sample.interval is None
        else f" (95 % interval {interval_text(sample.interval.low, sample.interval.high, show)})"
    )
    return f"{label} {show(sample.mean)}{unit}{interval}"


def _touches(final: FinalData) -> Facts:
    n_pictures, n_runs, n_rounds = final.n_pictures("test"), len(final.final.runs), len(final.rounds)
    rounds = [
        f"round {r.number}, {timestamp(r.time)}: {plural(r.n_runs, 'training')} of "
        f"trial{'' if len(r.sources) == 1 else 's'} {', '.join(map(str, r.sources))}"
        for r in final.rounds
    ]
    counts = "the one that validation chose" if final.objective.at == "best" else "the last one"
    touched = (
        f"{plural(n_rounds, 'round')}, {plural(n_runs, 'training')}, {plural(final.n_evaluations, 'evaluation')}: each "
        f"training after each of its epochs, of which {counts} counts"
    )
    return Facts(
        key="touches",
        items=[
            ("Test part", [plural(n_pictures, "picture") if n_pictures else "of unknown size"]),
            ("Touched", [touched]),
            ("Rounds", rounds),
            ("By", [f"the runs of {final.final.name}; no trial of {final.study.name} has seen it"]),
        ],
    )


def build_test(data: StudyData) -> Sequence[Block]:
    """The test of a study's best configurations; one line where test has not been touched."""
    if FINAL_OF_TAG in data.record.tags:
        return []  # these are the tests themselves
    final = data.final
    if final is None:
        if data.data is not None and data.n_pictures("test") is None:
            return [Note(text=f"{data.data.name} has no test part.")]
        return [Note(text="The test part has not been touched: nothing of this study was finalized.")]
    blocks: list[Block] = [Note(text=_describe_chosen(final)), draw_test_table(final, gather_test(final))]
    for measure in KINDS:
        frame = gather_test_classes(final, measure)
        if not frame.empty:
            blocks.append(draw_test_classes(final, measure, frame))
    figures = []
    n_seeds = 0 if final.chosen is None else len(final.chosen.complete)
    for key, labels in (("test", "given labels"), ("true_test", "true labels")):
        cells = gather_test_confusion(final, key)
        if not cells.empty and final.chosen is not None:
            given = "true_accuracy" in final.measures and not key.startswith("true")
            kind = f", {labels}" if "true_accuracy" in final.measures else ""
            over = f", sum over {n_seeds} seeds" if n_seeds > 1 else ""
            title = f"Confusion matrix in test{kind}, trial {final.chosen.source}{over}"
            matrix_key = f"confusion-{key.replace('_', '-')}"
            figures.append(draw_matrix(cells, key=matrix_key, title=title, given=given))
    if figures:
        blocks.append(Row(items=figures))
    curves = {quantity: gather_test_curves(final, quantity) for quantity in ("loss", "accuracy")}
    drawn = [draw_test_curves(final, quantity, frame) for quantity, frame in curves.items() if not frame.empty]
    if drawn:
        blocks.append(Row(items=drawn))
    return [*blocks, _touches(final)]
