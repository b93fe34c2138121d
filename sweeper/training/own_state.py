"""What a training loop of a plugin keeps from one attempt to the next: states of objects, and files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sweeper.errors import InputError

__all__ = ["Kept"]


class Kept:
    """Objects and files that a checkpoint holds.

    Args:
        folder: In which the files lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._objects: dict[str, Any] = {}
        self._loaded: Mapping[str, Any] | None = None

    def __bool__(self) -> bool:
        return bool(self._objects)

    def add(self, objects: Mapping[str, Any]) -> None:
        """Keep these from now on, and bring each to where the checkpoint left it, if there is one.

        Raises:
            InputError: One has no state that can be kept.
        """
        for name, kept in objects.items():
            if isinstance(kept, Path):
                if not kept.resolve().is_relative_to(self.folder.resolve()):
                    raise InputError(f"trial.keep: {name} is {kept}; allowed: files in `trial.folder`, {self.folder}")
            elif not (hasattr(kept, "state_dict") and hasattr(kept, "load_state_dict")):
                raise InputError(
                    f"trial.keep: {name} is {type(kept).__name__}, which has no state_dict and load_state_dict; give "
                    "it them, or write it to a file in `trial.folder` and keep its path"
                )
            self._objects[name] = kept
            if isinstance(kept, Path):
                kept.unlink(missing_ok=True)  # an attempt that was killed may have left a later one
            if self._loaded is not None and name in self._loaded:
                _restore(kept, self._loaded[name])

    def state_dict(self) -> dict[str, Any]:
        """States as tensors and plain containers, which `torch.load` reads as data."""
        return {name: _state_of(kept) for name, kept in self._objects.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Have objects brought to these states when they are added."""
        self._loaded = state


def _state_of(kept: Any) -> Any:
    if not isinstance(kept, Path):
        return _as_data(kept.state_dict())
    if not kept.is_file():
        return None
    return torch.from_numpy(np.frombuffer(kept.read_bytes(), dtype=np.uint8).copy())


def _restore(kept: Any, state: Any) -> None:
    if not isinstance(kept, Path):
        kept.load_state_dict(state)
    elif state is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(state.numpy().tobytes())


def _as_data(value: Any) -> Any:
    """Arrays as tensors, NumPy's numbers as Python's."""
    if isinstance(value, Mapping):
        return {key: _as_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_as_data(item) for item in value)
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    return value.item() if isinstance(value, np.generic) else value
