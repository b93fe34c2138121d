"""Trees as dotted paths, and typed values as the text that a tracker keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["decode", "encode", "flatten"]


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Every leaf of a tree under its dotted path, such as `training.optimizer.lr` or `model.blocks.0.channels`.

    A list of plain values is one leaf: `model.hidden` is `[200, 100]`. An empty mapping or list is a leaf too.
    """
    flat: dict[str, Any] = {}

    def visit(value: Any, path: str) -> None:
        if isinstance(value, Mapping) and value:
            for key, child in value.items():
                visit(child, f"{path}.{key}" if path else str(key))
        elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
            for i, child in enumerate(value):
                visit(child, f"{path}.{i}")
        else:
            flat[path] = list(value) if isinstance(value, tuple) else value

    visit(tree, "")
    return flat


def encode(value: Any) -> str:
    """A value as text from which `decode` gets it back with its type: JSON, but plain words stay plain."""
    if isinstance(value, str):
        return value if _reads_as_text(value) else json.dumps(value)
    return json.dumps(value)


def decode(text: str) -> Any:
    """The value that `encode` wrote."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _reads_as_text(value: str) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return True
    return False
