"""Wilson's interval against its formula and against simulation; Student's against SciPy."""

from __future__ import annotations

import math
from statistics import stdev

import numpy as np
import pytest
from scipy import stats

from sweeper.report.statistics import (
    Sample,
    accuracy_interval,
    describe_sample,
    mean_share_interval,
    wilson_interval,
)

Z = 1.959963984540054


def formula(k: int, n: int) -> tuple[float, float]:
    """Wilson (1927), equation 7, as statsmodels' `proportion_confint(method="wilson")` has it."""
    p = k / n
    centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return centre - half, centre + half


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (1, 1), (465, 750), (89, 100), (7499, 7500)])
def test_interval_follows_the_formula(k: int, n: int) -> None:
    interval = wilson_interval(k / n, n)
    assert (interval.low, interval.high) == pytest.approx(formula(k, n), abs=1e-9)


def test_published_value() -> None:
    # Newcombe (1998), table I: 81 of 263, score method.
    interval = wilson_interval(81 / 263, 263)
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.2553, 0.3662)


def test_coverage_is_nominal() -> None:
    rng = np.random.default_rng(0)
    draws = rng.binomial(200, 0.8, size=1000)
    known = {int(k): wilson_interval(int(k) / 200, 200) for k in np.unique(draws)}
    covered = np.mean([known[int(k)].low <= 0.8 <= known[int(k)].high for k in draws])
    assert abs(covered - 0.95) <= 0.02


@pytest.mark.parametrize(
    ("shares", "counts"),
    [
        ([0.6] * 102, [2] * 102),
        ([0.3] * 102, [5] * 102),
        ([0.6] * 10, [8] * 10),
        ([0.3] * 3, [20] * 3),
        ([0.9, 0.8, 0.7], [200, 100, 50]),
        ([0.1, 0.3, 0.5, 0.7, 0.9], [40] * 5),
    ],
    ids=["102 classes of 2", "102 classes of 5", "10 of 8", "3 of 20", "3 unequal", "5 that differ"],
)
def test_coverage_of_a_mean_of_classes_is_nominal(shares: list[float], counts: list[int]) -> None:
    rng = np.random.default_rng(1)
    truth = float(np.mean(shares))
    drawn = rng.binomial(counts, shares, size=(1000, len(counts))) / np.array(counts)
    intervals = [mean_share_interval(row.tolist(), counts) for row in drawn]
    covered = np.mean([interval.low <= truth <= interval.high for interval in intervals])
    assert abs(covered - 0.95) <= 0.02


def test_an_interval_of_one_class_is_that_of_its_share() -> None:
    assert mean_share_interval([1.0, 1.0], [3, 3]).high == 1.0
    assert mean_share_interval([1.0, 1.0], [3, 3]).low == pytest.approx(
        min(wilson_interval(1.0, 6).low, 1.0 - (1.0 - wilson_interval(1.0, 3).low) / 2**0.5)
    )


def test_what_has_no_interval() -> None:
    assert accuracy_interval(None, 100) is None
    assert accuracy_interval(0.5, None) is None
    assert accuracy_interval(1.5, 100) is None
    with pytest.raises(ValueError, match="at least one picture"):
        wilson_interval(0.5, 0)
    with pytest.raises(ValueError, match="not within 0 to 1"):
        wilson_interval(-0.1, 10)


def test_sample_agrees_with_scipy_on_student_s_interval() -> None:
    values = [0.78, 0.81, 0.80, 0.84, 0.79]
    sample = describe_sample(values)
    assert sample is not None
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert sample.interval is not None
    assert (sample.interval.low, sample.interval.high) == pytest.approx((expected.low, expected.high))
    assert sample.deviation == pytest.approx(stdev(values))


def test_sample_of_one_number_and_of_none() -> None:
    assert describe_sample([0.5]) == Sample(n=1, mean=0.5, deviation=None, interval=None)
    assert describe_sample([]) is None


def test_equal_numbers_have_no_interval() -> None:
    sample = describe_sample([0.6471, 0.6471])
    assert sample is not None
    assert (sample.deviation, sample.interval) == (0.0, None)
