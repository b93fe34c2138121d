"""Intervals that go with a figure in the report."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Interval", "accuracy_interval", "wilson_interval"]


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
    # Imported here: scipy.stats takes longer to import than a small report to write.
    from scipy.stats import binomtest

    if not 0.0 <= accuracy <= 1.0:
        raise ValueError(f"accuracy {accuracy} is not within 0 to 1")
    if n < 1:
        raise ValueError(f"an interval needs at least one picture, not {n}")
    interval = binomtest(round(accuracy * n), n).proportion_ci(confidence_level=confidence, method="wilson")
    return Interval(low=float(interval.low), high=float(interval.high))


def accuracy_interval(accuracy: float | None, n: int | None) -> Interval | None:
    """Wilson's 95 % interval of an accuracy; None where either is not known, or it is no share."""
    if accuracy is None or not n or not 0.0 <= accuracy <= 1.0:
        return None
    return wilson_interval(accuracy, n)
