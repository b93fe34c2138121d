"""The number of CPU threads of this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sweeper.training.devices import set_threads

__all__ = ["threads"]


@contextmanager
def threads(n_threads: int) -> Iterator[None]:
    """Let torch use `n_threads` in a block; afterwards as many as before."""
    before = torch.get_num_threads()
    set_threads(n_threads)
    try:
        yield
    finally:
        set_threads(before)
