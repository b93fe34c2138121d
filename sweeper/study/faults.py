"""Validation errors in words: what was given, what is allowed, which known name is nearest."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from sweeper.study.space import Path

__all__ = ["describe_errors", "nearest"]


def nearest(given: str, known: Iterable[str]) -> str:
    """A hint such as `; did you mean 'adam'?`, or nothing."""
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def describe_errors(model: type[BaseModel], tree: Any, errors: Sequence[ErrorDetails]) -> list[tuple[Path, str]]:
    """Each place with a fault in `tree`, and the fault in words. Faults of one place become one message."""
    described: dict[Path, list[str]] = {}
    for error in errors:
        if error["type"] == "too_short" and error["input"]:
            continue  # pydantic's echo of faulty items, which have errors of their own
        path = _path_in(tree, error["loc"], error["type"])
        message = _message(model, error)
        messages = described.setdefault(path, [])
        if message not in messages:
            messages.append(message)
    return [(path, _merge(messages)) for path, messages in described.items()]


def _path_in(tree: Any, loc: Sequence[str | int], kind: str) -> Path:
    """The location without the tags that pydantic puts in for members of unions."""
    path: list[str | int] = []
    for i, key in enumerate(loc):
        is_last = i == len(loc) - 1
        if isinstance(tree, dict) and key in tree:  # noqa: SIM114  # mypy narrows the types apart
            path.append(key)
            tree = tree[key]
        elif isinstance(tree, list | tuple) and isinstance(key, int) and key < len(tree):
            path.append(key)
            tree = tree[key]
        elif is_last and kind == "missing":
            path.append(key)
    return tuple(path)


def _message(model: type[BaseModel], error: ErrorDetails) -> str:
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        known = _known_fields(model, error["loc"][:-1])
        return f"unknown field{nearest(str(error['loc'][-1]), known)} allowed: {', '.join(known)}".replace(
            "field allowed", "field; allowed"
        )
    if kind == "union_tag_invalid":
        known = re.findall(r"'([^']+)'", str(context["expected_tags"]))
        hint = nearest(str(context["tag"]), known) or ";"
        return f"given {context['tag']!r}{hint} allowed: {', '.join(known)}"
    if kind == "union_tag_not_found":
        return "`name` is missing; give a mapping with a name, or the bare name"
    if kind == "value_error":
        return str(context["error"])
    if kind == "model_type":
        return f"given {given!r}; allowed: a mapping"
    allowed = re.sub(r"^(Input|String|Tuple|Value|List) should (be |have |match )?", "", error["msg"])
    return f"given {_shorten(given)}; allowed: {allowed}"


def _shorten(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _merge(messages: list[str]) -> str:
    """`given x; allowed: a` and `given x; allowed: b` as one."""
    given, separator, _ = messages[0].partition("; allowed: ")
    if len(messages) > 1 and separator and all(m.startswith(given + separator) for m in messages):
        return given + separator + ", or ".join(m[len(given + separator) :] for m in messages)
    return "; ".join(messages)


def _known_fields(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """Names of the fields allowed at a location, which may hold tags of unions."""
    candidates = [model]
    for key in loc:
        if not isinstance(key, str):
            continue
        tagged = [c for c in candidates if "name" in c.model_fields and c.model_fields["name"].default == key]
        if tagged and len(candidates) > 1:
            candidates = tagged
            continue
        inner = [m for c in candidates if key in c.model_fields for m in _models_in(c.model_fields[key].annotation)]
        candidates = inner or candidates
    return sorted({name for candidate in candidates for name in candidate.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
