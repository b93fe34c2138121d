"""`--set field=value`: values on the command line in the place of a study file's."""

from __future__ import annotations

import re
from typing import Any

from sweeper.study.distributions import DISTRIBUTIONS, labels_of
from sweeper.study.parse import Path
from sweeper.study.words import nearest, show
from sweeper.study.yaml import parse_scalar

__all__ = ["OverrideError", "apply_override"]


class OverrideError(ValueError):
    """An assignment that cannot be made: the field as given, and why."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


def apply_override(raw: dict[str, Any], override: str) -> list[Path]:
    """Put `field=value` into the raw tree of a study.

    Items of lists are named by their index, and options of a choice by index or by name:
    `trial.model.hidden.0=8`, `trial.training.optimizer.choice.1.lr=0.1`, `trial.training.optimizer[sgd].lr=0.1`.

    Returns:
        The places that hold something else now.

    Raises:
        OverrideError: There is no such place.
    """
    field, separator, text = override.partition("=")
    field = field.strip()
    if not separator or not re.fullmatch(r"[^.[\]]+(\.[^.[\]]+|\[[^\]]+\])*", field):
        raise OverrideError(field, "allowed: field=value, such as trial.training.epochs=3")
    node: Any = raw
    path: Path = ()
    created: list[Path] = []
    for n, key in enumerate(_keys(field)):
        if n > 0:
            node = _enter(node, path, created)
        if key.startswith("["):
            node, path, key = _options(node, path, key[1:-1], field)  # the same, spelled out
        path = (*path, _place(node, path, key, field))
    node[path[-1]] = parse_scalar(text)
    return [*created, path]


def _enter(parent: Any, path: Path, created: list[Path]) -> Any:
    """What stands at a path, below its parent; where it is nothing or a bare name, it becomes a mapping."""
    child = parent.get(path[-1]) if isinstance(parent, dict) else parent[path[-1]]
    if child is None:  # an optional branch
        created.append(path)
        child = parent[path[-1]] = {}
    elif isinstance(child, str):  # a bare name such as `optimizer: adam` gets fields
        child = parent[path[-1]] = {"name": child}
    return child


def _keys(field: str) -> list[str]:
    """The keys of a path; `a[b].c` is `a`, `[b]`, `c`, where b may hold dots."""
    return re.findall(r"\[[^]]*\]|[^.[]+", field)


def _options(node: Any, path: Path, label: str, field: str) -> tuple[list[Any], Path, str]:
    """The options of a choice, their path, and the index of the one with a label."""
    options = node.get("choice") if isinstance(node, dict) else None
    if not isinstance(options, list):
        raise OverrideError(field, f"{_name(path)} is no choice; allowed: the names of fields")
    labels = [str(each) for each in labels_of(options)]
    if label not in labels:
        hint = nearest(label, labels) or ";"
        raise OverrideError(field, f"{_name(path)} has no option {label!r}{hint} allowed there: {', '.join(labels)}")
    return options, (*path, "choice"), str(labels.index(label))


def _place(node: Any, path: Path, key: str, field: str) -> str | int:
    """The key of a node's child, which may be a new field of a mapping."""
    if isinstance(node, list):
        if key.isdecimal() and int(key) < len(node):
            return int(key)
        allowed = f"0 to {len(node) - 1}" if node else "nothing, the list is empty"
        raise OverrideError(field, f"{_name(path)} has no {key!r}; allowed there: {allowed}")
    if not isinstance(node, dict):
        raise OverrideError(field, f"{_name(path)} is {show(node)}, a value without fields")
    if key not in node and node.keys() & DISTRIBUTIONS.keys():
        hint = nearest(key, node) or ";"
        allowed = ", ".join([*node, *(f"[{label}]" for label in labels_of(node.get("choice") or []))])
        raise OverrideError(field, f"{_name(path)} has no {key!r}{hint} allowed there: {allowed}")
    return key


def _name(path: Path) -> str:
    return ".".join(map(str, path))
