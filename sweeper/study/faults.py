"""Validation errors in words: what was given, what is allowed, which known name is nearest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from sweeper.study.config import CustomConfig, FieldError, registry
from sweeper.study.distributions import DISTRIBUTIONS
from sweeper.study.parse import Path
from sweeper.study.space import SpaceError
from sweeper.study.words import nearest, show

__all__ = ["describe_errors"]

_ALLOWED = {
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a string",
    "tuple_type": "a list",
    "model_type": "a mapping",
    "finite_number": "a finite number",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "literal_error": "{expected}",
}
"""Pydantic's kinds of errors, in the words of a study file."""


def describe_errors(model: type[BaseModel], tree: Any, errors: Sequence[ErrorDetails]) -> list[tuple[Path, str]]:
    """Each place with a fault in `tree`, and the fault in words. Faults of one place become one message."""
    described: dict[Path, list[str]] = {}
    for error in errors:
        if error["type"] == "too_short" and error["input"]:
            continue  # pydantic's echo of faulty items, which have errors of their own
        path = _path_in(tree, error["loc"], error["type"])
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, SpaceError):
            described |= {(*path, *below): [message] for below, message in cause.faults}
            continue
        if isinstance(cause, FieldError):
            path = (*path, *cause.field)
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
        name, known = str(error["loc"][-1]), _known_fields(model, error["loc"][:-1])
        return f"unknown field{nearest(name, known) or ';'} allowed: {', '.join(known)}"
    if kind == "union_tag_invalid":
        known = re.findall(r"'([^']+)'", str(context["expected_tags"]))
        tag = context["tag"]
        return f"given {show(tag)}{nearest(str(tag), known) or ';'} allowed: {', '.join(known)}"
    if kind == "union_tag_not_found":
        return f"`name` is missing; allowed: a mapping with a name, or the bare name{_misspelled(given)}"
    if kind == "model_attributes_type":
        return f"given {show(given)}; allowed: a mapping with a name, or the bare name"
    if kind == "value_error":
        return str(context["error"])
    hint = _misspelled(given)
    if kind == "literal_error" and isinstance(given, str):
        hint = nearest(given, re.findall(r"'([^']+)'", context["expected"]))
    bounds = {name: f"{bound:.15g}" if isinstance(bound, float) else bound for name, bound in context.items()}
    allowed = _ALLOWED[kind].format_map(bounds) if kind in _ALLOWED else error["msg"]
    return f"given {show(given)}; allowed: {allowed}{hint}"


def _misspelled(given: Any) -> str:
    """A hint if a mapping in the place of a value may be meant as a distribution."""
    hints = [nearest(str(key), DISTRIBUTIONS) for key in given] if isinstance(given, dict) else []
    return next((hint for hint in hints if hint), "")


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
        return [*([] if issubclass(annotation, CustomConfig) else [annotation]), *registry.configs(annotation)]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
