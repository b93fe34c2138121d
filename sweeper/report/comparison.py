"""Whether one configuration is better than another, as far as what was measured can tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias

from sweeper.report.configurations import Configuration
from sweeper.report.format import as_float
from sweeper.report.statistics import Interval, describe_sample, wilson_interval

__all__ = [
    "Comparison",
    "Difference",
    "Measured",
    "Verdict",
    "compare_all",
    "compare_with_first",
    "difference_interval",
    "mean_share_interval",
    "paired_difference",
]

Verdict: TypeAlias = Literal["first", "worse", "better", "alike", "unknown"]
_NO_DEVIATION = 1e-12
"""Differences that deviate by less are equal but for rounding."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One configuration against the first."""

    interval: Interval | None
    """Of its value minus that of the first."""
    verdict: Verdict
    """What the interval says; `alike`: it holds 0."""


def mean_share_interval(shares: Sequence[float], counts: Sequence[int], confidence: float = 0.95) -> Interval:
    """Interval of the mean of independent shares, such as the accuracies of classes, by the method of variance
    estimates recovery from Wilson's limits of each (Zou and Donner 2008).

    Args:
        shares: Accuracy of each class, 0 to 1.
        counts: Pictures of each class, above 0.
        confidence: Nominal coverage, above 0 and below 1.
    """
    mean = math.fsum(shares) / len(shares)
    limits = [wilson_interval(share, n, confidence) for share, n in zip(shares, counts, strict=True)]
    below = math.sqrt(math.fsum((share - limit.low) ** 2 for share, limit in zip(shares, limits, strict=True)))
    above = math.sqrt(math.fsum((limit.high - share) ** 2 for share, limit in zip(shares, limits, strict=True)))
    return Interval(low=mean - below / len(shares), high=mean + above / len(shares))


def difference_interval(a: float, of_a: Interval, b: float, of_b: Interval) -> Interval:
    """Interval of `a` minus `b` from an interval of each (Newcombe 1998, method 10; Zou and Donner 2008).

    It takes the two for independent. Shares of the same pictures are not, which makes the true interval narrower: a
    difference outside of this one is outside of that one too.
    """
    return Interval(
        low=a - b - math.hypot(a - of_a.low, of_b.high - b), high=a - b + math.hypot(of_a.high - a, b - of_b.low)
    )


def paired_difference(a: Mapping[Any, float], b: Mapping[Any, float], confidence: float = 0.95) -> Interval | None:
    """Student's t interval of the mean of `a` minus `b`, paired by seed.

    None with fewer than two seeds in common, and where all differences are equal: accuracies over few pictures often
    are, by rounding alone, and an interval without width would claim a certainty that nobody has.
    """
    seeds = [seed for seed in a if seed in b]
    sample = describe_sample([a[seed] - b[seed] for seed in seeds], confidence)
    if sample is None or sample.deviation is None or sample.deviation < _NO_DEVIATION:
        return None
    return sample.interval


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured of one of several things that are compared, such as configurations."""

    values: Mapping[Any, float]
    """One a trial, by what it shares with its partners, such as the seed."""
    interval_of: Callable[[float], Interval | None] = lambda _: None
    """Of a single trial: its interval over the pictures, at a confidence."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One minus another."""

    mean: float | None = None
    """Over the pairs; None without any."""
    n_pairs: int = 0
    interval: Interval | None = None
    """Of the mean. None where nothing is known of it."""
    p: float | None = None
    """Of the paired t test, two-sided. None without one."""
    adjusted_p: float | None = None
    """The same, corrected for the number of comparisons: below 0.05 where the interval leaves 0 out."""

    @property
    def is_equal(self) -> bool:
        """Whether all pairs are equal, of which there are several."""
        return self.p == 1.0 and self.interval is None

    def verdict(self, *, maximize: bool) -> Verdict:
        """What it says of the one."""
        if self.interval is None:
            return "alike" if self.is_equal else "unknown"
        if self.interval.low <= 0.0 <= self.interval.high:
            return "alike"
        return "better" if (self.interval.low > 0.0) == maximize else "worse"


def compare_all(measured: Sequence[Measured], alpha: float = 0.05) -> list[list[Difference]]:
    """Every one minus every other: a row for each, a column for each that is subtracted.

    Trials with equal keys are pairs; of several pairs the mean difference has Student's t interval and test. Two single
    trials with equal keys are two results on the same pictures: see `difference_interval`; they have no test.

    All pairs count as comparisons, whichever are shown: where one is compared with the best of k, chance has chosen the
    best. With a correction for the k - 1 that are shown, equal ones are told apart in more than `alpha` of all cases
    (k = 4, five seeds: 7 %; k = 12: 12 %). Correction by Holm (1979). An interval is as wide as the step that decides
    on it, so that it leaves 0 out where Holm's method rejects; its confidence is `1 - alpha` or more. Single trials
    have intervals after Bonferroni.

    Args:
        measured: What is compared.
        alpha: Probability of telling any equal ones apart, at most.
    """
    pairs = [(i, j) for i in range(len(measured)) for j in range(i)]
    found = {(i, j): _difference(measured[i], measured[j]) for i, j in pairs}
    singles = [(i, j) for i, j in pairs if _is_single(measured[i], measured[j])]
    tested = sorted((d.p, pair) for pair, d in found.items() if d.p is not None)
    n_left = len(tested) + len(singles)
    level, adjusted = alpha / max(n_left, 1), 0.0
    for i, j in singles:
        found[i, j] = replace(found[i, j], interval=_of_single(measured[i], measured[j], 1.0 - level))
    rejects = True
    for p, (i, j) in tested:
        level = alpha / n_left if rejects else level
        rejects = rejects and p <= level
        adjusted = max(adjusted, min(p * n_left, 1.0))
        interval = paired_difference(measured[i].values, measured[j].values, 1.0 - level)
        found[i, j] = replace(found[i, j], interval=interval, adjusted_p=adjusted)
        n_left -= 1
    n = range(len(measured))
    return [[Difference() if i == j else found[i, j] if i > j else _negative(found[j, i]) for j in n] for i in n]


def _difference(one: Measured, other: Measured) -> Difference:
    differences = [value - other.values[key] for key, value in one.values.items() if key in other.values]
    sample = describe_sample(differences)
    if sample is None:
        return Difference()
    p = None
    if sample.deviation is not None:
        if sample.deviation >= _NO_DEVIATION:
            from scipy.stats import t

            p = 2.0 * float(t.sf(abs(sample.mean) / (sample.deviation / math.sqrt(sample.n)), sample.n - 1))
        elif abs(sample.mean) < _NO_DEVIATION:
            p = 1.0
    return Difference(mean=sample.mean, n_pairs=sample.n, p=p)


def _is_single(one: Measured, other: Measured) -> bool:
    return len(one.values) == len(other.values) == 1 and set(one.values) == set(other.values)


def _of_single(one: Measured, other: Measured, confidence: float) -> Interval | None:
    a, b = one.interval_of(confidence), other.interval_of(confidence)
    if a is None or b is None:
        return None
    (value,), (other_value,) = one.values.values(), other.values.values()
    return difference_interval(value, a, other_value, b)


def _negative(difference: Difference) -> Difference:
    mean, interval = difference.mean, difference.interval
    return replace(
        difference,
        mean=None if mean is None else -mean,
        interval=None if interval is None else Interval(low=-interval.high, high=-interval.low),
    )


def compare_with_first(
    configurations: Sequence[Configuration],
    interval_of: Callable[[Configuration, float], Interval | None],
    *,
    maximize: bool,
) -> list[Comparison]:
    """Each configuration against the first, which allows for all pairs of them: see `compare_all`.

    With seeds, the difference is paired by seed; without, it is that of two results on the same pictures, which says
    nothing about other seeds.

    Args:
        configurations: The best first.
        interval_of: Interval of the value of a single trial at a confidence; None where there is none.
        maximize: Whether higher is better.
    """
    values = [{s: v for s, run in c.seeds.items() if (v := as_float(run.value)) is not None} for c in configurations]
    if all(len(own) == 1 for own in values):
        values = [{None: value} for own in values for value in own.values()]
    measured = [
        Measured(values=own, interval_of=partial(interval_of, configuration))
        for own, configuration in zip(values, configurations, strict=True)
    ]
    comparisons = [Comparison(interval=None, verdict="first")][: len(configurations)]
    for row in compare_all(measured)[1:]:
        comparisons.append(Comparison(interval=row[0].interval, verdict=row[0].verdict(maximize=maximize)))
    return comparisons
