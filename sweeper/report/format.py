"""Numbers, durations, names and paths as a reader wants them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

__all__ = [
    "aligned",
    "as_float",
    "count",
    "cut_middle",
    "duration",
    "hide_paths",
    "interval_text",
    "metric_label",
    "number",
    "param_text",
    "percent",
    "percent_decimals",
    "plural",
    "short_names",
    "timestamp",
]

_ABSOLUTE_PATH = re.compile(
    r"(?<![\w.:/\\~])(?:/(?:[^\s/'\"<>:,;()]+/)+|[A-Za-z]:\\(?:[^\s\\'\"<>:,;()]+\\)+)(?=[^\s/\\])"
)
_PARTS = {"train": "training", "val": "validation", "test": "test"}
_QUANTITIES = {"balanced_accuracy": "mean class accuracy", "auc": "macro AUC"}


def as_float(value: Any) -> float | None:
    """A finite number as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def number(value: Any, digits: int = 4) -> str:
    """A number with `digits` significant digits: `0.2690`, `1.300e-3`; an en dash for a missing one."""
    x = as_float(value)
    if x is None:
        return "–"
    if x == 0.0:
        return "0"
    # Rounding may carry into the next power of ten, so that the magnitude is read from the rounded form.
    mantissa, exponent = f"{x:.{digits - 1}e}".split("e")
    if -2 <= int(exponent) < max(digits, 6):
        return f"{x:.{max(digits - 1 - int(exponent), 0)}f}"
    return f"{mantissa}e{int(exponent)}"


def aligned(values: Iterable[Any], digits: int = 4) -> Callable[[Any], str]:
    """How to show numbers of one column alike: all with the decimals that give the smallest `digits` significant ones.

    Where they are too far apart for that, or all too small, each has `digits` significant digits of its own.
    """
    known = [abs(x) for value in values if (x := as_float(value))]
    if not known or max(known) >= 1000.0 * min(known) or not 1e-3 <= max(known) < 10.0**digits:
        return lambda value: number(value, digits)
    decimals = max(digits - 1 - math.floor(math.log10(min(known))), 0)
    decimals = min(decimals, max(digits - 1 - math.floor(math.log10(max(known))), 0) + 1)

    def show(value: Any) -> str:
        x = as_float(value)
        return "–" if x is None else f"{x:.{decimals}f}"

    return show


def _trimmed(text: str) -> str:
    mantissa, e, exponent = text.partition("e")
    return (mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa) + e + exponent


def param_text(value: Any) -> str:
    """The value of a parameter: at most three significant digits of a float, lists with commas."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _trimmed(number(value, 3)) if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(param_text, value)) if value else "none"
    return hide_paths(str(value))


def percent(value: Any, decimals: int = 1) -> str:
    """A fraction as percent without the sign: `0.9234` is `92.3`; an en dash for a missing one."""
    x = as_float(value)
    return "–" if x is None else f"{100.0 * x:.{decimals}f}"


def percent_decimals(n: int | None) -> int:
    """Decimals of an accuracy in percent over `n` pictures, such that one picture more shows: 1 for 101 to 1,000."""
    return 1 if not n else min(max(math.ceil(math.log10(n / 100.0)), 0), 3)


def interval_text(low: Any, high: Any, show: Callable[[Any], str], *, between: str = "–") -> str:
    """The ends of an interval: `79.3–80.5`; an en dash alone where there is none."""
    return "–" if as_float(low) is None else f"{show(low)}{between}{show(high)}"


def count(value: Any) -> str:
    """A count with thousands separated by commas; an en dash for a missing one."""
    x = as_float(value)
    return "–" if x is None else f"{round(x):,}"


def plural(n: int, one: str, many: str | None = None) -> str:
    """`1 trial`, `2 trials`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def duration(seconds: float | None) -> str:
    """`48 s`, `3 min 20 s`, `2 h 05 min`; below 10 s with one decimal, below 1 s with two digits."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if 0.0 < seconds < 0.95:
        return f"{number(seconds, 2)} s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def timestamp(when: datetime | None) -> str:
    """UTC to the minute: `2025-03-01 14:05 UTC`."""
    return "–" if when is None else when.strftime("%Y-%m-%d %H:%M UTC")


def metric_label(metric: str) -> str:
    """`val/accuracy` is `validation accuracy`; `val/accuracy/cat` is `validation accuracy of cat`."""
    part, _, rest = metric.partition("/")
    if part not in _PARTS:
        return {"lr": "learning rate", "pictures_per_second": "pictures per second"}.get(metric, metric)
    quantity, _, class_name = rest.partition("/")
    text = f"{_PARTS[part]} {_QUANTITIES.get(quantity, quantity)}"
    return f"{text} of {class_name}" if class_name else text


def hide_paths(text: str) -> str:
    """Absolute paths shortened to their last part, so that a report names no folder of the machine."""
    return _ABSOLUTE_PATH.sub("…/", text)


def cut_middle(text: str, n_letters: int, n_head: int) -> str:
    """The beginning and the end of a long text, in whole words where these leave enough of it.

    Args:
        text: Any text.
        n_letters: At most so many are left.
        n_head: About so many of these at the beginning.
    """
    if len(text) <= n_letters:
        return text
    head, tail = text[:n_head], text[1 + n_head - n_letters :]
    if not text[n_head].isspace():
        head = head.rpartition(" ")[0] or head
    if not text[n_head - n_letters].isspace():
        rest = tail.partition(" ")[2]
        tail = rest if 2 * len(rest) >= len(tail) else tail
    return f"{head.rstrip(' +,')}…{tail.lstrip(' +,')}"


_VAGUE = ("every", "factor", "final", "first", "initial", "share")
"""Names of settings that are understood beside what they belong to alone: `schedule.every`."""


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """The shortest endings of dotted paths that still tell them apart; `training.optimizer.name` is `optimizer`."""
    paths = list(paths)
    parts = {path: path.removesuffix(".name").removesuffix(".repeat").split(".") for path in paths}
    short: dict[str, str] = {}
    for path in paths:
        for length in range(1, len(parts[path]) + 1):
            ending = parts[path][-length:]
            # An index says nothing without what it counts: `blocks.0.channels`, not `0.channels`; nor does `every`.
            if (
                not (ending[0].isdigit() or ending[0] in _VAGUE)
                and sum(other[-length:] == ending for other in parts.values()) == 1
            ):
                short[path] = ".".join(ending)
                break
        else:
            short[path] = path
        if path.endswith(".repeat"):
            short[path] = f"{short[path]} (count)"
    return short
