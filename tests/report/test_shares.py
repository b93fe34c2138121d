"""Which metrics are shares, and where their means can lie."""

from __future__ import annotations

import pytest

from sweeper.report.shares import is_share, possible, possible_difference
from sweeper.report.statistics import Interval


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("val/accuracy", True),
        ("test/true_accuracy/a cat/dog", True),
        ("train/true_balanced_accuracy", True),
        ("val/auc", False),
        ("val/loss/accuracy", False),
        ("lr", False),
    ],
)
def test_accuracies_are_shares(metric: str, expected: bool) -> None:
    assert is_share(metric) is expected


def test_intervals_end_where_values_do() -> None:
    wide = Interval(low=-0.1, high=1.2)
    assert possible(wide, "val/true_accuracy") == Interval(low=0.0, high=1.0)
    assert possible(wide, "val/auc") == Interval(low=0.0, high=1.0)
    assert possible(wide, "val/loss") == Interval(low=0.0, high=1.2)
    assert possible(None, "val/loss") is None
    far = Interval(low=-28.5, high=28.4)
    assert possible_difference(far, "val/accuracy") == Interval(low=-1.0, high=1.0)
    assert possible_difference(far, "val/loss") == far
