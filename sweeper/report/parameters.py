"""Which parameters varied between the trials of a study."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sweeper.report.format import as_float
from sweeper.tracking.records import RunRecord

__all__ = [
    "Constant",
    "constant_params",
    "expand_lists",
    "identity",
    "run_params",
    "tree_order",
    "varied_params",
]

_ITEM = re.compile(r"\.(\d+)(?=\.|$)")
_TOP_LEVEL = {"model": 0, "training": 1, "data": 2, "seed": 3}


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A parameter with one value in all trials that have it."""

    path: str
    value: Any
    n_runs: int
    """Trials that have it."""


def tree_order(path: str) -> tuple[Any, ...]:
    """Sort key: model before training before data, lengths and names before the rest, items by their index."""
    keys = path.split(".")
    first = {"repeat": 0, "name": 2}
    rest = tuple((1, int(k), "") if k.isdigit() else (first.get(k, 3), 0, k) for k in keys[1:])
    return (_TOP_LEVEL.get(keys[0], 4), keys[0], rest)


def run_params(run: RunRecord) -> dict[str, Any]:
    """The parameters of a run, and for each list of parts its length as `<path>.repeat`."""
    params = dict(run.params)
    items: dict[str, set[str]] = {}
    for path in run.params:
        for match in _ITEM.finditer(path):
            items.setdefault(path[: match.start()], set()).add(match.group(1))
    for path, indices in items.items():
        params[f"{path}.repeat"] = len(indices)
    params.update({f"{path}.repeat": 0 for path, value in run.params.items() if value == [] or value == ()})
    return params


def identity(value: Any) -> str:
    """A value as text by which it is told from others: 1 and 1.0 are the same, 1 and true are not."""
    if isinstance(value, str):
        return _quoted(value)
    if type(value) is float and math.isfinite(value):  # most values of a large study
        return repr(value)
    number = as_float(value)
    return repr(number) if number is not None else json.dumps(value, sort_keys=True, default=str)


@lru_cache(maxsize=4096)
def _quoted(text: str) -> str:
    """A text as JSON. Remembered: a table of thousands of trials has the same few texts."""
    return json.dumps(text)


def _columns(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[str | None]]:
    """For each path, the identity of its value in each run; None where a run does not have it."""
    paths = sorted({path for params in runs for path in params}, key=tree_order)
    return {path: [identity(p[path]) if path in p else None for p in runs] for path in paths}


def _may_decide(other: str, path: str) -> bool:
    """Whether a study file could make a parameter depend on another: on the name or the length of what it is part of,
    or on there being none of that.

    Without this, numbers that differ from trial to trial would tell which trials have any other parameter.
    """
    part, _, last = other.rpartition(".")
    return path.startswith(f"{other}.") or (last in ("name", "repeat") and path.startswith(f"{part}."))


def _presence_follows(column: Sequence[str | None], other: Sequence[str | None]) -> bool:
    """Whether the value of `other` alone tells which runs have `column`."""
    seen: dict[str | None, bool] = {}
    return all(seen.setdefault(b, a is not None) == (a is not None) for a, b in zip(column, other, strict=True))


def varied_params(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Paths with at least two values, or that only some runs have for no reason seen in another parameter.

    `training.optimizer.betas` with one value in all trials of Adam did not vary: the optimizer did.
    """
    return _varied(_columns(runs))


def _varied(columns: Mapping[str, Sequence[str | None]]) -> list[str]:
    varied = [path for path, column in columns.items() if len({v for v in column if v is not None}) > 1]
    for path, column in columns.items():
        if path in varied or None not in column:
            continue
        deciding = (columns[other] for other in varied if _may_decide(other, path))
        if not any(_presence_follows(column, each) for each in deciding):
            varied.append(path)
    return sorted(varied, key=tree_order)


def constant_params(runs: Sequence[Mapping[str, Any]]) -> list[Constant]:
    """All other parameters, with their one value; lengths of lists are left out."""
    columns = _columns(runs)
    varied = set(_varied(columns))
    constants = []
    for path, column in columns.items():
        if path not in varied and not path.endswith(".repeat"):
            value = next(p[path] for p in runs if path in p)
            constants.append(Constant(path=path, value=value, n_runs=sum(v is not None for v in column)))
    return constants


def expand_lists(params: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of values as one parameter an item, and their length as `<path>.repeat`."""
    expanded: dict[str, Any] = {}
    for path, value in params.items():
        if isinstance(value, list | tuple):
            expanded[f"{path}.repeat"] = len(value)
            expanded.update({f"{path}.{i}": item for i, item in enumerate(value)})
        else:
            expanded[path] = value
    return expanded
