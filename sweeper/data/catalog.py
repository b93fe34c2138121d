"""What is known about a data set before it is opened. Imports no torch and no numpy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sweeper.data.folders import folder_class_names, resolve_folder
from sweeper.study.config import DataConfig

__all__ = ["BUILT_IN", "BuiltIn", "class_names", "input_shape"]


@dataclass(frozen=True, kw_only=True)
class BuiltIn:
    """A data set that is known by name."""

    shape: tuple[int, int, int]
    """(C, H, W) of its pictures as they come."""
    class_names: tuple[str, ...]
    files: tuple[str, ...] = ()
    """The files that torchvision reads, below its `root`. None for a set that comes with a package."""


_DIGITS = tuple("0123456789")
_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_CIFAR10_FILES = ("batches.meta", *(f"data_batch_{i}" for i in range(1, 6)), "test_batch")

BUILT_IN = {
    "digits": BuiltIn(shape=(1, 8, 8), class_names=_DIGITS),
    "mnist": BuiltIn(
        shape=(1, 28, 28),
        class_names=_DIGITS,
        files=tuple(f"MNIST/raw/{name}" for name in _IDX_FILES),
    ),
    "fashion_mnist": BuiltIn(
        shape=(1, 28, 28),
        class_names=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        files=tuple(f"FashionMNIST/raw/{name}" for name in _IDX_FILES),
    ),
    "cifar10": BuiltIn(
        shape=(3, 32, 32),
        class_names=(
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
        files=tuple(f"cifar-10-batches-py/{name}" for name in _CIFAR10_FILES),
    ),
}


def input_shape(config: DataConfig) -> tuple[int, int, int] | None:
    """(C, H, W) of the pictures a model will see; None for a folder of pictures without `image_size`."""
    known = BUILT_IN.get(config.name)
    size = config.image_size
    if known is not None:
        channels, height, width = known.shape
        return (1 if config.grayscale else channels, size or height, size or width)
    return None if size is None else (1 if config.grayscale else 3, size, size)


def class_names(config: DataConfig, *, data_dir: Path | None = None) -> tuple[str, ...] | None:
    """Names of the classes in the order of their labels; None for a folder of pictures that is not there (yet).

    A relative `config.path` is looked up in `data_dir` if given, else in the working directory.
    """
    if config.path is not None:
        return folder_class_names(resolve_folder(config.path, data_dir))
    return BUILT_IN[config.name].class_names
