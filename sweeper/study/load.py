"""Reading study files: every fault at once, each with its file, line and field.

A study is checked before anything trains: its own fields, its distributions, and every corner of its space (all ends of
ranges and all choices) as a `TrialConfig`. Data and model are crossed with each other in full, and training with
itself; only fields within these two groups constrain each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from sweeper.errors import Fault, StudyFileError
from sweeper.study.config import TrialConfig
from sweeper.study.faults import describe_errors
from sweeper.study.space import Draw, Path, Space, SpaceError
from sweeper.study.study import Study
from sweeper.study.yaml import parse_scalar, parse_yaml

__all__ = ["Check", "CheckedStudy", "check_space", "load_study", "parse_study"]

MAX_CORNERS = 20_000
"""Corners checked in each group; a space with more is checked in part, and said to be."""

Check = Callable[[TrialConfig], Iterable[tuple[Path, str]]]
"""A check of a configuration that needs more than the configuration itself: yields places and what is wrong there."""

_GROUPS: tuple[tuple[str, ...], ...] = (("data", "model"), ("training", "seed"))


@dataclass(frozen=True, kw_only=True)
class CheckedStudy:
    """A study that has been checked, and how thoroughly."""

    study: Study
    n_corners: int
    """Corners of the space that were checked."""
    complete: bool
    """Whether these are all."""


def load_study(path: FilePath, *, overrides: Sequence[str] = (), checks: Sequence[Check] = ()) -> CheckedStudy:
    """Read and check a study file.

    Args:
        path: The file.
        overrides: `field=value` assignments as of `--set`, such as `trial.training.epochs=3`.
        checks: Further checks, made at every corner of the space.

    Raises:
        StudyFileError: With every fault found.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a UTF-8 text file"
        raise StudyFileError(
            [Fault(source=str(path), line=None, field="", message=f"cannot be read: {reason}")]
        ) from error
    return parse_study(text, source=str(path), overrides=overrides, checks=checks)


def parse_study(text: str, *, source: str, overrides: Sequence[str] = (), checks: Sequence[Check] = ()) -> CheckedStudy:
    """Read and check the text of a study file; see `load_study`."""
    raw, lines = parse_yaml(text, source)
    book = _FaultBook(source, lines)
    if not isinstance(raw, dict):
        book.add((), f"given {type(raw).__name__}; allowed: a mapping with name and trial")
        book.raise_if_any()
    for override in overrides:
        _apply_override(raw, override, book)
    book.raise_if_any()

    space: Space | None = None
    broken: list[Path] = []
    if "trial" in raw:
        try:
            space = Space.parse(raw["trial"])
        except SpaceError as error:
            space = error.rest
            broken = [path for path, _ in error.faults]
            for path, message in error.faults:
                book.add(("trial", *path), message)
    study: Study | None = None
    fields = {**raw, "trial": space or Space(root={})} if "trial" in raw else raw
    try:
        study = Study.model_validate(fields)
    except ValidationError as error:
        for path, message in describe_errors(Study, raw, error.errors()):
            book.add(path, message)
    n_corners, complete = 0, True
    if space is not None:
        n_corners, complete, faults = check_space(space, checks)
        for path, message in faults:
            if not any(place[: len(path)] == path for place in broken):
                book.add(("trial", *path), message)
    book.raise_if_any()
    assert study is not None
    return CheckedStudy(study=study, n_corners=n_corners, complete=complete)


def check_space(space: Space, checks: Sequence[Check] = ()) -> tuple[int, bool, list[tuple[Path, str]]]:
    """Validate every corner of a space.

    Returns:
        The number of corners checked, whether these are all, and the faults: the place in the raw tree and what is
        wrong there.
    """
    faults: dict[tuple[Path, str], str] = {}
    n_corners, complete = 0, True
    for group in _GROUPS:
        corners = space.corners(lambda name, group=group: name.split(".")[0].split("[")[0] in group)  # type: ignore[misc]
        for n, draw in enumerate(itertools.islice(corners, MAX_CORNERS + 1)):
            if n == MAX_CORNERS:
                complete = False
                break
            n_corners += 1
            for path, kind, message in _check_draw(draw, checks):
                faults.setdefault((path, kind), message)
    return n_corners, complete, [(path, message) for (path, _), message in faults.items()]


def _check_draw(draw: Draw, checks: Sequence[Check]) -> Iterable[tuple[Path, str, str]]:
    """Place in the raw tree, kind of fault, message."""
    try:
        config = TrialConfig.model_validate(draw.tree)
    except ValidationError as error:
        for path, message in describe_errors(TrialConfig, draw.tree, error.errors()):
            yield _origin(draw, path), message.partition("; allowed")[2] or message, message
        return
    for check in checks:
        for path, message in check(config):
            relevant = {name: value for name, value in draw.params.items() if name.startswith(f"{path[0]}.")}
            example = ", ".join(f"{name} = {value}" for name, value in relevant.items())
            yield _origin(draw, path), check.__qualname__, f"{message} (with {example})" if example else message


def _origin(draw: Draw, path: Path) -> Path:
    """The place in the raw tree that a place in the drawn tree came from; of a missing field, where it should be."""
    for n in range(len(path), -1, -1):
        if path[:n] in draw.origins:
            return (*draw.origins[path[:n]], *path[n:])
    return path


class _FaultBook:
    """Collects faults and knows the line of every place."""

    def __init__(self, source: str, lines: dict[Path, int]) -> None:
        self._source = source
        self._lines = lines
        self._overridden: dict[Path, str] = {}
        self._faults: list[Fault] = []

    def override(self, path: Path, option: str) -> None:
        self._overridden[path] = option

    def add(self, path: Path, message: str) -> None:
        source, line = self._place(path)
        fault = Fault(source=source, line=line, field=".".join(map(str, path)), message=message)
        if fault not in self._faults:
            self._faults.append(fault)

    def add_override(self, option: str, field: str, message: str) -> None:
        self._faults.append(Fault(source=option, line=None, field=field, message=message))

    def _place(self, path: Path) -> tuple[str, int | None]:
        for n in range(len(path), -1, -1):
            if path[:n] in self._overridden:
                return self._overridden[path[:n]], None
            if path[:n] in self._lines:
                return self._source, self._lines[path[:n]]
        return self._source, None

    def raise_if_any(self) -> None:
        if self._faults:
            raise StudyFileError(sorted(self._faults, key=lambda f: (f.line is None, f.line or 0)))


def _apply_override(raw: dict[str, Any], override: str, book: _FaultBook) -> None:
    """Put `field=value` into the tree. Indices of lists are numbers: `trial.model.blocks.0.channels=8`."""
    field, separator, text = override.partition("=")
    field, option = field.strip(), f"--set {override}"
    if not separator or not field:
        book.add_override(option, field, "allowed: field=value, such as trial.training.epochs=3")
        return
    *parents, last = field.split(".")
    node: Any = raw
    path: list[str | int] = []
    for key in parents:
        if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            path.append(int(key))
            node = node[int(key)]
        elif isinstance(node, dict) and not (node.keys() & {"choice", "repeat"} and key not in node):
            if isinstance(node.get(key), str):  # a bare name such as `optimizer: adam` gets parameters
                node[key] = {"name": node[key]}
            path.append(key)
            node = node.setdefault(key, {})
        else:
            book.add_override(option, field, _no_such_key(node, (*path,), key))
            return
    value = parse_scalar(text)
    if isinstance(node, list) and last.isdecimal() and int(last) < len(node):
        node[int(last)] = value
        book.override((*path, int(last)), option)
    elif isinstance(node, dict) and not (node.keys() & {"choice", "repeat"} and last not in node):
        node[last] = value
        book.override((*path, last), option)
    else:
        book.add_override(option, field, _no_such_key(node, (*path,), last))


def _no_such_key(node: Any, path: Path, key: str) -> str:
    allowed = "nothing"
    if isinstance(node, dict):
        allowed = ", ".join(node)
    elif isinstance(node, list):
        allowed = f"0 to {len(node) - 1}"
    return f"{'.'.join(map(str, path))} has no {key!r}; allowed there: {allowed}"
