"""All randomness of a training from its seed and the epoch, so that an epoch can be repeated on its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["derive_seed", "seed_generators", "seeded"]


def derive_seed(*keys: int) -> int:
    """A seed of 64 bits from non-negative integers. Different keys give unrelated seeds (numpy's SeedSequence)."""
    return int(np.random.SeedSequence(keys).generate_state(1, np.uint64)[0])


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators of the CPU and of `device` in the block; afterwards the caller's state is back.

    A training can so share its process with others (the inline launcher, a notebook) without touching their draws.
    """
    if device.type == "cpu":
        fork = torch.random.fork_rng(devices=[])
    else:
        fork = torch.random.fork_rng(devices=[device.index or 0], device_type=device.type)
    with fork:
        seed_generators(seed, device)
        yield


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed torch's global generators of the CPU and of `device`."""
    # Not torch.manual_seed, which seeds the generators of all devices.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
