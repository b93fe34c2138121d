"""The search space of a study in a reader's words: which parameters were drawn, from what, and in which branches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from sweeper.report.augmentations import augment_words
from sweeper.report.format import param_text
from sweeper.study.assignments import paths_of
from sweeper.study.distributions import Node, to_raw
from sweeper.study.space import (
    ChoiceDistribution,
    Distribution,
    FloatDistribution,
    IntDistribution,
    Space,
)

__all__ = ["Parameter", "describe", "gather_space", "option_words", "parameters_of_space"]

_NAMED = ("training.optimizer", "training.loss", "training.schedule", "model")
_AUGMENT = "data.augment"


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
    """Path of what tells its branch, such as `training.optimizer.name` or `model.blocks.repeat`; None outside of a
    choice, and where no one parameter tells the branches."""
    branches: tuple[str | int, ...] = ()
    """Values of `branch` with which it is searched; elsewhere it may be there with a fixed value."""


@dataclass(frozen=True, kw_only=True)
class _Branch:
    """One option of a choice, on the way to a parameter."""

    choice: str
    """The choice, as the sampler knows it."""
    index: int


def _branches(space: Space) -> dict[str, tuple[_Branch, ...]]:
    """The branches on the way to each parameter, by the sampler's names, the outermost first."""
    choices = {name: node for name, node in space.distributions.items() if isinstance(node, ChoiceDistribution)}
    prefixes = {
        f"{name}[{label}]": _Branch(choice=name, index=i)
        for name, node in choices.items()
        for i, label in enumerate(node.labels)
    }
    # A label may hold anything, brackets too; that of one choice begins with that of another only in its branch.
    return {
        name: tuple(branch for prefix, branch in prefixes.items() if name.startswith((f"{prefix}.", f"{prefix}[")))
        for name in space.distributions
    }


def _is_named(option: Node) -> bool:
    return isinstance(option, dict) and isinstance(option.get("name"), str)


def _is_of_parts(choice: ChoiceDistribution) -> bool:
    """Whether its options are lists of parts, such as the blocks of a network, which are parameters of their own."""
    lists = all(isinstance(option, list) for option in choice.options)
    return lists and any(isinstance(part, dict) for option in choice.options for part in option)  # type: ignore[union-attr]  # lists, by the line above


def _telling(choice: ChoiceDistribution, path: str, *, folded: bool) -> tuple[str, tuple[str | int, ...]] | None:
    """The parameter that tells the options of a choice apart, and its value for each; None where none does.

    Args:
        choice: The choice.
        path: Where it is in a trial.
        folded: Whether augmentations are one parameter, in words.
    """
    if any(map(_is_named, choice.options)) or path in _NAMED:
        # Options of one name are numbered for the sampler, `sgd` and `sgd#2`; their trials have the name.
        return f"{path}.name", tuple(
            str(o["name"]) if isinstance(o, dict) and "name" in o else str(o) for o in choice.options
        )
    lengths = tuple(len(option) for option in choice.options if isinstance(option, list))
    if _is_of_parts(choice) and len(set(lengths)) == len(choice.options) and not (folded and path == _AUGMENT):
        return f"{path}.repeat", lengths
    return None


def parameters_of_space(space: Space) -> dict[str, Parameter]:
    """The searched parameters by the path that they have in `RunRecord.params`.

    Parameters of several branches share a path: `training.optimizer[adam].lr` and `training.optimizer[sgd].lr`.
    """
    paths, branches = paths_of(space), _branches(space)
    folded = not any(path.startswith(f"{_AUGMENT}.") for path in paths.values())
    found: dict[str, Parameter] = {}
    for name, distribution in space.distributions.items():
        path, order = paths[name], tuple[str, ...]()
        if isinstance(distribution, ChoiceDistribution):
            telling = _telling(distribution, path, folded=folded)
            path, values = telling or (path, map(partial(_value_text, distribution), range(len(distribution.options))))
            order = tuple(dict.fromkeys(map(str, values)))
        known = found.get(path)
        branch, values_here = None, tuple[str | int, ...]()
        for inner in branches[name][-1:]:
            choice = space.distributions[inner.choice]
            assert isinstance(choice, ChoiceDistribution)
            telling = _telling(choice, paths[inner.choice], folded=folded)
            if telling is not None:
                branch, values_here = telling[0], (telling[1][inner.index],)
        found[path] = Parameter(
            path=path,
            log=getattr(distribution, "log", False) or (known is not None and known.log),
            choice=bool(order) or (known is not None and known.choice),
            order=tuple(dict.fromkeys((*(known.order if known else ()), *order))),
            branch=branch,
            branches=tuple(dict.fromkeys((*(known.branches if known else ()), *values_here))),
        )
    return found


def _value_text(choice: ChoiceDistribution, index: int) -> str:
    """An option of a choice, as the value of the parameter is shown."""
    option = choice.options[index]
    if isinstance(option, list) and all(isinstance(item, dict | str) for item in option):
        raw = to_raw(option)
        if "{'choice'" not in str(raw) and all("name" in item for item in raw if isinstance(item, dict)):
            return augment_words(raw)
    return param_text(option if isinstance(option, list) and not _is_of_parts(choice) else choice.labels[index])


def option_words(choice: ChoiceDistribution, index: int) -> str:
    """An option of a choice as a study file calls it: `adam`, `step (every 5)` beside another `step`, `3 items`."""
    option = choice.options[index]
    if isinstance(option, dict):
        return _branch_words(choice, index)
    text = _value_text(choice, index)
    if isinstance(option, list) and _is_of_parts(choice) and text == param_text(choice.labels[index]):
        alike = [i for i, other in enumerate(choice.options) if isinstance(other, list) and len(other) == len(option)]
        number = f", number {alike.index(index) + 1}" if len(alike) > 1 else ""
        return f"{len(option)} items{number}"
    return text


def _branch_words(choice: ChoiceDistribution, index: int) -> str:
    option = choice.options[index]
    assert isinstance(option, dict)
    name = option.get("name")
    rivals = [other for other in choice.options if isinstance(other, dict) and other.get("name") == name]
    settings = [_scalars(other) for other in rivals]
    own = _scalars(option)
    keys = own if len(rivals) == 1 and name is None else _differing(settings) if len(rivals) > 1 else []
    words = [f"{key.replace('_', ' ')} {param_text(own[key])}" for key in keys if key in own]
    text = ", ".join(words)
    if name is None:
        return text or ", ".join(key.replace("_", " ") for key in option)
    return f"{name} ({text})" if text else str(name)


def _scalars(option: Mapping[str, Node]) -> dict[str, Any]:
    """The fixed settings of a branch, without its name."""
    return {k: node for k, node in option.items() if k != "name" and isinstance(node, bool | int | float | str | None)}


def _differing(settings: list[dict[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for each in settings for key in each)
    return [key for key in keys if len({repr(each.get(key, "")) for each in settings}) > 1]


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
        found = Counter(option_words(distribution, i) for i in range(len(distribution.options)))
        options = [option if n == 1 else f"{option} ({n} times)" for option, n in found.items()]
        # A list of numbers has commas of its own.
        return "one of " + ("; " if any(", " in option for option in options) else ", ").join(options)
    return f"{distribution.low} to {distribution.high} items"


def gather_space(space: Space) -> pd.DataFrame:
    """The search space: columns parameter, distribution, only_with (the branches that it belongs to; empty for none).

    Items of a list that are drawn alike share a row, and so do branches.
    """
    paths, branches = paths_of(space), _branches(space)
    alike: dict[tuple[str, str, tuple[_Branch, ...]], list[str]] = {}
    for name, distribution in space.distributions.items():
        pattern = ".".join("*" if key.isdecimal() else key for key in paths[name].split("."))
        alike.setdefault((pattern, describe(distribution), branches[name]), []).append(paths[name])
    rows: dict[tuple[str, str], list[tuple[_Branch, ...]]] = {}
    for (_, words, within), own in alike.items():
        rows.setdefault((_merged(own), words), []).append(within)
    return pd.DataFrame(
        [(path, words, _within(space, paths, every)) for (path, words), every in rows.items()],
        columns=["parameter", "distribution", "only_with"],
    )


def _merged(paths: list[str]) -> str:
    """`model.blocks.0–2.channels` for items of a list that are drawn alike; else all paths."""
    keys = [path.split(".") for path in paths]
    places = [i for i, key in enumerate(keys[0]) if key.isdecimal()]
    if len(paths) > 1 and len(places) == 1:
        middle = f"{keys[0][places[0]]}–{keys[-1][places[0]]}"
        return ".".join([*keys[0][: places[0]], middle, *keys[0][places[0] + 1 :]])
    return ", ".join(paths)


def _within(space: Space, paths: Mapping[str, str], every: list[tuple[_Branch, ...]]) -> str:
    """Branches in words: `optimizer: sgd`, `optimizer: adam or rmsprop`; nothing for all options of a choice."""
    words = []
    for choice, own in _by_choice(every):
        node = space.distributions[choice]
        assert isinstance(node, ChoiceDistribution)
        if len(own) < len(node.options):
            words.append(f"{paths[choice].rpartition('.')[2]}: {' or '.join(option_words(node, i) for i in own)}")
    return "; ".join(words)


def _by_choice(every: list[tuple[_Branch, ...]]) -> Iterator[tuple[str, list[int]]]:
    found: dict[str, list[int]] = {}
    for branch in (branch for within in every for branch in within):
        own = found.setdefault(branch.choice, [])
        if branch.index not in own:
            own.append(branch.index)
    yield from found.items()
