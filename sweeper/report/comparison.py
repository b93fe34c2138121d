"""Whether one configuration is better than another, as far as what was measured can tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sweeper.report.configurations import Configuration
from sweeper.report.format import as_float
from sweeper.report.statistics import Interval, describe_sample, wilson_interval

__all__ = [
    "Comparison",
    "Verdict",
    "compare_with_first",
    "difference_interval",
    "mean_share_interval",
    "paired_difference",
]

Verdict: TypeAlias = Literal["first", "worse", "better", "alike", "unknown"]


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
    if sample is None or sample.deviation is None or sample.deviation < 1e-12:
        return None
    return sample.interval


def compare_with_first(
    configurations: Sequence[Configuration],
    interval_of: Callable[[Configuration, float], Interval | None],
    *,
    maximize: bool,
) -> list[Comparison]:
    """Each configuration against the first.

    With seeds, the difference is paired by seed; without, it is that of two results on the same pictures, which says
    nothing about other seeds. The intervals hold together at 95 % (Bonferroni). They do not allow for the first having
    been chosen as the best.

    Args:
        configurations: The best first.
        interval_of: Interval of the value of a single trial at a confidence; None where there is none.
        maximize: Whether higher is better.
    """
    confidence = 1.0 - 0.05 / max(len(configurations) - 1, 1)
    comparisons = [Comparison(interval=None, verdict="first")][: len(configurations)]
    for configuration in configurations[1:]:
        interval = _difference(configuration, configurations[0], interval_of, confidence)
        if interval is None:
            verdict: Verdict = "unknown"
        elif interval.low <= 0.0 <= interval.high:
            verdict = "alike"
        else:
            verdict = "better" if (interval.low > 0.0) == maximize else "worse"
        comparisons.append(Comparison(interval=interval, verdict=verdict))
    return comparisons


def _difference(
    one: Configuration,
    first: Configuration,
    interval_of: Callable[[Configuration, float], Interval | None],
    confidence: float,
) -> Interval | None:
    a, b = ({s: v for s, run in c.seeds.items() if (v := as_float(run.value)) is not None} for c in (one, first))
    if len(a) > 1 or len(b) > 1:
        return paired_difference(a, b, confidence)
    of_a, of_b = interval_of(one, confidence), interval_of(first, confidence)
    return None if of_a is None or of_b is None else difference_interval(one.value, of_a, first.value, of_b)
