"""From the raw data of a study file to a tree of distributions, with every fault."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from sweeper.study.distributions import (
    DISTRIBUTIONS,
    ChoiceDistribution,
    FloatDistribution,
    IntDistribution,
    Node,
    RepeatDistribution,
)
from sweeper.study.words import nearest, show

__all__ = ["Path", "SpaceParser"]

MAX_STEPS = 1_000_000_000
Path: TypeAlias = tuple[str | int, ...]


class SpaceParser:
    """Turns raw data into nodes, collecting every fault."""

    def __init__(self) -> None:
        self.faults: list[tuple[Path, str]] = []

    def fault(self, path: Path, message: str) -> None:
        self.faults.append((path, message))

    def parse(self, raw: Any, path: Path) -> Node:
        if isinstance(raw, FloatDistribution | IntDistribution | ChoiceDistribution | RepeatDistribution):
            raw = raw.to_raw()  # one that was made in Python has not been looked at
        if isinstance(raw, Mapping):
            kinds = [key for key in DISTRIBUTIONS if key in raw]
            if kinds:
                return self.parse_distribution(raw, path, kinds)
            if "of" in raw:
                self.fault(path, "`repeat` is missing; allowed: {repeat: <count>, of: <what is repeated>}")
                return None
            return {str(key): self.parse(value, (*path, str(key))) for key, value in raw.items()}
        if isinstance(raw, list | tuple):
            return [self.parse(value, (*path, i)) for i, value in enumerate(raw)]
        if isinstance(raw, float) and not math.isfinite(raw):
            self.fault(path, f"given {show(raw)}; allowed: a finite number")
            return None
        if raw is None or isinstance(raw, bool | int | float | str):
            return raw
        self.fault(
            path,
            f"given {show(raw)}; allowed: a plain int, float, str, bool or None, a list, a dict, or a distribution",
        )
        return None

    def parse_distribution(self, raw: Mapping[str, Any], path: Path, kinds: list[str]) -> Node:
        if len(kinds) > 1:
            self.fault(path, f"given {' and '.join(kinds)} in one place; allowed: one distribution")
            return None
        kind = kinds[0]
        for key in raw:
            if key not in DISTRIBUTIONS[kind]:
                allowed = ", ".join(sorted(DISTRIBUTIONS[kind] - {kind})) or "nothing"
                hint = nearest(str(key), DISTRIBUTIONS[kind]) or ";"
                self.fault((*path, key), f"unknown field of a distribution{hint} allowed beside {kind}: {allowed}")
        if kind == "choice":
            return self.parse_choice(raw, path)
        if kind == "repeat":
            return self.parse_repeat(raw, path)
        return self.parse_range(raw, path, kind)

    def parse_choice(self, raw: Mapping[str, Any], path: Path) -> Node:
        options = raw["choice"]
        if not isinstance(options, list | tuple) or not options:
            self.fault((*path, "choice"), f"given {show(options)}; allowed: a list with at least one option")
            return None
        for i, option in enumerate(options):
            first = next((j for j in range(i) if options[j] == option), i)
            if first < i:
                same = "twice" if show(options[first]) == show(option) else f"beside {show(options[first])}, its equal"
                self.fault((*path, "choice", i), f"given {show(option)} {same}; allowed: options that differ")
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
                (*path, "repeat"), f"given {show(count)}; allowed: a count, or {{min: m, max: n}} with m <= n <= 1000"
            )
            return None
        if "of" not in raw:
            self.fault(path, "`of` is missing; allowed: {repeat: <count>, of: <what is repeated>}")
            return None
        return RepeatDistribution(low=low, high=high, of=self.parse(raw["of"], (*path, "of")))

    def parse_range(self, raw: Mapping[str, Any], path: Path, kind: str) -> Node:
        bounds, log, step = raw[kind], raw.get("log", False), raw.get("step")
        is_number = _is_int if kind == "int" else _is_number
        what = "integers" if kind == "int" else "numbers"
        if not (isinstance(bounds, list | tuple) and len(bounds) == 2 and all(is_number(b) for b in bounds)):
            self.fault((*path, kind), f"given {show(bounds)}; allowed: [low, high], two {what}")
            return None
        low, high = bounds
        before = len(self.faults)
        if low > high:
            self.fault((*path, kind), f"given low {low} above high {high}; allowed: [low, high] with low <= high")
        if not isinstance(log, bool):
            self.fault((*path, "log"), f"given {show(log)}; allowed: true or false")
        elif log and low <= 0:
            self.fault((*path, kind), f"given low {low} with log: true; allowed: low above 0")
        if step is not None and not (is_number(step) and step > 0):
            allowed = "an integer above 0" if kind == "int" else "a number above 0"
            self.fault((*path, "step"), f"given {show(step)}; allowed: {allowed}")
        elif kind == "float" and step is not None and (high - low) / step > MAX_STEPS:
            self.fault((*path, "step"), f"given {show(step)} from {low} to {high}; allowed: at most {MAX_STEPS} steps")
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
