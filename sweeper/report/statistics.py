"""Intervals that go with a figure in the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

__all__ = [
    "NO_DEVIATION",
    "Interval",
    "Sample",
    "accuracy_interval",
    "describe_sample",
    "difference_interval",
    "mean_share_interval",
    "wilson_interval",
]


NO_DEVIATION = 1e-12
"""Numbers that deviate by less are equal but for rounding."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A confidence interval, both ends as fractions."""

    low: float
    high: float


def wilson_interval(accuracy: float, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval (Wilson 1927) of a share of `n` independent pictures.

    Args:
        accuracy: Share of pictures classified rightly, 0 to 1.
        n: Number of pictures, above 0.
        confidence: Nominal coverage, above 0 and below 1.

    Raises:
        ValueError: `accuracy` is no fraction, or `n` is below 1.
    """
    if not 0.0 <= accuracy <= 1.0:
        raise ValueError(f"accuracy {accuracy} is not within 0 to 1")
    if n < 1:
        raise ValueError(f"an interval needs at least one picture, not {n}")
    k = round(accuracy * n)
    return _wilson(k / n, n, confidence)


def _wilson(share: float, n: float, confidence: float) -> Interval:
    z = NormalDist().inv_cdf((1.0 + confidence) / 2.0)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1.0 - share) / n + z * z / (4 * n * n))
    return Interval(low=0.0 if share == 0.0 else middle - half, high=1.0 if share == 1.0 else middle + half)


def accuracy_interval(accuracy: float | None, n: int | None) -> Interval | None:
    """Wilson's 95 % interval of an accuracy; None where either is not known, or it is no share."""
    if accuracy is None or not n or not 0.0 <= accuracy <= 1.0:
        return None
    return wilson_interval(accuracy, n)


def mean_share_interval(shares: Sequence[float], counts: Sequence[int], confidence: float = 0.95) -> Interval:
    """Interval of the mean of independent shares, such as the accuracies of classes.

    At each end, the wider of two: Wilson's at the effective sample size, that of one sample whose mean varies as much
    (Korn and Graubard 1998), which few pictures a class need; and the one recovered from Wilson's limits of each class
    (Zou and Donner 2008), which few or unequal classes need. Of 95 %, the first alone covers 73 % of samples of 100,
    20 and 5 pictures at 0.95, the second alone 79 % of samples of 102 classes with 2 pictures at 0.6; the wider of
    them 94 to 98 %.

    Args:
        shares: Accuracy of each class, 0 to 1.
        counts: Pictures of each class, above 0.
        confidence: Nominal coverage, above 0 and below 1.
    """
    mean, k = math.fsum(shares) / len(shares), len(shares)
    limits = [wilson_interval(share, n, confidence) for share, n in zip(shares, counts, strict=True)]
    below = math.sqrt(math.fsum((share - limit.low) ** 2 for share, limit in zip(shares, limits, strict=True)))
    above = math.sqrt(math.fsum((limit.high - share) ** 2 for share, limit in zip(shares, limits, strict=True)))
    # Of a class with one picture nothing is known of its variance.
    variances = [share * (1.0 - share) / (n - 1) for share, n in zip(shares, counts, strict=True) if n > 1]
    variance = math.fsum(variances) / k**2
    of_one = _wilson(mean, mean * (1.0 - mean) / variance if variance > 0.0 else float(sum(counts)), confidence)
    return Interval(low=min(mean - below / k, of_one.low), high=max(mean + above / k, of_one.high))


def difference_interval(a: float, of_a: Interval, b: float, of_b: Interval) -> Interval:
    """Interval of `a` minus `b` from an interval of each (Newcombe 1998, method 10; Zou and Donner 2008).

    It takes the two for independent. Shares of the same pictures are not, which makes the true interval narrower: a
    difference outside of this one is outside of that one too.
    """
    return Interval(
        low=a - b - math.hypot(a - of_a.low, of_b.high - b), high=a - b + math.hypot(of_a.high - a, b - of_b.low)
    )


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A few numbers, such as accuracies of one configuration with several seeds, and how sure their mean is."""

    n: int
    mean: float
    deviation: float | None
    """Standard deviation, with n - 1; None for one number."""
    interval: Interval | None
    """Confidence interval of the mean; None for one number."""


def describe_sample(values: Sequence[float], confidence: float = 0.95) -> Sample | None:
    """Mean, deviation and Student's t interval of the mean (Student 1908) of independent numbers; None without any.

    Equal numbers have no interval: one without width would claim a certainty that nobody has.

    Args:
        values: The numbers, finite.
        confidence: Nominal coverage, above 0 and below 1.
    """
    n = len(values)
    if n == 0:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Sample(n=1, mean=mean, deviation=None, interval=None)
    from scipy.special import stdtrit

    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    if deviation < NO_DEVIATION:
        return Sample(n=n, mean=mean, deviation=deviation, interval=None)
    half = float(stdtrit(n - 1, 0.5 + confidence / 2)) * deviation / math.sqrt(n)
    return Sample(n=n, mean=mean, deviation=deviation, interval=Interval(low=mean - half, high=mean + half))
