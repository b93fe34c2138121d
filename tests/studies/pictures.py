"""Generated data sets of the right shape, for machines that have none of the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

STL10_CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")


def write_cifar3(root: Path) -> None:
    """A folder a class, `cifar3/{train,test}`, 32×32 RGB."""
    for part, n in (("train", 90), ("test", 30)):
        for name in ("automobile", "truck", "cat"):
            _write_pictures(root / "cifar3" / part / name, n, size=32, suffix="png")


def write_stl10(root: Path) -> None:
    """A folder a class, `stl10/train`, 96×96 RGB."""
    for name in STL10_CLASSES:
        _write_pictures(root / "stl10" / "train" / name, 40, size=96, suffix="png")


def write_mnist(root: Path) -> None:
    """MNIST's four files, with few digits."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for part, n in (("train", 400), ("t10k", 40)):
        images = random.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        _write_idx(folder / f"{part}-images-idx3-ubyte", images)
        _write_idx(folder / f"{part}-labels-idx1-ubyte", (np.arange(n) % 10).astype(np.uint8))


def write_flowers(root: Path) -> None:
    """Flowers-102 as torchvision reads it: 8 training and 4 validation pictures of each class."""
    from scipy.io import savemat

    n_classes, n_train, n_validation = 102, 8, 4
    folder = root / "flowers-102"
    n = n_classes * (n_train + n_validation)
    _write_pictures(folder / "jpg", n, size=48, suffix="jpg")
    ids = np.arange(1, n + 1)
    savemat(folder / "imagelabels.mat", {"labels": (np.arange(n) % n_classes + 1)[None]})
    n_train *= n_classes
    savemat(folder / "setid.mat", {"trnid": ids[None, :n_train], "valid": ids[None, n_train:], "tstid": ids[None, :0]})


def write_weights(root: Path, network: str) -> None:
    """Weights drawn at random, in the place of those trained on ImageNet."""
    import torch
    from torchvision import models

    folder = root / "weights"
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    torch.save(getattr(models, network)().state_dict(), folder / f"{network}.pth")


def _write_pictures(folder: Path, n: int, *, size: int, suffix: str) -> None:
    folder.mkdir(parents=True)
    random = np.random.default_rng(len(folder.name))
    for number in range(1, n + 1):
        # Blocks of colour, which decode in a fraction of the time that noise takes.
        blocks = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        image = Image.fromarray(blocks).resize((size, size), Image.Resampling.NEAREST)
        image.save(folder / f"image_{number:05}.{suffix}")


def _write_idx(path: Path, values: npt.NDArray[np.uint8]) -> None:
    """LeCun's format: two zeros, the type (8 is uint8), the number of dimensions, each as 4 bytes, the values."""
    header = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    path.write_bytes(header + values.tobytes())
