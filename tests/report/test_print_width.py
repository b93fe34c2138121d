"""How wide tables are on paper."""

from __future__ import annotations

import pandas as pd

from sweeper.report.param_columns import param_columns
from sweeper.report.print_width import ColumnTexts, print_width


def column(label: str, *cells: str, numeric: bool = False) -> ColumnTexts:
    return ColumnTexts(label=label, numeric=numeric, cells=cells)


def test_the_longest_word_of_header_and_cells_counts() -> None:
    columns = [column("validation accuracy (%)", "98.3", numeric=True), column("training.batch_size", "16")]
    assert print_width(columns).letters == len("validation") + len("training.")


def test_short_values_stay_in_one_line_and_long_ones_do_not() -> None:
    columns = [
        column("hidden", "117, 16", "29"),
        column("reason", "CUDA ran out of memory"),
        column("interval", "12,345.678 to 12,345.789", numeric=True),
    ]
    width = print_width(columns)
    assert width.whole == (True, False, True)
    assert width.letters == len("117, 16") + len("memory") + len("12,345.678 to 12,345.789")


def test_a_table_is_turned_before_its_words_are_broken() -> None:
    columns = [column("validation", "0.5", numeric=True)] * 30
    found = [print_width(columns[:n]) for n in (12, 15, 30)]
    assert [(width.turned, width.crowded) for width in found] == [(False, False), (True, False), (True, True)]
    assert print_width(columns[:2], turned=True).turned


def test_a_table_without_rows_has_a_width() -> None:
    assert print_width([column("")]).letters == 1


def test_parameters_that_are_numbers_are_aligned_as_numbers() -> None:
    frame = pd.DataFrame({"a.lr": [0.1, None], "a.hidden": [[8], [16, 4]], "a.name": ["adam", "sgd"]}, dtype=object)
    labels = {"a.lr": "lr", "a.hidden": "hidden", "a.name": "a"}
    lr, hidden, name = param_columns(frame.where(frame.notna(), None), list(frame), labels)
    assert (lr.numeric, hidden.numeric, name.numeric) == (True, False, False)
    assert (lr.show(None), hidden.show([16, 4])) == ("–", "16, 4")
