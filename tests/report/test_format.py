"""Numbers, names and paths as text."""

from __future__ import annotations

import math

import pytest

from sweeper.report.format import (
    aligned,
    cut_middle,
    duration,
    hide_paths,
    metric_label,
    number,
    param_text,
    percent,
    percent_decimals,
    short_names,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.26894, "0.2689"),
        (2.3, "2.300"),
        (0.0013, "1.300e-3"),
        (0.99996, "1.000"),
        (99999.6, "100000"),
        (1234567.0, "1.235e6"),
        (0.0, "0"),
        (-0.05, "-0.05000"),
        (math.nan, "–"),
        (math.inf, "–"),
        (None, "–"),
    ],
)
def test_number_has_four_significant_digits(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0013, "1.3e-3"),
        (1e-5, "1e-5"),
        (0.03, "0.03"),
        (0.1 + 0.2, "0.3"),
        (100.0, "100"),
        (1e30, "1e30"),
        (64, "64"),
        (True, "true"),
        (None, "none"),
        ([200, 100], "200, 100"),
        ([], "none"),
        ("adam", "adam"),
        ("/home/me/pictures", "…/pictures"),
    ],
)
def test_param_text(value: object, text: str) -> None:
    assert param_text(value) == text


@pytest.mark.parametrize(
    ("n", "decimals"), [(None, 1), (0, 1), (50, 0), (100, 0), (101, 1), (1000, 1), (7500, 2), (10**9, 3)]
)
def test_decimals_show_one_picture_more(n: int | None, decimals: int) -> None:
    assert percent_decimals(n) == decimals


def test_percent() -> None:
    assert percent(0.92345, 2) == "92.34"
    assert percent(None) == "–"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (0.0432, "0.043 s"),
        (0.96, "1.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (3599.7, "1 h 00 min"),
        (7500.0, "2 h 05 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_metric_label() -> None:
    assert metric_label("val/accuracy") == "validation accuracy"
    assert metric_label("train/accuracy/cat/dog") == "training accuracy of cat/dog"
    assert metric_label("lr") == "learning rate"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("no file /home/me/data/x.npy", "no file …/x.npy"),
        (r"at C:\Users\me\x.py:3", "at …/x.py:3"),
        ("see https://example.org/a/b and val/accuracy/cat", "see https://example.org/a/b and val/accuracy/cat"),
        ("'/tmp/a'", "'…/a'"),
    ],
)
def test_absolute_paths_are_hidden(text: str, hidden: str) -> None:
    assert hide_paths(text) == hidden


def test_short_names_tell_parameters_apart() -> None:
    paths = [
        "model.blocks.repeat",
        "model.blocks.0.channels",
        "model.blocks.1.channels",
        "training.optimizer.name",
        "training.optimizer.lr",
        "training.schedule.every",
        "model.name",
        "data.name",
    ]
    assert list(short_names(paths).values()) == [
        "blocks (count)",
        "blocks.0.channels",
        "blocks.1.channels",
        "optimizer",
        "lr",
        "schedule.every",
        "model",
        "data",
    ]


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("short", "short"),
        ("rotation 15° + random crop padding 1", "rotation…padding 1"),
        ("horizontal flip + vertical flip", "horizont…vertical flip"),
        ("an_unbroken_name_of_a_single_long_word", "an_unbro…gle_long_word"),
    ],
)
def test_long_texts_keep_their_beginning_and_their_end(text: str, cut: str) -> None:
    assert cut_middle(text, 22, 8) == cut
    assert len(cut) <= 22


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.6473, 0.93671], ["0.6473", "0.9367"]),
        ([2.3894e-14], ["2.389e-14"]),
        ([4.1e-4, None, 9.9e-4], ["4.100e-4", "–", "9.900e-4"]),
        ([0.001234, 0.5], ["0.00123", "0.50000"]),
        ([12345.0, 3.0], ["12345", "3.000"]),
    ],
)
def test_numbers_of_one_column(values: list[float | None], shown: list[str]) -> None:
    assert list(map(aligned(values), values)) == shown
