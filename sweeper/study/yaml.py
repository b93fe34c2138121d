"""YAML 1.2 as data only, with the line of everything in it.

Safe by construction: the composer builds nodes, and only plain scalars, lists and mappings are taken from them; tags of
one's own are refused. Size, depth and number of values are bounded, aliases counted as often as they are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    MappingEndEvent,
    MappingStartEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from sweeper.errors import Fault, StudyFileError
from sweeper.study.parse import Path
from sweeper.study.words import show

__all__ = ["Document", "parse_scalar", "parse_yaml"]

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_VALUES = 50_000

_PREFIX = "tag:yaml.org,2002:"
_TAGS: dict[type[Node], set[str]] = {
    ScalarNode: {_PREFIX + name for name in ("null", "bool", "int", "float", "str")},
    SequenceNode: {_PREFIX + "seq"},
    MappingNode: {_PREFIX + "map"},
}
_STRINGS = {_PREFIX + name for name in ("timestamp", "value", "merge")}
"""Plain scalars with a meaning in YAML 1.1 that are strings in 1.2: `2024-05-01`, `=`, `<<`."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """What a YAML text holds."""

    data: Any
    """With null in the place of what is faulty."""
    lines: dict[Path, int]
    """The 1-based line of every place in the data."""
    faults: list[tuple[Path, int, str]]
    """What is well-formed YAML but not accepted: place, line, what is wrong there."""


def parse_yaml(text: str, source: str) -> Document:
    """Read YAML text.

    Raises:
        StudyFileError: The text is not YAML or is too large to be a study.
    """
    n_bytes = len(text.encode(errors="surrogatepass"))
    if n_bytes > MAX_BYTES:
        raise _error(source, None, f"given {n_bytes} bytes; allowed: at most {MAX_BYTES}")
    yaml = YAML(typ="safe", pure=True)
    try:
        _check_depth(text, source)
        node = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(part for part in (error.context, error.problem) if part)
        raise _error(source, mark.line + 1 if mark else None, f"not valid YAML: {problem}") from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"the character U+{error.character:04X} is not allowed"
        raise _error(source, line, f"not valid YAML: {problem}") from error
    except (YAMLError, ValueError) as error:
        raise _error(source, None, f"not valid YAML: {' '.join(str(error).split())}") from error
    if node is None:
        raise _error(source, None, "the file is empty")
    reader = _Reader(yaml, source)
    data = reader.read(node, (), 0)
    return Document(data=data, lines=reader.lines, faults=reader.faults)


def parse_scalar(text: str) -> Any:
    """Read a value as YAML reads it (`1e-4` is a number, `[1, 2]` a list); text that is not YAML stands for itself."""
    try:
        document = parse_yaml(text, "")
    except StudyFileError:
        return text
    return text if document.faults else document.data


def _error(source: str, line: int | None, message: str) -> StudyFileError:
    return StudyFileError([Fault(source=source, line=line, message=message)])


def _too_deep(source: str, line: int) -> StudyFileError:
    return _error(source, line, f"nested too deeply; allowed: at most {MAX_DEPTH} levels")


def _check_depth(text: str, source: str) -> None:
    """Refuse deep nesting before the composer, which recurses, sees it."""
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _too_deep(source, event.start_mark.line + 1)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            depth -= 1


class _Reader:
    def __init__(self, yaml: YAML, source: str) -> None:
        self.lines: dict[Path, int] = {}
        self.faults: list[tuple[Path, int, str]] = []
        self._constructor = yaml.constructor
        self._source = source
        self._n_values = 0

    def read(self, node: Node, path: Path, depth: int) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self._n_values += 1
        if self._n_values > MAX_VALUES:
            raise _error(self._source, line, f"too many values, aliases counted; allowed: at most {MAX_VALUES}")
        if depth > MAX_DEPTH:  # through aliases
            raise _too_deep(self._source, line)
        tag = str(node.tag)
        if tag in _STRINGS and isinstance(node, ScalarNode):
            return str(node.value)
        if tag not in _TAGS[type(node)]:
            shown = tag.replace(_PREFIX, "!!")
            self.faults.append((path, line, f"given the tag {shown}; allowed: plain data without tags"))
            return None
        if isinstance(node, ScalarNode):
            return self._read_scalar(node, path, line)
        if isinstance(node, SequenceNode):
            return [self.read(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        assert isinstance(node, MappingNode)
        return self._read_mapping(node, path, depth)

    def _read_scalar(self, node: ScalarNode, path: Path, line: int) -> Any:
        try:
            return self._constructor.construct_object(node)
        except (ValueError, LookupError):  # `!!int x`, or a number of thousands of digits
            kind = str(node.tag).removeprefix(_PREFIX)
            self.faults.append((path, line, f"given {show(node.value)}; allowed: what can be read as {kind}"))
            return None

    def _read_mapping(self, node: MappingNode, path: Path, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self.faults.append((path, line, "given a list or mapping as a key; allowed: a plain word"))
                continue
            key = str(key_node.value)
            place = (*path, key)
            if str(key_node.tag) == _PREFIX + "merge":
                message = "merge keys are not part of YAML 1.2; write the fields out, or use an alias for one value"
                self.faults.append((path, line, f"given `<<`: {message}"))
            elif key in mapping:
                message = f"given twice in one mapping, first on line {self.lines[place]}; allowed: once"
                self.faults.append((place, line, message))
            else:
                self.lines[place] = line
                mapping[key] = self.read(value_node, place, depth + 1)
        return mapping
