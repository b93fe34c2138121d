"""Results of benchmarks: written and read back, shown, and held to their targets."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.results import Result, Row, markdown_table, quantity, timed


@pytest.mark.parametrize(
    ("target", "reached"),
    [
        ("median <= 0.25", True),
        ("median <= 0.2", False),
        ("median >= 0.2", True),
        ("ratio <= 1.1", False),
        ("ratio >= 1.1", True),
        ("", None),
    ],
)
def test_targets_are_of_the_median_or_of_the_ratio(target: str, reached: bool | None) -> None:
    assert Row(name="x", median=0.25, n=1, ratio=1.5, against="y", target=target).reached is reached


def test_a_ratio_that_was_not_measured_reaches_nothing() -> None:
    assert Row(name="x", median=0.25, n=1, target="ratio <= 1.1").reached is False


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.0523, "s", "52.3 ms"),
        (0.25, "s", "250 ms"),
        (14.0, "s", "14 s"),
        (1234.5, "MiB", "1,234 MiB"),
        (2, "%", "2 %"),
    ],
)
def test_quantities_have_three_digits_that_count(value: float, unit: str, shown: str) -> None:
    assert quantity(value, unit) == shown


def test_results_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    peer = timed("peer", [4.0, 2.0, 3.0])
    ours = timed("sweeper", [1.5, 1.0, 2.0], cpu_s=1.2, ratio=0.5, against="peer", target="ratio <= 0.6")
    result = Result(title="A race", rows=(ours, peer), machine="a machine", notes=("Once only.",))
    path = tmp_path / "results" / "race.json"
    result.publish(path)
    assert Result.read(path) == result
    assert result.reached


def test_a_table_says_what_was_wanted() -> None:
    table = markdown_table([timed("sweeper", [1.0, 2.0, 3.0], ratio=1.5, against="peer", target="ratio <= 1.1")])
    assert table.splitlines()[-1] == "| sweeper | 2 s (1 s–3 s) |  | 1.50 × peer | ≤ 1.1 × | no |"
