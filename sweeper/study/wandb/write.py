"""A study as the text of a study file, with comments that say what a sweep has besides."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.representer import RoundTripRepresenter

__all__ = ["write_study"]

MAX_FLOW = 100
"""Characters of what is written on one line."""
MAX_COMMENT = 118
_BLOCKS = ((), ("trial",), ("trial", "data"), ("trial", "model"), ("trial", "training"))


class _Representer(RoundTripRepresenter):
    """Writes null as a word, which it has to be within a list on one line."""


_Representer.add_representer(
    type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
)


def write_study(raw: Mapping[str, Any], comments: Iterable[str] = ()) -> str:
    """The text of a study file.

    Args:
        raw: The study, as plain data.
        comments: Lines above it.
    """
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    for comment in comments:
        words = " ".join(comment.split())  # breaks of lines of all kinds
        plain = "".join(character if character.isprintable() else "?" for character in words)
        lines = textwrap.wrap(plain, MAX_COMMENT, subsequent_indent="  ", break_on_hyphens=False)
        out.writelines(f"# {line}\n" if line else "#\n" for line in lines or [""])
    yaml.dump(_styled(raw, ()), out)
    return out.getvalue()


def _styled(node: Any, path: tuple[str | int, ...]) -> Any:
    """The data with a style for each part: what fits on a line stands on it, but for the tree of a trial."""
    if not isinstance(node, Mapping | list | tuple):
        return node
    styled: CommentedMap | CommentedSeq
    if isinstance(node, Mapping):
        styled = CommentedMap((key, _styled(value, (*path, key))) for key, value in node.items())
    else:
        styled = CommentedSeq(_styled(value, (*path, i)) for i, value in enumerate(node))
    # On one line, ruamel.yaml would leave out the braces of a mapping of one key in a list.
    is_bare = isinstance(node, list | tuple) and any(isinstance(each, Mapping) and len(each) == 1 for each in node)
    if path not in _BLOCKS and len(str(node)) <= MAX_FLOW and not is_bare:
        styled.fa.set_flow_style()
    else:
        styled.fa.set_block_style()
    return styled
