"""Values for parameters of a space, by the paths under which tables and reports show them: `optimizer=sgd lr=0.1`.

A path names a place in the tree of a trial, without the branches of choices on the way. Below a choice, a value is for
each branch that has the place, or for the one that is chosen beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sweeper.errors import InputError
from sweeper.study.distributions import (
    ChoiceDistribution,
    FloatDistribution,
    IntDistribution,
    Node,
    RepeatDistribution,
    Scalar,
    float_step,
    to_raw,
)
from sweeper.study.space import Space
from sweeper.study.words import nearest, show
from sweeper.study.yaml import parse_scalar

__all__ = ["describe_range", "fix_params", "paths_of"]


@dataclass(frozen=True, kw_only=True)
class _Site:
    """A place of a space under one choice of branches."""

    name: str
    """Of the parameter, as the sampler knows it."""
    node: Node
    branches: Mapping[str, tuple[ChoiceDistribution, Scalar]]
    """The option of each choice on the way."""
    lengths: Mapping[str, int]
    """What the number of items of each repeat on the way must be at least, where it may be less."""


def paths_of(space: Space) -> dict[str, str]:
    """The path of each parameter of a space by its name: `training.optimizer.lr` for `training.optimizer[adam].lr`."""
    return dict(_walk(space.root, "", ""))


def _walk(node: Node, name: str, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict | list):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _walk(child, f"{name}.{key}".lstrip("."), f"{path}.{key}".lstrip("."))
    elif isinstance(node, ChoiceDistribution):
        yield name, path
        for label, option in zip(node.labels, node.options, strict=True):
            yield from _walk(option, f"{name}[{label}]", path)
    elif isinstance(node, RepeatDistribution):
        if node.low < node.high:
            yield f"{name}.repeat", f"{path}.repeat"
        for i in range(node.high):
            yield from _walk(node.of, f"{name}.{i}", f"{path}.{i}")
    elif isinstance(node, FloatDistribution | IntDistribution):
        yield name, path


def fix_params(
    space: Space, assignments: Sequence[str], given: Mapping[str, Scalar] | None = None
) -> dict[str, Scalar]:
    """The parameters that assignments give a value.

    Args:
        space: The search space.
        assignments: `path=value`; a path may be its last parts, if these tell it from others. A value is read as in a
            study file; a list for a `repeat`, a mapping for a branch.
        given: Parameters that have a value already, by the sampler's names; assignments come before them.

    Returns:
        Values by the sampler's names. Parameters that are not among them are to be drawn.

    Raises:
        InputError: No such parameter, or a value that its distribution does not have.
    """
    parsed = [(path, text) for each in assignments for path, text in [_parse(each)]]
    whole = [(_find_path(space, path), path, text) for path, text in parsed]
    paths = [path for path, _, _ in whole]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise InputError(f"{twice}: given twice; allowed: once")
    fixed: dict[str, Scalar] = {}
    plain = paths_of(space)
    # Choices, and lengths of lists, before what hangs on them.
    whole.sort(key=lambda each: (len(_keys(each[0])), not each[0].endswith((".name", ".repeat"))))
    for path, _, text in whole:
        context = {**(given or {}), **fixed}
        for site in _sites_of(space, path, context):
            try:
                fixed |= _fix(site.node, parse_scalar(text), text, site.name, path)
            except InputError as error:
                chosen = [f"{plain[choice]} = {label}" for choice, (_, label) in site.branches.items()]
                raise InputError(f"{error} (with {', '.join(chosen)})" if chosen else str(error)) from None
    return {**(given or {}), **fixed}


def _parse(assignment: str) -> tuple[str, str]:
    path, separator, text = assignment.partition("=")
    path = path.strip().removeprefix("trial.")
    if not separator or not re.fullmatch(r"[^.[\]]+(\.[^.[\]]+|\[[^\]]+\])*", path):
        raise InputError(f"given {assignment!r}; allowed: path=value, such as training.optimizer.lr=0.01")
    return path, text.strip()


def _keys(path: str) -> list[str]:
    return re.findall(r"\[[^]]*\]|[^.[]+", path)


def _find_path(space: Space, path: str) -> str:
    """The whole path, from the root."""
    if any(_sites(space.root, "", _keys(path), {}, {})):
        return path
    known = list(dict.fromkeys(paths_of(space).values()))
    tail = path.removesuffix(".name")
    found = [each for each in known if each.endswith(f".{tail}")]
    # The items of a list go by the name of the list.
    found = found or list(dict.fromkeys(m[1] for each in known if (m := re.match(rf"(.*\.{re.escape(tail)})\.", each))))
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{path}: may be {' or '.join(found)}; give the whole path")
    hint = nearest(path, [*known, *(each.rpartition(".")[2] for each in known)]) or ";"
    raise InputError(
        f"{path}: no parameter of this study{hint} allowed: {', '.join(known) or 'none, since none varies'}"
    )


def _sites(
    node: Node,
    name: str,
    keys: Sequence[str],
    branches: Mapping[str, tuple[ChoiceDistribution, Scalar]],
    lengths: Mapping[str, int],
) -> Iterator[_Site]:
    """Every place that a path names, under each choice of branches."""
    key = keys[0] if keys else None
    if isinstance(node, ChoiceDistribution) and key is not None and keys != ["name"]:
        for option, label in zip(node.options, node.labels, strict=True):
            chosen = {**branches, name: (node, label)}
            if key == f"[{label}]" or not key.startswith("["):
                yield from _sites(option, f"{name}[{label}]", keys[key.startswith("[") :], chosen, lengths)
    elif key is None or (isinstance(node, ChoiceDistribution) and keys == ["name"]):
        yield _Site(name=name, node=node, branches=branches, lengths=lengths)
    elif isinstance(node, RepeatDistribution):
        if keys == ["repeat"] and node.low < node.high:
            count = IntDistribution(low=node.low, high=node.high)
            yield _Site(name=f"{name}.repeat", node=count, branches=branches, lengths=lengths)
        elif key.isdecimal() and int(key) < node.high:
            longer = {**lengths, f"{name}.repeat": int(key) + 1} if int(key) >= node.low else lengths
            yield from _sites(node.of, f"{name}.{key}", keys[1:], branches, longer)
    elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
        yield from _sites(node[int(key)], f"{name}.{key}", keys[1:], branches, lengths)
    elif isinstance(node, dict) and key in node:
        yield from _sites(node[key], f"{name}.{key}".lstrip("."), keys[1:], branches, lengths)


def _sites_of(space: Space, path: str, fixed: Mapping[str, Scalar]) -> list[_Site]:
    """The places of a path that go with what is fixed.

    Raises:
        InputError: There is none, or it hangs on a choice that is not made.
    """
    sites = list(_sites(space.root, "", _keys(path), {}, {}))
    plain = paths_of(space)
    for choice in dict.fromkeys(name for site in sites for name in site.branches):
        if choice in fixed:
            kept = [site for site in sites if choice not in site.branches or site.branches[choice][1] == fixed[choice]]
            if not kept:
                labels = dict.fromkeys(str(site.branches[choice][1]) for site in sites)
                made = f"{plain[choice]} = {show(fixed[choice])}"
                raise InputError(f"{path}: is not there with {made}; allowed: with {' or '.join(labels)}")
            sites = kept
            continue
        labels_there = [site.branches[choice][1] for site in sites if choice in site.branches]
        lacking = [s for s in sites if choice in s.branches and set(s.branches[choice][0].labels) - set(labels_there)]
        if lacking:
            options = " or ".join(f"{plain[choice]}={label}" for label in dict.fromkeys(labels_there))
            raise InputError(f"{path}: is not there with each {plain[choice]}; give {options} too")
    for name, length in {name: n for site in sites for name, n in site.lengths.items()}.items():
        count = fixed.get(name)
        if not isinstance(count, int) or count < length:
            have = "" if count is None else f", not {count}"
            raise InputError(f"{path}: is there with {length} or more only; give {plain[name]}={length} too{have}")
    return sites


def _fix(node: Node, value: Any, text: str | None, name: str, path: str) -> dict[str, Scalar]:
    """The parameters that give what is at a place a value."""
    if isinstance(node, ChoiceDistribution):
        return _fix_choice(node, value, text, name, path)
    if isinstance(node, RepeatDistribution):
        if not isinstance(value, list) or not node.low <= len(value) <= node.high:
            raise _refusal(path, value, describe_range(node))
        fixed: dict[str, Scalar] = {f"{name}.repeat": len(value)} if node.low < node.high else {}
        for i, item in enumerate(value):
            fixed |= _fix(node.of, item, None, f"{name}.{i}", f"{path}.{i}")
        return fixed
    if isinstance(node, FloatDistribution | IntDistribution):
        return {name: _in_range(node, value, path)}
    if (
        isinstance(node, dict | list)
        and isinstance(value, dict | list)
        and isinstance(node, dict) == isinstance(value, dict)
    ):
        children: dict[Any, Node] = dict(node) if isinstance(node, dict) else dict(enumerate(node))
        items: dict[Any, Any] = dict(value) if isinstance(value, dict) else dict(enumerate(value))
        if not items.keys() <= children.keys() or (isinstance(node, list) and len(node) != len(items)):
            raise _refusal(path, value, show(to_raw(node)))
        fixed = {}
        for key, item in items.items():
            fixed |= _fix(children[key], item, None, f"{name}.{key}".lstrip("."), f"{path}.{key}")
        return fixed
    if not _is_same(node, value):
        raise _refusal(path, value, f"{show(to_raw(node))}, which does not vary in this study")
    return {}


def _fix_choice(node: ChoiceDistribution, value: Any, text: str | None, name: str, path: str) -> dict[str, Scalar]:
    for label, option in zip(node.labels, node.options, strict=True):
        if _is_same(label, value) or (text is not None and label == text) or _is_same(to_raw(option), value):
            return {name: label}
    if isinstance(value, dict) and "name" in value and value["name"] in node.labels:
        option = node.options[node.labels.index(value["name"])]
        branch: Node = option if isinstance(option, dict) else {"name": option}
        return {name: value["name"], **_fix(branch, value, None, f"{name}[{value['name']}]", path)}
    raise _refusal(path, value if text is None or not isinstance(value, str) else text, describe_range(node))


def _is_same(known: Any, value: Any) -> bool:
    """Equal, and both or neither a boolean."""
    return bool(known == value) and isinstance(known, bool) == isinstance(value, bool)


def _in_range(node: FloatDistribution | IntDistribution, value: Any, path: str) -> int | float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not node.low <= value <= node.high or (isinstance(node, IntDistribution) and value % 1):
        raise _refusal(path, value, describe_range(node))
    if isinstance(node, IntDistribution):
        if (value - node.low) % node.step:
            raise _refusal(path, value, describe_range(node))
        return int(value)
    if node.step is None:
        return float(value)
    steps = (Decimal(str(value)) - Decimal(str(node.low))) / Decimal(str(node.step))
    if abs(steps - round(steps)) > Decimal("1e-8"):
        raise _refusal(path, value, describe_range(node))
    return float_step(node.low, node.step, round(steps))


def describe_range(node: Node) -> str:
    """What a place may be, in words: `0.0001 to 0.03`, `16, 32, 64`."""
    if isinstance(node, ChoiceDistribution):
        return ", ".join(show(label) if not isinstance(label, str) else label for label in node.labels)
    if isinstance(node, RepeatDistribution):
        count = str(node.low) if node.low == node.high else f"{node.low} to {node.high}"
        return f"a list of {count}"
    assert isinstance(node, FloatDistribution | IntDistribution)
    whole = "an integer from " if isinstance(node, IntDistribution) else ""
    steps = "" if node.step in (None, 1) else f" in steps of {node.step}"
    return f"{whole}{node.low} to {node.high}{steps}"


def _refusal(path: str, value: Any, allowed: str) -> InputError:
    return InputError(f"{path}: given {show(value)}; allowed: {allowed}")
