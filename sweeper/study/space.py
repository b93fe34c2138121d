"""The search space: a `TrialConfig` tree in which any leaf may be a distribution and any branch a choice.

    float:   {float: [1e-5, 3e-2], log: true}       {float: [0.0, 0.5], step: 0.1}
    int:     {int: [6, 140], log: true}             {int: [64, 512], step: 64}
    choice:  {choice: [16, 32, 64]}                 {choice: [{name: adam, ...}, {name: sgd, ...}]}
    repeat:  {repeat: {min: 2, max: 3}, of: ...}    {repeat: 3, of: ...}

Parameters are named by the dotted path of the leaf. Below a choice between branches the branch is named too, as in
`training.optimizer[adam].lr`: the learning rates of two optimizers are two parameters, whatever their ranges.

Drawing asks a `Suggester` for each value in the order of the tree. Optuna's `Trial` is one; so are the ones in here,
which draw at random or walk over every corner or grid point.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

__all__ = [
    "ChoiceDistribution",
    "Distribution",
    "Draw",
    "FloatDistribution",
    "IntDistribution",
    "Path",
    "RandomSuggester",
    "RepeatDistribution",
    "Scalar",
    "Space",
    "SpaceError",
    "Suggester",
]

Path: TypeAlias = tuple[str | int, ...]
Scalar: TypeAlias = bool | int | float | str | None


class Suggester(Protocol):
    """Gives a value for a parameter. Optuna's `Trial` is one."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A float in [low, high], both included."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """An integer in [low, high], both included."""

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        """One of `choices`."""


class SpaceError(ValueError):
    """Distributions that are not well formed: pairs of the path in the tree and what is wrong there."""

    def __init__(self, faults: Sequence[tuple[Path, str]], rest: Space | None = None) -> None:
        self.faults = tuple(faults)
        self.rest = rest
        """The space with null in the place of what is not well formed, so that the rest can be checked too."""
        super().__init__("; ".join(f"{'.'.join(map(str, path))}: {message}" for path, message in faults))


@dataclass(frozen=True, kw_only=True)
class FloatDistribution:
    """A float in [low, high]: uniform, uniform in the logarithm (`log`), or on a grid from `low` (`step`)."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def suggest(self, suggester: Suggester, name: str) -> float:
        return suggester.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def to_raw(self) -> dict[str, Any]:
        raw: dict[str, Any] = {"float": [self.low, self.high]}
        return raw | ({"log": True} if self.log else {}) | ({} if self.step is None else {"step": self.step})


@dataclass(frozen=True, kw_only=True)
class IntDistribution:
    """An integer in [low, high]: uniform, uniform in the logarithm (`log`), or every `step` from `low`."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    def suggest(self, suggester: Suggester, name: str) -> int:
        return suggester.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def to_raw(self) -> dict[str, Any]:
        raw: dict[str, Any] = {"int": [self.low, self.high]}
        return raw | ({"log": True} if self.log else {}) | ({} if self.step == 1 else {"step": self.step})


@dataclass(frozen=True, kw_only=True)
class ChoiceDistribution:
    """One of several values, or of several branches that may hold distributions of their own."""

    options: tuple[Node, ...]
    labels: tuple[Scalar, ...] = field(init=False)
    """What the sampler sees: the value itself, a branch's `name`, or a short form of it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", _labels(self.options))

    def suggest(self, suggester: Suggester, name: str) -> int:
        """Index of the option chosen."""
        label = suggester.suggest_categorical(name, self.labels)
        return next(i for i, known in enumerate(self.labels) if known == label and type(known) is type(label))

    def to_raw(self) -> dict[str, Any]:
        return {"choice": [_to_raw(option) for option in self.options]}


@dataclass(frozen=True, kw_only=True)
class RepeatDistribution:
    """A list of `low` to `high` items, each drawn for itself."""

    low: int
    high: int
    of: Node

    def to_raw(self) -> dict[str, Any]:
        count = self.low if self.low == self.high else {"min": self.low, "max": self.high}
        return {"repeat": count, "of": _to_raw(self.of)}


Distribution: TypeAlias = FloatDistribution | IntDistribution | ChoiceDistribution | RepeatDistribution
Node: TypeAlias = "Scalar | Distribution | dict[str, Node] | list[Node]"

_ALLOWED_KEYS = {
    "float": {"float", "log", "step"},
    "int": {"int", "log", "step"},
    "choice": {"choice"},
    "repeat": {"repeat", "of"},
}


def _to_raw(node: Node) -> Any:
    if isinstance(node, FloatDistribution | IntDistribution | ChoiceDistribution | RepeatDistribution):
        return node.to_raw()
    if isinstance(node, dict):
        return {key: _to_raw(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_to_raw(value) for value in node]
    return node


def _labels(options: Sequence[Node]) -> tuple[Scalar, ...]:
    labels: list[Scalar] = []
    for option in options:
        if isinstance(option, dict) and isinstance(option.get("name"), str):
            label: Scalar = option["name"]  # type: ignore[assignment]  # narrowed by isinstance above
        elif option is None or isinstance(option, bool | int | float | str):
            label = option
        else:
            label = json.dumps(_to_raw(option), separators=(", ", ": "))[:60]
        labels.append(label)
    seen: dict[tuple[type, Scalar], int] = {}
    for i, label in enumerate(labels):
        n = seen[type(label), label] = seen.get((type(label), label), 0) + 1
        if n > 1:
            labels[i] = f"{label}#{n}"
    return tuple(labels)


class _Parser:
    """Turns raw data into nodes, collecting every fault."""

    def __init__(self) -> None:
        self.faults: list[tuple[Path, str]] = []

    def fault(self, path: Path, message: str) -> None:
        self.faults.append((path, message))

    def parse(self, raw: Any, path: Path) -> Node:
        if isinstance(raw, FloatDistribution | IntDistribution | ChoiceDistribution | RepeatDistribution):
            return raw
        if isinstance(raw, Mapping):
            kinds = [key for key in _ALLOWED_KEYS if key in raw]
            if kinds:
                return self.parse_distribution(raw, path, kinds)
            return {str(key): self.parse(value, (*path, str(key))) for key, value in raw.items()}
        if isinstance(raw, list | tuple):
            return [self.parse(value, (*path, i)) for i, value in enumerate(raw)]
        if raw is None or isinstance(raw, bool | int | float | str):
            return raw
        self.fault(path, f"given {raw!r}; allowed: a value, a list, a mapping or a distribution")
        return None

    def parse_distribution(self, raw: Mapping[str, Any], path: Path, kinds: list[str]) -> Node:
        if len(kinds) > 1:
            self.fault(path, f"given {' and '.join(kinds)} in one place; allowed: one distribution")
            return None
        kind = kinds[0]
        for key in raw:
            if key not in _ALLOWED_KEYS[kind]:
                allowed = ", ".join(sorted(_ALLOWED_KEYS[kind]))
                self.fault((*path, key), f"given {key!r} in a {kind} distribution; allowed: {allowed}")
        if kind == "choice":
            return self.parse_choice(raw, path)
        if kind == "repeat":
            return self.parse_repeat(raw, path)
        return self.parse_range(raw, path, kind)

    def parse_choice(self, raw: Mapping[str, Any], path: Path) -> Node:
        options = raw["choice"]
        if not isinstance(options, list | tuple) or not options:
            self.fault((*path, "choice"), f"given {options!r}; allowed: a list with at least one option")
            return None
        return ChoiceDistribution(
            options=tuple(self.parse(option, (*path, "choice", i)) for i, option in enumerate(options))
        )

    def parse_repeat(self, raw: Mapping[str, Any], path: Path) -> Node:
        count = raw["repeat"]
        if isinstance(count, Mapping) and set(count) == {"min", "max"}:
            low, high = count["min"], count["max"]
        else:
            low = high = count
        if not (_is_int(low) and _is_int(high) and 0 <= low <= high <= 1000):
            self.fault(
                (*path, "repeat"), f"given {count!r}; allowed: a count, or {{min: m, max: n}} with m <= n <= 1000"
            )
            return None
        if "of" not in raw:
            self.fault(path, "`of` is missing; allowed: {repeat: ..., of: <what is repeated>}")
            return None
        return RepeatDistribution(low=low, high=high, of=self.parse(raw["of"], (*path, "of")))

    def parse_range(self, raw: Mapping[str, Any], path: Path, kind: str) -> Node:
        bounds, log, step = raw[kind], raw.get("log", False), raw.get("step")
        is_number = _is_int if kind == "int" else _is_number
        what = "integers" if kind == "int" else "numbers"
        if not (isinstance(bounds, list | tuple) and len(bounds) == 2 and all(is_number(b) for b in bounds)):
            self.fault((*path, kind), f"given {bounds!r}; allowed: [low, high], two {what}")
            return None
        low, high = bounds
        before = len(self.faults)
        if low > high:
            self.fault((*path, kind), f"given low {low} above high {high}; allowed: [low, high] with low <= high")
        if not isinstance(log, bool):
            self.fault((*path, "log"), f"given {log!r}; allowed: true or false")
        elif log and low <= 0:
            self.fault((*path, kind), f"given low {low} with log: true; allowed: low above 0")
        if step is not None and not (is_number(step) and step > 0):
            self.fault((*path, "step"), f"given {step!r}; allowed: one of the {what} above 0")
        elif log is True and step is not None:
            self.fault((*path, "step"), "given step and log: true together; allowed: one of them")
        if len(self.faults) > before:
            return None
        if kind == "int":
            return IntDistribution(low=low, high=high, log=log, step=1 if step is None else step)
        return FloatDistribution(low=float(low), high=float(high), log=log, step=None if step is None else float(step))


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One configuration drawn from a space."""

    tree: dict[str, Any]
    """The tree with a value at every leaf."""
    params: dict[str, Scalar]
    """What was drawn, by the parameter's name."""
    origins: dict[Path, Path]
    """For each place in `tree`, the place in the raw tree that it came from."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """A search space. Build it with `Space.parse` from the data of a study file, which may hold distributions."""

    root: dict[str, Node]

    @classmethod
    def parse(cls, raw: Any) -> Space:
        """Read a tree of plain data and distributions.

        Raises:
            SpaceError: Some distributions are not well formed; it lists all of them.
        """
        parser = _Parser()
        root = parser.parse(raw, ())
        if not isinstance(root, dict):
            parser.fault((), "allowed: a mapping with data, model and training")
            raise SpaceError(parser.faults)
        space = cls(root=root)
        if parser.faults:
            raise SpaceError(parser.faults, space)
        return space

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls.parse(value),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda space: space.to_raw()),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "object"}  # `sweeper.study.schema` puts the schema of a trial here

    def to_raw(self) -> dict[str, Any]:
        """The tree as plain data, in the form of a study file."""
        return {key: _to_raw(value) for key, value in self.root.items()}

    def draw(self, suggester: Suggester) -> Draw:
        """Draw one configuration."""
        drawing = _Drawing(suggester)
        tree = drawing.visit(self.root, (), (), "")
        return Draw(tree=tree, params=drawing.params, origins=drawing.origins)

    def corners(self, vary: Callable[[str], bool] = lambda name: True) -> Iterator[Draw]:
        """Every combination of the ends of all ranges and of all choices, for the parameters whose name `vary` admits.

        All other parameters stay at their first option.
        """
        return self._walk(lambda name, options: options if vary(name) else options[:1], ends_only=True)

    def grid(self) -> Iterator[Draw]:
        """Every point of a finite space, in the order of the tree."""
        assert self.n_grid_points is not None
        return self._walk(lambda name, options: options, ends_only=False)

    def _walk(self, admit: Callable[[str, Sequence[Any]], Sequence[Any]], *, ends_only: bool) -> Iterator[Draw]:
        odometer = _Odometer(admit, ends_only=ends_only)
        while True:
            odometer.position = 0
            yield self.draw(odometer)
            if not odometer.advance():
                return

    @cached_property
    def n_grid_points(self) -> int | None:
        """Number of points of a finite space; None where a float has no step."""
        return _count_points(self.root)

    @cached_property
    def distributions(self) -> dict[str, Distribution]:
        """Every distribution by the name of its parameter; items of a repeat by their index."""
        found: dict[str, Distribution] = {}
        _collect(self.root, "", found)
        return found

    def upper_bound(self, path: str) -> int | float | None:
        """The largest number that the leaf at a path such as `training.epochs` can have; None if not a number."""
        node: Node = self.root
        for key in path.split("."):
            if not isinstance(node, dict) or key not in node:
                return None
            node = node[key]
        return _largest(node)


def _largest(node: Node) -> int | float | None:
    if isinstance(node, FloatDistribution | IntDistribution):
        return node.high
    if isinstance(node, ChoiceDistribution):
        numbers = [n for n in map(_largest, node.options) if n is not None]
        return max(numbers) if len(numbers) == len(node.options) else None
    return node if isinstance(node, int | float) and not isinstance(node, bool) else None


def _join(name: str, key: str | int) -> str:
    return f"{name}.{key}" if name else str(key)


def _branch_name(name: str, choice: ChoiceDistribution, index: int) -> str:
    return f"{name}[{choice.labels[index]}]"


def _collect(node: Node, name: str, found: dict[str, Distribution]) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            _collect(value, _join(name, key), found)
    elif isinstance(node, list):
        for i, value in enumerate(node):
            _collect(value, _join(name, i), found)
    elif isinstance(node, ChoiceDistribution):
        found[name] = node
        for i, option in enumerate(node.options):
            _collect(option, _branch_name(name, node, i), found)
    elif isinstance(node, RepeatDistribution):
        if node.low < node.high:
            found[_join(name, "repeat")] = node
        for i in range(node.high):
            _collect(node.of, _join(name, i), found)
    elif isinstance(node, FloatDistribution | IntDistribution):
        found[name] = node


def _count_points(node: Node) -> int | None:
    """Number of points below a node: product over what is drawn together, sum over what is drawn instead."""
    if isinstance(node, dict | list):
        counts = [_count_points(child) for child in (node.values() if isinstance(node, dict) else node)]
        return None if None in counts else math.prod(c for c in counts if c is not None)
    if isinstance(node, ChoiceDistribution):
        counts = [_count_points(option) for option in node.options]
        return None if None in counts else sum(c for c in counts if c is not None)
    if isinstance(node, RepeatDistribution):
        one = _count_points(node.of)
        return None if one is None else sum(one**n for n in range(node.low, node.high + 1))
    if isinstance(node, FloatDistribution):
        if node.low == node.high:
            return 1
        return None if node.step is None else len(_float_steps(node.low, node.high, node.step))
    if isinstance(node, IntDistribution):
        return len(range(node.low, node.high + 1, node.step))
    return 1


def _float_steps(low: float, high: float, step: float) -> list[float]:
    # Tolerance: 0.0 to 0.3 by 0.1 has four points although 3 * 0.1 > 0.3 in binary.
    return [low + i * step for i in range(math.floor((high - low) / step + 1e-9) + 1)]


class _Drawing:
    """One walk over the tree with a suggester."""

    def __init__(self, suggester: Suggester) -> None:
        self.suggester = suggester
        self.params: dict[str, Scalar] = {}
        self.origins: dict[Path, Path] = {}

    def visit(self, node: Node, path: Path, origin: Path, name: str) -> Any:
        self.origins[path] = origin
        if isinstance(node, dict):
            return {k: self.visit(v, (*path, k), (*origin, k), _join(name, k)) for k, v in node.items()}
        if isinstance(node, list):
            return [self.visit(v, (*path, i), (*origin, i), _join(name, i)) for i, v in enumerate(node)]
        if isinstance(node, ChoiceDistribution):
            index = node.suggest(self.suggester, name)
            self.params[name] = node.labels[index]
            return self.visit(node.options[index], path, (*origin, "choice", index), _branch_name(name, node, index))
        if isinstance(node, RepeatDistribution):
            count = node.low
            if node.low < node.high:
                count_name = _join(name, "repeat")
                count = self.suggester.suggest_int(count_name, node.low, node.high)
                self.params[count_name] = count
            return [self.visit(node.of, (*path, i), (*origin, "of"), _join(name, i)) for i in range(count)]
        if isinstance(node, FloatDistribution | IntDistribution):
            value = node.suggest(self.suggester, name)
            self.params[name] = value
            return value
        return node


class RandomSuggester:
    """Independent random draws from a seed, for previews and tests."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if step is not None:
            return self._random.choice(_float_steps(low, high, step))
        if log:
            return min(max(math.exp(self._random.uniform(math.log(low), math.log(high))), low), high)
        return self._random.uniform(low, high)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        if log:
            exponent = self._random.uniform(math.log(low - 0.5), math.log(high + 0.5))
            return min(max(round(math.exp(exponent)), low), high)
        return self._random.choice(range(low, high + 1, step))

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        return self._random.choice(choices)


class _Odometer:
    """A suggester that counts through all combinations of the options it meets, the last one fastest."""

    def __init__(self, admit: Callable[[str, Sequence[Any]], Sequence[Any]], *, ends_only: bool) -> None:
        self.position = 0
        self._admit = admit
        self._ends_only = ends_only
        self._digits: list[list[int]] = []  # [index, count] of each decision taken so far

    def _next(self, name: str, options: Sequence[Any]) -> Any:
        admitted = self._admit(name, options)
        if self.position == len(self._digits):
            self._digits.append([0, len(admitted)])
        index = self._digits[self.position][0]
        self.position += 1
        return admitted[index]

    def advance(self) -> bool:
        """Go to the next combination; False after the last one."""
        while self._digits:
            self._digits[-1][0] += 1
            if self._digits[-1][0] < self._digits[-1][1]:
                return True
            self._digits.pop()
        return False

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if self._ends_only or step is None:
            return float(self._next(name, [low] if low == high else [low, high]))
        return float(self._next(name, _float_steps(low, high, step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        values = range(low, high + 1, step)
        return int(self._next(name, sorted({values[0], values[-1]}) if self._ends_only else values))

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        value: Scalar = self._next(name, choices)
        return value
