"""Reading a W&B sweep file: what it says, the line of everything, every fault of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeper.errors import Fault, StudyFileError
from sweeper.study.parse import Path
from sweeper.study.words import nearest, show
from sweeper.study.yaml import parse_yaml

__all__ = ["Parameter", "SweepFile", "is_integer", "is_number", "parse_sweep_file"]

_NAME = r"[A-Za-z_][A-Za-z0-9_.-]*"
_RANGE = ("min", "max")
_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "constant": (("value",), ()),
    "categorical": (("values",), ()),
    "categorical_w_probabilities": (("values", "probabilities"), ()),
    "int_uniform": (_RANGE, ()),
    "uniform": (_RANGE, ()),
    "q_uniform": (_RANGE, ("q",)),
    "log_uniform": (_RANGE, ()),
    "log_uniform_values": (_RANGE, ()),
    "q_log_uniform": (_RANGE, ("q",)),
    "q_log_uniform_values": (_RANGE, ("q",)),
    "inv_log_uniform": (_RANGE, ()),
    "inv_log_uniform_values": (_RANGE, ()),
    "normal": ((), ("mu", "sigma")),
    "q_normal": ((), ("mu", "sigma", "q")),
    "log_normal": ((), ("mu", "sigma")),
    "q_log_normal": ((), ("mu", "sigma", "q")),
    "beta": ((), ("a", "b")),
    "q_beta": ((), ("a", "b", "q")),
}
"""The keys of each distribution beside its name: those it must have, those it may have."""
_METHODS = ("grid", "random", "bayes", "custom")
_GOALS = ("minimize", "maximize")
_METRIC = ("name", "goal", "target", "impute", "impute_while_running")
_EARLY_TERMINATE = ("type", "min_iter", "max_iter", "s", "eta", "strict")
_TEXTS = ("name", "description", "program", "project", "entity", "job", "image_uri", "apiVersion", "kind")
_TOP = ("method", "metric", "metrics", "parameters", "early_terminate", "run_cap", "command", "controller", "scheduler")


def is_number(value: Any) -> bool:
    """A finite number, no boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def is_integer(value: Any) -> bool:
    """An integer, no boolean."""
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of a sweep, with its distribution."""

    name: str
    """Nested ones joined by dots, as in W&B's tables: `optimizer.lr`."""
    field: str
    """Its place in the file: `parameters.optimizer.parameters.lr`."""
    line: int
    distribution: str
    """As given, or as W&B infers it from the keys and their types."""
    spec: Mapping[str, Any]
    """The keys beside `distribution`."""


@dataclass(frozen=True, kw_only=True)
class SweepFile:
    """What a W&B sweep file says."""

    source: str
    raw: Mapping[str, Any]
    """Its top level, checked."""
    parameters: tuple[Parameter, ...]
    lines: Mapping[Path, int]

    def line(self, *path: str) -> int:
        """The line of a place that is there."""
        return self.lines[path]


def parse_sweep_file(text: str, *, source: str) -> SweepFile:
    """Read the text of a sweep file.

    Raises:
        StudyFileError: With every fault: what is no YAML, or not what W&B's schema allows.
    """
    document = parse_yaml(text, source)
    reader = _Reader(source, document.lines)
    for path, line, message in document.faults:
        reader.faults.append(Fault(source=source, line=line, path=path, message=message))
    raw = document.data
    if not isinstance(raw, dict):
        reader.fault((), f"given {show(raw)}; allowed: a mapping with method and parameters")
        raw = {}
    else:
        reader.read_top(raw)
    if reader.faults:
        raise StudyFileError(sorted(reader.faults, key=lambda fault: fault.line or 0))
    return SweepFile(source=source, raw=raw, parameters=tuple(reader.parameters), lines=document.lines)


class _Reader:
    def __init__(self, source: str, lines: Mapping[Path, int]) -> None:
        self.faults: list[Fault] = []
        self.parameters: list[Parameter] = []
        self._source = source
        self._lines = lines

    def _line(self, path: Path) -> int:
        return next((self._lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self._lines), 1)

    def fault(self, path: Path, message: str) -> None:
        self.faults.append(Fault(source=self._source, line=self._line(path), path=path, message=message))

    def _known(self, path: Path, raw: Mapping[str, Any], known: Sequence[str], *, among: str = "allowed") -> None:
        for key in raw:
            if key not in known:
                hint = nearest(key, known) or ";"
                self.fault((*path, key), f"unknown key{hint} {among}: {', '.join(known) or 'nothing'}")

    def _check(self, path: Path, raw: Mapping[str, Any], key: str, fits: Callable[[Any], bool], allowed: str) -> None:
        if key in raw and not fits(raw[key]):
            self.fault((*path, key), f"given {show(raw[key])}; allowed: {allowed}")

    def read_top(self, raw: Mapping[str, Any]) -> None:
        self._known((), raw, (*_TOP, *_TEXTS))
        for key in _TEXTS:
            self._check((), raw, key, lambda value: isinstance(value, str), "a string")
        if "method" not in raw:
            self.fault((), f"`method` is missing; allowed: {', '.join(_METHODS)}")
        self._check((), raw, "method", lambda value: value in _METHODS, ", ".join(_METHODS))
        self._check((), raw, "run_cap", lambda value: is_integer(value) and value > 0, "an integer above 0")
        self._check((), raw, "command", lambda value: isinstance(value, list), "a list")
        for key, read in (("metric", self._read_metric), ("early_terminate", self._read_early_terminate)):
            self._check((), raw, key, lambda value: isinstance(value, dict), "a mapping")
            if isinstance(raw.get(key), dict):
                read(raw[key])
        if "parameters" not in raw and raw.get("method") != "custom":
            self.fault((), "`parameters` is missing; allowed: a mapping of names to distributions")
        elif "parameters" in raw:
            self._read_parameters(raw["parameters"], ("parameters",), "")

    def _read_metric(self, raw: Mapping[str, Any]) -> None:
        place = ("metric",)
        self._known(place, raw, _METRIC)
        if "name" not in raw:
            self.fault(place, "`name` is missing")
        self._check(place, raw, "name", lambda value: isinstance(value, str), "a string")
        self._check(place, raw, "goal", lambda value: value in _GOALS, ", ".join(_GOALS))
        self._check(place, raw, "target", is_number, "a number")

    def _read_early_terminate(self, raw: Mapping[str, Any]) -> None:
        place = ("early_terminate",)
        self._known(place, raw, _EARLY_TERMINATE)
        if "type" not in raw:
            self.fault(place, "`type` is missing; allowed: hyperband")
        self._check(place, raw, "type", lambda value: value == "hyperband", "hyperband")
        for key in ("min_iter", "max_iter"):
            self._check(place, raw, key, lambda value: is_integer(value) and value > 0, "an integer above 0")
        self._check(place, raw, "s", lambda value: is_integer(value) and value > 0, "an integer above 0")
        self._check(place, raw, "eta", lambda value: is_number(value) and value > 1, "a number above 1")
        self._check(place, raw, "strict", lambda value: isinstance(value, bool), "true or false")
        if ("max_iter" in raw and "s" not in raw) or not {"min_iter", "max_iter"} & raw.keys():
            self.fault(place, "its brackets are not known; allowed: min_iter, or max_iter and s")

    def _read_parameters(self, raw: Any, place: tuple[str, ...], before: str) -> None:
        if not isinstance(raw, dict) or not raw:
            self.fault(place, f"given {show(raw)}; allowed: a mapping of names to distributions")
            return
        for name, spec in raw.items():
            here = (*place, name)
            if not re.fullmatch(_NAME, name):
                self.fault(here, "allowed as a name: letters, digits, `_`, `.` and `-`, the first a letter or `_`")
            elif not isinstance(spec, dict):
                self.fault(here, f"given {show(spec)}; allowed: a mapping such as {{value: {show(spec)}}}")
            elif "parameters" in spec:
                self._known(here, spec, ("parameters",), among="allowed beside nested parameters")
                self._read_parameters(spec["parameters"], (*here, "parameters"), f"{before}{name}.")
            else:
                self._read_parameter(spec, here, f"{before}{name}")

    def _read_parameter(self, spec: Mapping[str, Any], place: tuple[str, ...], name: str) -> None:
        kind = spec.get("distribution", _inferred(spec))
        if kind is None:
            allowed = "value, values, min and max, or a distribution with its keys"
            self.fault(place, f"given {show(spec)}, from which W&B infers no distribution; allowed: {allowed}")
            return
        if not isinstance(kind, str) or kind not in _KEYS:
            hint = nearest(str(kind), _KEYS) or ";"
            self.fault((*place, "distribution"), f"given {show(kind)}{hint} allowed: {', '.join(_KEYS)}")
            return
        required, optional = _KEYS[kind]
        rest = {key: value for key, value in spec.items() if key != "distribution"}
        n_before = len(self.faults)
        self._known(place, rest, (*required, *optional), among=f"allowed with {kind}")
        for key in required:
            if key not in rest:
                self.fault(place, f"`{key}` is missing, which {kind} needs")
        self._check_values(rest, place, kind)
        if len(self.faults) == n_before:
            line = self._line(place)
            field = ".".join(place)
            self.parameters.append(Parameter(name=name, field=field, line=line, distribution=kind, spec=rest))

    def _check_values(self, rest: Mapping[str, Any], place: tuple[str, ...], kind: str) -> None:
        self._check(place, rest, "values", lambda value: isinstance(value, list) and bool(value), "a list of values")
        what, fits = ("an integer", is_integer) if kind == "int_uniform" else ("a number", is_number)
        for key in _RANGE:
            self._check(place, rest, key, fits, what)
        for key in ("mu", "sigma", "a", "b"):
            self._check(place, rest, key, is_number, "a number")
        self._check(place, rest, "q", lambda value: is_number(value) and value > 0, "a number above 0")
        low, high = rest.get("min"), rest.get("max")
        if is_number(low) and is_number(high):
            assert low is not None
            assert high is not None
            if low >= high:
                self.fault((*place, "min"), f"given {low}; allowed: below max, which is {high}")
            elif kind.endswith("_values") and low <= 0:
                self.fault((*place, "min"), f"given {low}; allowed with {kind}: above 0")
        values, shares = rest.get("values"), rest.get("probabilities")
        if shares is not None and isinstance(values, list):
            fit = isinstance(shares, list) and len(shares) == len(values)
            if not fit or not all(is_number(share) and share >= 0 for share in shares) or not sum(shares):
                allowed = f"{len(values)} numbers of at least 0, one for each value"
                self.fault((*place, "probabilities"), f"given {show(shares)}; allowed: {allowed}")


def _inferred(spec: Mapping[str, Any]) -> str | None:
    """The distribution that W&B takes where none is given."""
    if "value" in spec:
        return "constant"
    if "values" in spec:
        return "categorical_w_probabilities" if "probabilities" in spec else "categorical"
    if "min" in spec and "max" in spec and not {"q", "mu", "sigma", "a", "b"} & spec.keys():
        return "int_uniform" if is_integer(spec["min"]) and is_integer(spec["max"]) else "uniform"
    return None
