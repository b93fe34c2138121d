"""What is known about a data set before it is opened. Imports no torch and no numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sweeper.data.flower_names import FLOWER_NAMES
from sweeper.data.folders import PictureFolder, folder_class_names, list_pictures, resolve_folder
from sweeper.errors import DataError
from sweeper.study.config import DataConfig, registration_of

__all__ = [
    "BUILT_IN",
    "BuiltIn",
    "PictureCounts",
    "class_names",
    "input_shape",
    "output_names",
    "own_folder",
    "picture_counts",
]


@dataclass(frozen=True, kw_only=True)
class BuiltIn:
    """A data set that is known by name."""

    n_channels: int
    size: int | None
    """Height and width of its pictures as they come; None where they differ."""
    class_names: tuple[str, ...]
    """In the order of their labels; empty for a regression."""
    files: tuple[str, ...] = ()
    """The files and folders that are read, below torchvision's `root`. None for a set that needs none."""
    n_training: tuple[int, ...] | int | None = None
    """Pictures of each class, or the same number of all, that it offers for training and validation; None: unknown."""
    n_test: tuple[int, ...] | int | None = None
    """Pictures of each class in its own test set; 0: it has none; None: unknown."""


@dataclass(frozen=True, kw_only=True)
class PictureCounts:
    """How many pictures of each class a data set has, by its own names of them, as `data.split` divides it."""

    training: dict[str, int] | None
    """For training and validation, and for test where it has no test set of its own; None: unknown."""
    test: dict[str, int] | None
    """In its own test set; empty: it has none; None: unknown."""


_DIGITS = tuple("0123456789")
_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_CIFAR10_FILES = ("batches.meta", *(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
_STL10_FILES = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")

BUILT_IN = {
    "digits": BuiltIn(
        n_channels=1,
        size=8,
        class_names=_DIGITS,
        n_training=(178, 182, 177, 183, 181, 182, 181, 179, 174, 180),
        n_test=0,
    ),
    "mnist": BuiltIn(
        n_channels=1,
        size=28,
        class_names=_DIGITS,
        files=tuple(f"MNIST/raw/{name}" for name in _IDX_FILES),
        n_training=(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        n_test=(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
    ),
    "fashion_mnist": BuiltIn(
        n_channels=1,
        size=28,
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
        n_training=6000,
        n_test=1000,
    ),
    "cifar10": BuiltIn(
        n_channels=3,
        size=32,
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
        n_training=5000,
        n_test=1000,
    ),
    "stl10": BuiltIn(
        n_channels=3,
        size=96,
        class_names=("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"),
        files=tuple(f"stl10_binary/{name}" for name in _STL10_FILES),
        n_training=500,
        n_test=800,
    ),
    # The test pictures, three quarters of all, may be absent.
    "flowers102": BuiltIn(
        n_channels=3,
        size=None,
        class_names=FLOWER_NAMES,
        files=("flowers-102/imagelabels.mat", "flowers-102/setid.mat", "flowers-102/jpg"),
        n_training=20,
    ),
    "functions": BuiltIn(n_channels=1, size=8, class_names=(), n_test=0),
}


def input_shape(config: DataConfig) -> tuple[int, int, int] | None:
    """(C, H, W) of the pictures a model will see; None where these come in any size and no `image_size` is given."""
    custom = registration_of(config)
    if custom is not None:
        return _custom_shape(config, custom.facts["input_shape"])
    known = BUILT_IN.get(config.name)
    n_channels = 1 if config.grayscale or (known is not None and known.n_channels == 1) else 3
    size = config.image_size or (None if known is None else known.size)
    return None if size is None else (n_channels, size, size)


def _custom_shape(config: DataConfig, shape: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
    if shape is None:
        return None
    n_channels = 1 if config.grayscale else shape[0]
    return (n_channels, *(shape[1:] if config.image_size is None else (config.image_size, config.image_size)))


def own_folder(config: DataConfig, data_dir: Path | None = None) -> Path | None:
    """The folder of pictures that is read; None where it is a data set known by name that is read from its files, or
    one of a plugin."""
    if config.path is None or registration_of(config) is not None:
        return None
    root = resolve_folder(config.path, data_dir)
    return root if config.name == "folder" or root.is_dir() else None


def class_names(config: DataConfig, *, data_dir: Path | None = None, own: bool = False) -> tuple[str, ...] | None:
    """Names of the classes in the order of their labels; None where they are not known before the data is opened: for a
    folder of pictures that is not there (yet), and where a plugin does not say.

    They are those that `config.classes` keeps, as it calls them; with `own`, all of the data set, as it calls them. A
    relative `config.path` is looked up in `data_dir` if given, else in the working directory. Empty for a regression.
    """
    if not own and config.kept_class_names is not None:
        return config.kept_class_names
    custom = registration_of(config)
    if custom is not None:
        names: tuple[str, ...] | None = custom.facts["class_names"]
        return names
    folder = own_folder(config, data_dir)
    return BUILT_IN[config.name].class_names if folder is None else folder_class_names(folder)


def output_names(config: DataConfig) -> tuple[str, ...]:
    """Names of the numbers to be predicted, for a regression; else empty."""
    return ("y_0", "y_1", "y_2") if config.name == "functions" else ()


def picture_counts(
    config: DataConfig,
    *,
    data_dir: Path | None = None,
    listed: Callable[[Path], PictureFolder] = list_pictures,
) -> PictureCounts:
    """What is known of the number of pictures of each class. `listed` lists a folder; it may remember what it lists."""
    if registration_of(config) is not None:
        return PictureCounts(training=None, test=None)
    folder = own_folder(config, data_dir)
    if folder is None:
        known = BUILT_IN[config.name]
        training, test = _by_class(known.class_names, known.n_training), _by_class(known.class_names, known.n_test)
    else:
        try:
            pictures = listed(folder)
        except DataError:  # it is not there yet
            return PictureCounts(training=None, test=None)
        n_training = len(pictures.labels) - pictures.n_test
        training = _count(pictures.class_names, pictures.labels[:n_training])
        test = _count(pictures.class_names, pictures.labels[n_training:]) if pictures.n_test else {}
    if config.split == "stratified":
        if training is not None and test is not None:
            training = {name: n + test.get(name, 0) for name, n in training.items()}
        else:
            training = None
        test = {}
    return PictureCounts(training=training, test=test)


def _by_class(names: tuple[str, ...], n: tuple[int, ...] | int | None) -> dict[str, int] | None:
    if n is None or n == 0:
        return None if n is None else {}
    return dict.fromkeys(names, n) if isinstance(n, int) else dict(zip(names, n, strict=True))


def _count(names: tuple[str, ...], labels: tuple[int, ...]) -> dict[str, int]:
    return {name: labels.count(label) for label, name in enumerate(names)}
