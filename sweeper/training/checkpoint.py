"""Checkpoints: written whole or not at all, the one before kept, loaded as data only."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from sweeper.failpoints import failpoint

__all__ = ["is_whole", "load_checkpoint", "save_checkpoint", "save_whole"]


def save_whole(path: Path, state: Any, *, durable: bool = True) -> None:
    """Write tensors and plain containers to a file that afterwards holds all of them, whatever happens to the process,
    and with `durable` to the machine."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        torch.save(state, file)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)


def save_checkpoint(path: Path, previous: Path, state: Any) -> None:
    """Write a checkpoint to `path`; the one that was there becomes `previous`."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    failpoint("checkpoint.written")
    if path.exists():
        path.replace(previous)
    failpoint("checkpoint.previous_moved")
    temporary.replace(path)
    failpoint("checkpoint.moved")


def load_checkpoint(path: Path, previous: Path) -> Any | None:
    """The last checkpoint that is whole; None without one."""
    for candidate in (path, previous):
        checkpoint = _load(candidate)
        if checkpoint is not None:
            return checkpoint
    return None


def is_whole(path: Path) -> bool:
    """Whether a file is a checkpoint that can be loaded."""
    return _load(path) is not None


def _load(path: Path) -> Any | None:
    """What a file holds; None where it is missing, torn (a crash of the machine, a full disk) or more than data."""
    try:
        # torch would take a wrong byte among the weights for a weight.
        with zipfile.ZipFile(path) as records:
            if records.testzip() is not None:
                return None
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, zipfile.BadZipFile, ValueError, LookupError):
        return None
    except (AttributeError, TypeError, zlib.error, struct.error):  # from the reader of a torn directory of records
        return None
