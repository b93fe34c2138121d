"""Words for messages about study files: values as the file would write them, the nearest known name."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["nearest", "show"]

MAX_SHOWN = 80


def nearest(given: str, known: Iterable[str]) -> str:
    """A hint such as `; did you mean 'adam'?`, or nothing. Short names are near to anything."""
    if len(given) < 3:
        return ""
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def show(value: Any) -> str:
    """A value as a study file would write it, cut where it is long: `null`, `true`, `[1, 2]`, `{name: adam}`."""
    text = _show(value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def _show(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_show(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_show, value)) + "]"
    return repr(value)
