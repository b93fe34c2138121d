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

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from sweeper.study.distributions import (
    DISTRIBUTIONS,
    ChoiceDistribution,
    Distribution,
    FloatDistribution,
    IntDistribution,
    Node,
    RepeatDistribution,
    Scalar,
    Suggester,
    n_float_steps,
    to_raw,
)
from sweeper.study.parse import Path, SpaceParser
from sweeper.study.suggesters import EndsSuggester, Odometer, PointsSuggester, RandomSuggester
from sweeper.study.words import show

__all__ = [
    "DISTRIBUTIONS",
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


class SpaceError(ValueError):
    """Distributions that are not well formed: pairs of the path in the tree and what is wrong there."""

    def __init__(self, faults: Sequence[tuple[Path, str]], rest: Space | None = None) -> None:
        self.faults = tuple(faults)
        self.rest = rest
        """The space with null in the place of what is not well formed, so that the rest can be checked too."""
        super().__init__("; ".join(f"{'.'.join(map(str, path))}: {message}" for path, message in faults))


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
        parser = SpaceParser()
        root = parser.parse(raw, ())
        if not isinstance(root, dict):
            if not parser.faults:
                parser.fault((), f"given {show(raw)}; allowed: a mapping with data, model and training")
            raise SpaceError(parser.faults)
        space = cls(root=root)
        if parser.faults:
            raise SpaceError(parser.faults, space)
        return space

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls.parse(value),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda space: to_raw(space.root if isinstance(space, cls) else space)
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "object"}  # `sweeper.study.schema` puts the schema of a trial here

    def to_raw(self) -> dict[str, Any]:
        """The tree as plain data, in the form of a study file."""
        return {key: to_raw(value) for key, value in self.root.items()}

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

    def random_corners(self, vary: Callable[[str], bool], seed: int = 0) -> Iterator[Draw]:
        """Corners as of `corners`, drawn at random, without end."""
        rng = random.Random(seed)
        while True:
            yield self.draw(EndsSuggester(lambda name, options: rng.choice(options) if vary(name) else options[0]))

    def neighbours(self, corner: Draw) -> Iterator[tuple[str, Draw]]:
        """The corners that differ from one in a single parameter (and what hangs on it), with that parameter's name."""
        for name in corner.params:
            index, n_options = 0, 1
            while index < n_options:

                def choose(other: str, options: Sequence[Any], name: str = name, index: int = index) -> Any:
                    nonlocal n_options
                    if other == name:
                        n_options = len(options)
                        return options[index]
                    return corner.params.get(other, options[0])

                yield name, self.draw(EndsSuggester(choose))
                index += 1

    def grid(self) -> Iterator[Draw]:
        """Every point of a finite space, in the order of the tree."""
        assert self.n_grid_points is not None
        return self._walk(lambda name, options: options, ends_only=False)

    def _walk(self, admit: Callable[[str, Sequence[Any]], Sequence[Any]], *, ends_only: bool) -> Iterator[Draw]:
        odometer = Odometer(admit)
        suggester = EndsSuggester(odometer.choose) if ends_only else PointsSuggester(odometer.choose)
        while True:
            odometer.position = 0
            yield self.draw(suggester)
            if not odometer.advance():
                return

    @cached_property
    def n_grid_points(self) -> int | None:
        """Number of points of a finite space; None where a float has no step."""
        return _count_points(self.root)

    @cached_property
    def continuous(self) -> tuple[str, ...]:
        """Names of the parameters that make a space infinite."""
        return tuple(
            name
            for name, node in self.distributions.items()
            if _count_points(node) is None and isinstance(node, FloatDistribution)
        )

    @cached_property
    def distributions(self) -> dict[str, Distribution]:
        """Every distribution by the name of its parameter; items of a repeat by their index."""
        found: dict[str, Distribution] = {}
        _collect(self.root, "", found)
        return found

    def upper_bound(self, path: str) -> int | float | None:
        """The largest number that the leaf at a path such as `training.epochs` can have; None if not a number."""
        return _largest(self.root, path.split("."))


def _largest(node: Node, path: Sequence[str]) -> int | float | None:
    if isinstance(node, ChoiceDistribution):
        numbers = [n for n in (_largest(option, path) for option in node.options) if n is not None]
        return max(numbers, default=None)
    if path:
        return _largest(node[path[0]], path[1:]) if isinstance(node, dict) and path[0] in node else None
    if isinstance(node, FloatDistribution | IntDistribution):
        return node.high
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
        return None if node.step is None else n_float_steps(node.low, node.high, node.step)
    if isinstance(node, IntDistribution):
        return len(range(node.low, node.high + 1, node.step))
    return 1


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
