"""Sections of other packages, found by the entry points that these declare, and those under `sweeper.report_section`.

An entry point of the group `sweeper.report_sections` names a section by its key, and a function from a `StudyData` to
blocks. Nothing of a package is imported unless its section is shown. One that fails costs its section alone: the report
says which section failed, of which package, and goes on.
"""

from __future__ import annotations

import itertools
import re
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, get_args

from sweeper.errors import PluginError, SectionError
from sweeper.report.blocks import Block, Figure, Picture, Row, Section, Table
from sweeper.report.format import hide_paths
from sweeper.report.study_data import StudyData
from sweeper.study.config import registry

__all__ = ["GROUP", "find_plugin_sections"]

GROUP = "sweeper.report_sections"
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_BLOCKS: tuple[type, ...] = get_args(Block)


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.module


def find_plugin_sections(taken: Sequence[str]) -> tuple[Section, ...]:
    """The sections that installed packages declare, by their keys; one whose key cannot be used fails when it is built.

    Args:
        taken: Keys that sections have already.
    """
    entries = sorted(entry_points(group=GROUP), key=lambda e: (e.name, _package(e), e.value))
    sections: list[Section] = []
    for entry in {(e.name, _package(e), e.value): e for e in entries}.values():
        keys = [*taken, *(section.key for section in sections)]
        fault = ""
        key = entry.name
        if not _KEY.fullmatch(key):
            fault = "a key has letters, digits, '-' and '_' only"
            key = re.sub(r"[^A-Za-z0-9]+", "-", key).strip("-") or "section"
        if key in keys:
            fault = fault or f"another section has the key {key!r}; rename the entry point"
            key = next(f"{key}-{n}" for n in itertools.count(2) if f"{key}-{n}" not in keys)
        sections.append(Section(key=key, title=_title(entry.name), build=partial(_build, entry, fault)))
    entry_names = {entry.name for entry in entries}
    for registered in registry.all("report_section"):
        if registered.name in entry_names:  # the same, which the report has loaded before
            continue
        keys = [*taken, *(section.key for section in sections)]
        if registered.name in keys:
            raise PluginError(f"report section {registered.name!r}: another section has this key; give it another")
        title = registered.facts.get("title") or _title(registered.name)
        build = partial(_call, registered.function, f"section {registered.name!r} of {registered.source}")
        sections.append(Section(key=registered.name, title=title, build=build))
    return tuple(sections)


def _title(name: str) -> str:
    words = name.replace("-", " ").replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _build(entry: EntryPoint, fault: str, data: StudyData) -> Sequence[Block]:
    """Import a section's function and call it.

    Raises:
        SectionError: It cannot be imported, raises, or returns what is no list of blocks.
    """
    where = f"section {entry.name!r} of {_package(entry)}"
    if fault:
        raise SectionError(f"{where}: {fault}")
    try:
        function: Callable[[StudyData], Any] = entry.load()
    except Exception as error:
        raise SectionError(f"{where}: {entry.value} cannot be loaded: {_words(error)}") from error
    if not callable(function):
        raise SectionError(f"{where}: {entry.value} is no function but {type(function).__name__}")
    return _call(function, where, data)


def _call(function: Callable[[StudyData], Any], where: str, data: StudyData) -> Sequence[Block]:
    try:
        blocks: Sequence[Block] = function(data)
        _check(blocks)
    except Exception as error:
        raise SectionError(f"{where}: {_words(error)}") from error
    return blocks


def _words(error: Exception) -> str:
    """The error, and the line that raised it, for who wrote the section."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split())
    return hide_paths(f"{type(error).__name__}: {text}{place}" if text else f"{type(error).__name__}{place}")


def _check(blocks: Any) -> None:
    """Whether the report can show what a function returned.

    Raises:
        TypeError: It is no list of blocks.
        ValueError: A block has a key that cannot be part of an id, or that another one has.
        KeyError: A table has a column that its frame has not.
    """
    if isinstance(blocks, str) or not isinstance(blocks, Sequence):
        raise TypeError(f"a section returns a list of blocks, not {type(blocks).__name__}")
    keys: set[str] = set()
    for block in blocks:
        if not isinstance(block, _BLOCKS):
            names = ", ".join(b.__name__ for b in _BLOCKS)
            raise TypeError(f"a block is one of {names}, not {type(block).__name__}")
        for item in block.items if isinstance(block, Row) else (block,):
            if isinstance(item, Table | Figure | Picture):
                if not _KEY.fullmatch(item.key) or item.key in keys:
                    raise ValueError(
                        f"a block's key has letters, digits, '-' and '_', and no other block has it: not {item.key!r}"
                    )
                keys.add(item.key)
            if isinstance(item, Table):
                _check_table(item)


def _check_table(table: Table) -> None:
    for column in table.columns:
        if column.key not in table.frame.columns:
            known = ", ".join(map(str, table.frame.columns))
            raise KeyError(f"table {table.key!r} has no column {column.key!r}; it has {known}")
        for value in table.frame[column.key]:
            shown: Any = column.show(value)
            if not isinstance(shown, str):
                raise TypeError(f"column {column.key!r} of table {table.key!r} shows {value!r} as {shown!r}, no text")
