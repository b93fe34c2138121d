"""Checking studies, read from files or made in Python: every fault at once, each with its field, file and line.

A study is checked before anything trains: its own fields, its distributions, and every corner of its space (all ends of
ranges and all choices) as a `TrialConfig`. Data and model are crossed with each other in full, and training with
itself; only fields within these two groups constrain each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from sweeper.errors import Fault, PluginError, StudyError, StudyFileError
from sweeper.study.config import LoopTrialConfig, TrialConfig, trial_config
from sweeper.study.fault_book import FaultBook
from sweeper.study.faults import describe_errors
from sweeper.study.overrides import OverrideError, apply_override
from sweeper.study.plugins.sources import load_plugin, resolve_plugin
from sweeper.study.space import Draw, Path, Space, SpaceError
from sweeper.study.study import Study
from sweeper.study.words import show
from sweeper.study.yaml import parse_yaml

__all__ = ["Check", "CheckedStudy", "StudyCheck", "check_raw", "check_space", "load_study", "parse_study"]

MAX_CORNERS = 10_000
"""Corners checked in each group. Of a space with more, so many again are drawn at random, so that each end of
each range is met; the result says that not all were checked."""
MAX_EXAMPLE = 6
"""Values named in the message about a corner."""

Check = Callable[[TrialConfig], Iterable[tuple[Path, str]]]
"""A check of a configuration that needs more than the configuration itself: yields places and what is wrong there."""
StudyCheck = Callable[[Study], Iterable[tuple[Path, str]]]
"""The same of a study whose space has no fault."""

_ALONE = "alone: "
"""Begins the kind of a fault that lies in one value, whatever the others are."""
_GROUPS: tuple[tuple[str, ...], ...] = (("data", "model"), ("training", "seed", "loop"))


@dataclass(frozen=True, kw_only=True)
class CheckedStudy:
    """A study that has been checked, and how thoroughly."""

    study: Study
    n_corners: int
    """Corners of the space that were checked."""
    complete: bool
    """Whether these are all."""


def load_study(
    path: FilePath,
    *,
    overrides: Sequence[str] = (),
    checks: Sequence[Check] = (),
    study_checks: Sequence[StudyCheck] = (),
) -> CheckedStudy:
    """Read and check a study file.

    Args:
        path: The file.
        overrides: `field=value` assignments as of `--set`, such as `trial.training.epochs=3`.
        checks: Further checks, made at every corner of the space.
        study_checks: Further checks of the study, made once.

    Raises:
        StudyFileError: With every fault found.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a UTF-8 text file"
        raise StudyFileError([Fault(source=str(path), message=f"cannot be read: {reason}")]) from error
    return parse_study(
        text, source=str(path), folder=path.parent, overrides=overrides, checks=checks, study_checks=study_checks
    )


def parse_study(
    text: str,
    *,
    source: str,
    folder: FilePath | None = None,
    overrides: Sequence[str] = (),
    checks: Sequence[Check] = (),
    study_checks: Sequence[StudyCheck] = (),
) -> CheckedStudy:
    """Read and check the text of a study file; see `load_study`. Its plugins are looked for in `folder`, default: the
    working directory."""
    document = parse_yaml(text, source)
    book = FaultBook(source, document.lines)
    for path, line, message in document.faults:
        book.add(path, message, line=line)
    if not isinstance(document.data, dict):
        book.add((), f"given {show(document.data)}; allowed: a mapping with name and trial")
        book.raise_if_any()
    return _check(document.data, book, folder, overrides, checks, study_checks)


def check_raw(
    raw: dict[str, Any],
    *,
    source: str,
    overrides: Sequence[str] = (),
    checks: Sequence[Check] = (),
    study_checks: Sequence[StudyCheck] = (),
) -> CheckedStudy:
    """Check a study that is in no file, as plain data in the form of one; see `load_study`.

    Raises:
        StudyError: With every fault found.
    """
    return _check(raw, FaultBook(source, None), None, overrides, checks, study_checks)


def _check(
    raw: dict[str, Any],
    book: FaultBook,
    folder: FilePath | None,
    overrides: Sequence[str],
    checks: Sequence[Check],
    study_checks: Sequence[StudyCheck],
) -> CheckedStudy:
    """Check a study, after its overrides and with the faults that the book has already."""
    for override in overrides:
        try:
            for path in apply_override(raw, override):
                book.override(path, f"--set {override}")
        except OverrideError as error:
            book.add_override(f"--set {override}", error.field, str(error))

    if isinstance(raw.get("plugins"), list):
        raw["plugins"] = list(_load_plugins(raw["plugins"], folder or FilePath.cwd(), book))
        book.raise_if_any()  # without what a plugin registers, all that names it would be a fault too
    space: Space | None = None
    if "trial" in raw:
        try:
            space = Space.parse(raw["trial"])
        except SpaceError as error:
            space = error.rest
            for path, message in error.faults:
                book.add(("trial", *path), message)
    broken = book.places
    study: Study | None = None
    fields = {**raw, "trial": space or Space(root={})} if "trial" in raw else raw
    try:
        study = Study.model_validate(fields)
    except StudyError as error:
        for fault in error.faults:
            book.add_unless(broken, fault.path, fault.message)
    n_corners, complete = 0, True
    if space is not None:
        n_corners, complete, faults = check_space(space, checks)
        for path, message in faults:
            book.add_unless(broken, ("trial", *path), message)
        if study is not None and not faults and not broken:
            for path, message in (fault for check in study_checks for fault in check(study)):
                book.add(path, message)
    book.raise_if_any()
    assert study is not None
    return CheckedStudy(study=study, n_corners=n_corners, complete=complete)


def _load_plugins(plugins: Sequence[object], folder: FilePath, book: FaultBook) -> Iterator[str]:
    """Import the plugins of a study, and yield their names as any process finds them."""
    for i, plugin in enumerate(plugins):
        if not isinstance(plugin, str):
            book.add(("plugins", i), f"given {show(plugin)}; allowed: a module, or a file that ends in .py")
            continue
        try:
            resolved = resolve_plugin(plugin, folder)
            load_plugin(resolved)
        except PluginError as error:
            book.add(("plugins", i), str(error))
        else:
            yield resolved


def check_space(space: Space, checks: Sequence[Check] = ()) -> tuple[int, bool, list[tuple[Path, str]]]:
    """Validate every corner of a space.

    Returns:
        The number of corners checked, whether these are all, and the faults: the place in the raw tree and what is
        wrong there.
    """
    n_corners, complete = 0, True
    faults: dict[tuple[Path, str], str] = {}
    for group in _GROUPS:

        def in_group(name: str, group: tuple[str, ...] = group) -> bool:
            return name.split(".")[0].split("[")[0] in group

        corners = space.corners(in_group)
        found: dict[tuple[Path, str], tuple[str, Draw]] = {}
        n_before, n_faulty = n_corners, 0
        for draw in chain(islice(corners, MAX_CORNERS), _rest(space, corners, in_group)):
            n_corners += 1
            wrong = list(_check_draw(draw, checks))
            n_faulty += bool(wrong)
            for path, kind, message in wrong:
                found.setdefault((path, kind), (message, draw))
        complete = complete and n_corners - n_before <= MAX_CORNERS
        for (path, kind), (message, draw) in found.items():
            always = n_faulty == n_corners - n_before
            together = not kind.startswith(_ALONE)
            example = _example(space, draw, (path, kind), checks, in_group, always=always) if together else ""
            # Seen from its own group, a fault comes with the values that would mend it.
            if (path, kind) not in faults or (path and path[0] in group):
                faults[path, kind] = message + example
    return n_corners, complete, [(path, message) for (path, _), message in faults.items()]


def _rest(space: Space, corners: Iterator[Draw], in_group: Callable[[str], bool]) -> Iterator[Draw]:
    """Some of the corners of a group, where the first ones were not all."""
    if next(corners, None) is not None:
        yield from islice(space.random_corners(in_group), MAX_CORNERS)


def _check_draw(draw: Draw, checks: Sequence[Check]) -> Iterable[tuple[Path, str, str]]:
    """Place in the raw tree, kind of fault, message."""
    model = trial_config(draw.tree)
    try:
        config = model.model_validate(draw.tree)
    except ValidationError as error:
        errors = error.errors()
        together = [error for error in errors if error["type"] == "value_error"]
        alone = [error for error in errors if error["type"] != "value_error"]
        for path, message in describe_errors(model, draw.tree, alone):
            yield _origin(draw, path), _ALONE + message.partition("; allowed")[2], message
        for path, message in describe_errors(model, draw.tree, together):
            yield _origin(draw, path), "together", message
        return
    if isinstance(config, LoopTrialConfig):
        return
    for check in checks:
        for path, message in check(config):
            yield _origin(draw, path), check.__qualname__, message


def _example(
    space: Space,
    draw: Draw,
    fault: tuple[Path, str],
    checks: Sequence[Check],
    in_group: Callable[[str], bool],
    *,
    always: bool,
) -> str:
    """The values at which a corner has a fault that other values would mend."""
    mending: dict[str, bool] = {}
    for name, corner in space.neighbours(draw):
        if in_group(name) and not mending.get(name):
            mending[name] = fault not in {(path, kind) for path, kind, _ in _check_draw(corner, checks)}
    if always and not any(mending.values()):
        return ""
    # Where no single value mends it, several together are to blame: any may be one of them.
    names = [name for name in mending if mending[name]] or list(mending)
    values = [f"{name} = {show(draw.params[name])}" for name in names[:MAX_EXAMPLE]]
    more = ", ..." if len(names) > MAX_EXAMPLE else ""
    return f" (with {', '.join(values)}{more})" if values else ""


def _origin(draw: Draw, path: Path) -> Path:
    """The place in the raw tree that a place in the drawn tree came from; of a missing field, where it should be."""
    for n in range(len(path), -1, -1):
        if path[:n] in draw.origins:
            return (*draw.origins[path[:n]], *path[n:])
    return path
