"""Data sets that lie in a few large files, one array each, in torchvision's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["read_arrays"]


def read_arrays(name: str, root: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], int]:
    """Pictures, uint8 (N, H, W) or (N, H, W, 3), their labels (N,), and how many of the last ones are the test part.

    Raises whatever the reader of a damaged file raises.
    """
    if name == "stl10":
        return _read_stl10(root / "stl10_binary")
    train, test = (_torchvision_class(name)(root, train=train) for train in (True, False))
    images = np.concatenate([np.asarray(train.data), np.asarray(test.data)])
    labels_N = np.concatenate([np.asarray(train.targets), np.asarray(test.targets)])
    return images, labels_N, len(test.targets)


def _torchvision_class(name: str) -> Any:
    from torchvision import datasets

    return {"mnist": datasets.MNIST, "fashion_mnist": datasets.FashionMNIST, "cifar10": datasets.CIFAR10}[name]


def _read_stl10(folder: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], int]:
    # Not torchvision's reader, which wants the 2.6 GB of unlabelled pictures to be there too. Pictures lie channel by
    # channel, column by column; labels count from 1.
    def read(part: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        labels_N = np.fromfile(folder / f"{part}_y.bin", dtype=np.uint8)
        pixels = np.fromfile(folder / f"{part}_X.bin", dtype=np.uint8)
        if pixels.size != len(labels_N) * 3 * 96 * 96:
            raise ValueError(f"{part}_X.bin has {pixels.size} bytes for {len(labels_N)} pictures of 3 x 96 x 96")
        return pixels.reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1), labels_N

    (train_NHWC, train_labels_N), (test_NHWC, test_labels_N) = read("train"), read("test")
    labels_N = np.concatenate([train_labels_N, test_labels_N]).astype(np.int64) - 1
    return np.concatenate([train_NHWC, test_NHWC]), labels_N, len(test_labels_N)
