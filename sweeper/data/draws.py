"""Which pictures of a class are drawn: always the same ones, and more of them only ever adds to fewer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt

__all__ = ["Purpose", "drawing_order", "quotas"]

Indices = npt.NDArray[np.int64]


class Purpose(IntEnum):
    """What is drawn. Each has draws of its own, so that asking for one more thing changes nothing else."""

    COUNTS = 1
    SUBSET = 2
    NOISE = 3
    TEST_COUNTS = 4
    TEST_NOISE = 5
    TRAIN = 6


def drawing_order(
    indices_M: Indices, *, seed: int, purpose: Purpose, own_label: int, group_N: npt.NDArray[np.int8] | None = None
) -> Indices:
    """The pictures of one class in the order in which they are drawn; the first n are the n that are drawn.

    Args:
        indices_M: The pictures.
        seed: `data.split_seed`.
        purpose: What for.
        own_label: Label of the class in the data set, whatever other classes are kept.
        group_N: A group of each picture of the data set: the first n then have the same share of each group.
    """
    order_M = np.random.default_rng((seed, int(purpose), own_label)).permutation(indices_M)
    if group_N is None:
        return order_M
    groups_M = group_N[order_M]
    places_M = np.empty(len(order_M))
    for group in np.unique(groups_M):
        members = groups_M == group
        n_members = int(members.sum())
        places_M[members] = (np.arange(n_members) + 0.5) / n_members
    return order_M[np.argsort(places_M, kind="stable")]


def quotas(n: int, sizes: Sequence[int]) -> list[int]:
    """How many of each class make `n` pictures in the proportions of `sizes`: largest remainders first."""
    total = sum(sizes)
    exact = [n * size / total for size in sizes]
    floors = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda label: floors[label] - exact[label])
    for label in by_remainder[: n - sum(floors)]:
        floors[label] += 1
    return floors
