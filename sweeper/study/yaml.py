"""YAML 1.2 as data only, with the line of everything in it.

Safe by construction: the composer builds nodes, and only plain scalars, lists and mappings are taken from them; tags of
one's own are refused. Size, depth and number of nodes are bounded, aliases counted as often as they are used.
"""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sweeper.errors import Fault, StudyFileError
from sweeper.study.space import Path

__all__ = ["parse_scalar", "parse_yaml"]

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_NODES = 100_000

_STANDARD_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "map", "seq")}


def parse_yaml(text: str, source: str) -> tuple[Any, dict[Path, int]]:
    """Read YAML text.

    Returns:
        The data, and the 1-based line of every place in it.

    Raises:
        StudyFileError: The text is not YAML, is too large, or holds more than data.
    """
    if len(text.encode()) > MAX_BYTES:
        raise _error(source, None, f"given {len(text.encode())} bytes; allowed: at most {MAX_BYTES}")
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(part for part in (error.context, error.problem) if part)
        raise _error(source, mark.line + 1 if mark else None, f"not valid YAML: {problem}") from error
    except (YAMLError, RecursionError) as error:
        raise _error(source, None, f"not valid YAML: {error}") from error
    if node is None:
        raise _error(source, None, "the file is empty")
    reader = _Reader(yaml, source)
    return reader.read(node, (), 0), reader.lines


def parse_scalar(text: str) -> Any:
    """Read a value as YAML reads it (`1e-4` is a number, `[1, 2]` a list); text that is not YAML stands for itself."""
    try:
        return parse_yaml(text, "")[0]
    except StudyFileError:
        return text


def _error(source: str, line: int | None, message: str) -> StudyFileError:
    return StudyFileError([Fault(source=source, line=line, field="", message=message)])


class _Reader:
    def __init__(self, yaml: YAML, source: str) -> None:
        self.lines: dict[Path, int] = {}
        self._constructor = yaml.constructor
        self._source = source
        self._n_nodes = 0

    def read(self, node: Node, path: Path, depth: int) -> Any:
        line = node.start_mark.line + 1
        self._n_nodes += 1
        if depth > MAX_DEPTH or self._n_nodes > MAX_NODES:
            raise _error(self._source, line, f"nested deeper than {MAX_DEPTH} levels or more than {MAX_NODES} values")
        self.lines.setdefault(path, line)
        if str(node.tag) not in _STANDARD_TAGS:
            raise _error(self._source, line, f"given the tag {node.tag}; allowed: plain data without tags")
        if isinstance(node, ScalarNode):
            return self._constructor.construct_object(node)
        if isinstance(node, SequenceNode):
            return [self.read(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        assert isinstance(node, MappingNode)
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key_line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                raise _error(self._source, key_line, "a key must be a plain word")
            key = str(key_node.value)
            if key in mapping:
                raise _error(self._source, key_line, f"the key {key!r} stands twice in one mapping")
            self.lines[(*path, key)] = key_line
            mapping[key] = self.read(value_node, (*path, key), depth + 1)
        return mapping
