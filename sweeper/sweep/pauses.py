"""A driver answers at once: its threads take turns often, and collecting garbage takes no longer the more there is."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["collecting_less", "switching_often"]

SWITCH_SECONDS = 0.0005
"""Writing four small files beside a thread that computes took 53 ms with Python's 5 ms, and 26 to 34 so (medians of 40,
in turns, on two busy cores)."""


@contextmanager
def switching_often() -> Iterator[None]:
    """Have the threads of this process take turns more often: the driver asks for Python's lock after each file and
    message of a trial, while a worker waits, and those that write to databases compute."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def collecting_less() -> Iterator[None]:
    """Have Python look for garbage among what is new alone, in a block.

    MLflow, Optuna and SQLAlchemy are hundreds of thousands of objects: each time that Python went through them all took
    up to 300 ms, in which no report was answered. What is there, and what outlives a look at all, is left out until the
    block has ended.
    Not for a process that trains: models in cycles that became garbage would stay too.
    """
    has_frozen = gc.get_freeze_count() > 0

    def leave_out(phase: str, info: Mapping[str, Any]) -> None:
        if phase == "stop" and info["generation"] == 2:
            gc.freeze()

    gc.freeze()
    gc.callbacks.append(leave_out)
    try:
        yield
    finally:
        gc.callbacks.remove(leave_out)
        if not has_frozen:
            gc.unfreeze()
