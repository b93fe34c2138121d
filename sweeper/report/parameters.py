"""Which parameters varied between the trials of a study, and how they were drawn."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeper.report.augmentations import augment_words
from sweeper.report.format import as_float, param_text
from sweeper.study.distributions import to_raw
from sweeper.study.space import (
    ChoiceDistribution,
    Distribution,
    FloatDistribution,
    IntDistribution,
    Space,
)
from sweeper.tracking.records import RunRecord

__all__ = [
    "Constant",
    "Parameter",
    "constant_params",
    "describe",
    "expand_lists",
    "identity",
    "parameters_of_space",
    "run_params",
    "tree_order",
    "varied_params",
]

_ITEM = re.compile(r"\.(\d+)(?=\.|$)")
_BRANCH = re.compile(r"\[[^\]]*\]")
_NAMED = ("training.optimizer", "training.loss", "training.schedule", "model")
_TOP_LEVEL = {"model": 0, "training": 1, "data": 2, "seed": 3}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A searched parameter, by the path of its leaf in a trial's configuration."""

    path: str
    log: bool
    """Drawn uniformly in the logarithm, in at least one branch."""
    choice: bool
    """One of a list of values."""
    order: tuple[str, ...]
    """The options of a choice in the study's order, as text."""
    branch: str | None
    """Path of the name of its branch, such as `training.optimizer.name`; None outside of a choice."""
    branches: tuple[str, ...] = ()
    """Names of the branches in which it is searched; elsewhere it may be there with a fixed value."""


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
    number = as_float(value)
    return repr(number) if number is not None else json.dumps(value, sort_keys=True, default=str)


def _columns(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[str | None]]:
    """For each path, the identity of its value in each run; None where a run does not have it."""
    paths = sorted({path for params in runs for path in params}, key=tree_order)
    return {path: [identity(p[path]) if path in p else None for p in runs] for path in paths}


def _presence_follows(column: Sequence[str | None], other: Sequence[str | None]) -> bool:
    """Whether the value of `other` alone tells which runs have `column`."""
    seen: dict[str | None, bool] = {}
    return all(seen.setdefault(b, a is not None) == (a is not None) for a, b in zip(column, other, strict=True))


def varied_params(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Paths with at least two values, or that only some runs have for no reason seen in another parameter.

    `training.optimizer.betas` with one value in all trials of Adam did not vary: the optimizer did.
    """
    columns = _columns(runs)
    varied = [path for path, column in columns.items() if len({v for v in column if v is not None}) > 1]
    for path, column in columns.items():
        if path in varied or None not in column:
            continue
        if not any(_presence_follows(column, columns[other]) for other in varied):
            varied.append(path)
    return sorted(varied, key=tree_order)


def constant_params(runs: Sequence[Mapping[str, Any]]) -> list[Constant]:
    """All other parameters, with their one value; lengths of lists are left out."""
    varied = set(varied_params(runs))
    constants = []
    for path, column in _columns(runs).items():
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


def parameters_of_space(space: Space) -> dict[str, Parameter]:
    """The searched parameters by the path that they have in `RunRecord.params`.

    Parameters of several branches share a path: `training.optimizer[adam].lr` and `training.optimizer[sgd].lr`.
    """
    found: dict[str, Parameter] = {}
    for name, distribution in space.distributions.items():
        path = _BRANCH.sub("", name)
        options = distribution.options if isinstance(distribution, ChoiceDistribution) else ()
        # A bare word in these places stands for a branch with its defaults.
        if any(isinstance(option, dict) for option in options) or path in _NAMED:
            path += ".name"
        known = found.get(path)
        order = (
            tuple(map(_option_text, distribution.labels, options))
            if isinstance(distribution, ChoiceDistribution)
            else ()
        )
        brackets = list(_BRANCH.finditer(name))
        found[path] = Parameter(
            path=path,
            log=getattr(distribution, "log", False) or (known is not None and known.log),
            choice=bool(options) or (known is not None and known.choice),
            order=(known.order if known else ()) + tuple(o for o in order if known is None or o not in known.order),
            branch=f"{_BRANCH.sub('', name[: brackets[-1].start()])}.name" if brackets else None,
            # Options of one name are numbered: `sgd` and `sgd#2`.
            branches=(known.branches if known else ())
            + tuple(b.group()[1:-1].partition("#")[0] for b in brackets[-1:]),
        )
    return found


def _option_text(label: Any, option: Any) -> str:
    """An option of a choice, as the value of the parameter is shown."""
    if isinstance(option, list) and all(isinstance(item, dict | str) for item in option):
        raw = to_raw(option)
        if "{'choice'" not in str(raw) and all("name" in item for item in raw if isinstance(item, dict)):
            return augment_words(raw)
    return param_text(label)


def describe(distribution: Distribution) -> str:
    """A distribution in words: `1e-5 to 0.03, logarithmic`, `one of 16, 32, 64`."""
    if isinstance(distribution, FloatDistribution | IntDistribution):
        words = [f"{param_text(distribution.low)} to {param_text(distribution.high)}"]
        if isinstance(distribution, IntDistribution):
            words.append("integer")
        if distribution.log:
            words.append("logarithmic")
        if distribution.step not in (None, 1):
            words.append(f"in steps of {param_text(distribution.step)}")
        return ", ".join(words)
    if isinstance(distribution, ChoiceDistribution):
        return "one of " + ", ".join(map(_option_text, distribution.labels, distribution.options))
    return f"{distribution.low} to {distribution.high} items"
