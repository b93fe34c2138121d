"""Stratified splits, and the statistics of the training pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sweeper.errors import DataError

__all__ = ["check_every_class", "statistics", "stratified_split"]

_PICTURES_AT_ONCE = 1024


def statistics(
    images_NCHW: npt.NDArray[np.uint8], indices_M: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and deviation of each channel over the pictures at `indices_M`, (C,), in units of 0 to 1.

    Summed in integers, so exact for any number of pictures. The deviation is at least one grey level (1/255), so that
    a channel without contrast does not become infinite when divided by it.
    """
    _, n_channels, height, width = images_NCHW.shape
    total_C = np.zeros(n_channels, dtype=np.uint64)
    squares_C = np.zeros(n_channels, dtype=np.uint64)
    for start in range(0, len(indices_M), _PICTURES_AT_ONCE):
        chunk_BCHW = images_NCHW[indices_M[start : start + _PICTURES_AT_ONCE]]
        total_C += chunk_BCHW.sum(axis=(0, 2, 3), dtype=np.uint64)
        squares_C += np.square(chunk_BCHW, dtype=np.uint16).sum(axis=(0, 2, 3), dtype=np.uint64)
    n_pixels = len(indices_M) * height * width
    mean_C = [int(total) / n_pixels / 255 for total in total_C]
    variance_C = [
        (n_pixels * int(square) - int(total) ** 2) / n_pixels**2
        for total, square in zip(total_C, squares_C, strict=True)
    ]
    deviation_C = [max(math.sqrt(variance), 1.0) / 255 for variance in variance_C]
    return np.array(mean_C, dtype=np.float32), np.array(deviation_C, dtype=np.float32)


def stratified_split(
    pool_M: npt.NDArray[np.int64],
    labels_N: npt.NDArray[np.int64],
    n_first: int,
    n_second: int,
    seed: int,
    asked: str,
    class_names: Sequence[str],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Split as scikit-learn's `train_test_split(..., stratify=labels, random_state=seed)` does; each part ascending.

    `asked` says what was asked for, in messages. Raises DataError where there are too few pictures, in all or of one
    class.
    """
    from sklearn.model_selection import train_test_split

    n_pool = len(pool_M)
    if n_first < 1 or n_second < 1 or n_first + n_second > n_pool:
        raise DataError(
            f"data: {asked} asks for {max(n_first, 0)} + {n_second} pictures; there are {n_pool} to split, and each "
            "part needs some"
        )
    counts = np.bincount(labels_N[pool_M], minlength=len(class_names))
    if counts.min() < 2:
        rarest = int(counts.argmin())
        raise DataError(
            f"data: {asked} splits every class, but class {class_names[rarest]!r} has {counts[rarest]} of the {n_pool} "
            "pictures; it needs at least 2"
        )
    if min(n_first, n_second) < len(class_names):
        raise DataError(
            f"data: {asked} makes parts of {n_first} and {n_second} of {n_pool} pictures; each needs at least one "
            f"picture of each of the {len(class_names)} classes"
        )
    first_M, second_M = train_test_split(
        pool_M,
        train_size=n_first,
        test_size=n_second,
        random_state=seed,
        stratify=labels_N[pool_M],
    )
    return np.sort(first_M), np.sort(second_M)


def check_every_class(
    part_M: npt.NDArray[np.int64], labels_N: npt.NDArray[np.int64], part: str, class_names: Sequence[str]
) -> None:
    """Raise DataError where a part has no picture of some class."""
    counts = np.bincount(labels_N[part_M], minlength=len(class_names))
    if counts.min() == 0:
        missing = int(counts.argmin())
        in_all = int((labels_N == missing).sum())
        raise DataError(
            f"data: {part} leaves this part of {len(part_M)} pictures without one of class {class_names[missing]!r}, "
            f"which has {in_all} of all {len(labels_N)}. Add pictures of it, or ask for larger parts"
        )
