"""Metric names in the characters that MLflow allows, and back.

A class may be called `bird's` or `a//b`, and `val/accuracy/bird's` is no metric of MLflow's. What it refuses is written
as the character's code, `val/accuracy/bird_x27_s`. Different names stay different, and readers give back the original.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

__all__ = ["metric_name", "original_name"]

MAX_LENGTH = 250
_REFUSED = re.compile(r"[^\w\-. /]|_(?=x)")
_CODE = re.compile(r"_x([0-9a-f]+)_")


@lru_cache(maxsize=4096)
def metric_name(name: str) -> str:
    """A metric's name as MLflow gets it; one that it takes as it is stays as it is, unless it holds `_x`.

    Names that would be longer than MLflow allows end in a hash instead, and `original_name` cannot read these.
    """
    parts = name.split("/")
    encoded = _component(parts[0])
    for part in parts[1:]:  # MLflow takes a name for a path and refuses one that is not in its shortest form
        encoded += "/" if encoded and part else _code("/")
        encoded += _component(part)
    if encoded.startswith(".."):
        encoded = _code(".") + encoded[1:]
    if len(encoded) > MAX_LENGTH:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        encoded = f"{encoded[: MAX_LENGTH - 17]}_{digest}"
    return encoded


@lru_cache(maxsize=4096)
def original_name(encoded: str) -> str:
    """The name of which `metric_name` made this one."""
    return _CODE.sub(lambda match: chr(int(match[1], 16)), encoded)


def _component(part: str) -> str:
    if part in (".", ".."):
        return _code(".") + part[1:]
    return _REFUSED.sub(lambda match: _code(match[0]), part)


def _code(character: str) -> str:
    return f"_x{ord(character):x}_"
