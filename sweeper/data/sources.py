"""Where the pictures of a data set come from: scikit-learn's digits, torchvision's sets, a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import numpy.typing as npt

from sweeper.data.catalog import BUILT_IN, BuiltIn, input_shape
from sweeper.data.folders import PictureFolder, list_pictures, resolve_folder
from sweeper.errors import DataError
from sweeper.study.config import DataConfig

__all__ = ["Pictures", "Source", "find_source"]


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The pictures of a source, not yet decoded: training pictures first, then test pictures."""

    class_names: tuple[str, ...]
    labels_N: npt.NDArray[np.int64]
    n_test: int
    """How many of the last pictures are the test part; 0 where the source has no test set of its own."""
    shape: tuple[int, int, int]
    """(C, H, W) of every picture, after resizing."""
    read: Callable[[int], npt.NDArray[np.uint8]]
    """Decode and resize the picture of an index, (C, H, W). May be called from several threads at once."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set that has been found, but not read."""

    name: str
    """What users call it: the built-in name or the folder's name."""
    signature: str
    """Changes whenever the files of the source do."""
    open: Callable[[], Pictures]
    """Read what there is to decode; pictures in files are read one by one, later."""


def find_source(config: DataConfig, *, cache_dir: Path, data_dir: Path | None) -> Source:
    """Find the data set, in `data_dir` or `cache_dir`/downloads, and download it there if it is in neither.

    Cheap where it is found: no picture is read, and neither scikit-learn, torchvision nor PIL is imported.
    Raises DataError where the data set can be neither found nor downloaded.
    """
    if config.path is not None:
        root = resolve_folder(config.path, data_dir)
        folder = list_pictures(root)
        return Source(
            name=root.name,
            signature=f"{root}\n{folder.signature}",
            open=lambda: _open_folder(folder, config),
        )
    if config.name == "digits":
        return Source(name="digits", signature="", open=lambda: _open_digits(config))
    root = _find_torchvision(config.name, cache_dir=cache_dir, data_dir=data_dir)
    files = [(root / file).stat() for file in BUILT_IN[config.name].files]
    return Source(
        name=config.name,
        signature=" ".join(f"{file.st_size}:{file.st_mtime_ns}" for file in files),
        open=lambda: _open_torchvision(config, root),
    )


def _open_folder(folder: PictureFolder, config: DataConfig) -> Pictures:
    from sweeper.data.pictures import decode_file

    first = folder.paths[0]
    shape = decode_file(first, image_size=config.image_size, grayscale=config.grayscale).shape

    def read(index: int) -> npt.NDArray[np.uint8]:
        path = folder.paths[index]
        pixels = decode_file(path, image_size=config.image_size, grayscale=config.grayscale)
        if pixels.shape != shape:
            raise DataError(
                f"pictures of different sizes (width x height): {first} is {shape[2]}x{shape[1]}, {path} is "
                f"{pixels.shape[2]}x{pixels.shape[1]}. Set data.image_size to resize all of them"
            )
        return pixels

    return Pictures(
        class_names=folder.class_names,
        labels_N=np.array(folder.labels, dtype=np.int64),
        n_test=folder.n_test,
        shape=(shape[0], shape[1], shape[2]),
        read=read,
    )


def _open_digits(config: DataConfig) -> Pictures:
    from sklearn.datasets import load_digits

    digits = load_digits()
    # 0..16 to 0..255: 16 becomes 255, and no two of the 17 values fall together.
    images_NHW = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return _from_arrays(images_NHW, digits.target, n_test=0, config=config)


def _open_torchvision(config: DataConfig, root: Path) -> Pictures:
    constructor = _torchvision_class(config.name)
    try:
        train, test = constructor(root, train=True), constructor(root, train=False)
    except Exception as error:  # damaged files end in ValueError, RuntimeError, EOFError, UnpicklingError, ...
        raise DataError(
            f"{config.name} in {root} cannot be read ({type(error).__name__}: {error}). Remove its files there to have "
            "them downloaded again"
        ) from error
    images = np.concatenate([np.asarray(train.data), np.asarray(test.data)])
    labels_N = np.concatenate([np.asarray(train.targets), np.asarray(test.targets)])
    known = BUILT_IN[config.name]
    if len(images) != len(labels_N) or labels_N.min() < 0 or labels_N.max() >= len(known.class_names):
        raise DataError(f"{config.name} in {root} is damaged: {len(images)} pictures, {len(labels_N)} labels")
    return _from_arrays(images, labels_N, n_test=len(test.targets), config=config)


def _from_arrays(
    images: npt.NDArray[np.uint8], labels_N: npt.NDArray[np.int64], *, n_test: int, config: DataConfig
) -> Pictures:
    from sweeper.data.pictures import convert_array

    shape = input_shape(config)
    assert shape is not None
    return Pictures(
        class_names=BUILT_IN[config.name].class_names,
        labels_N=np.asarray(labels_N, dtype=np.int64),
        n_test=n_test,
        shape=shape,
        read=lambda index: convert_array(images[index], image_size=config.image_size, grayscale=config.grayscale),
    )


def _find_torchvision(name: str, *, cache_dir: Path, data_dir: Path | None) -> Path:
    known = BUILT_IN[name]
    downloads = cache_dir / "downloads"
    places = [place for place in (data_dir, downloads) if place is not None]
    found = _first_complete(places, known)
    if found is not None:
        return found
    downloads.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(downloads / f"{name}.lock"):
        found = _first_complete(places, known)
        if found is not None:
            return found
        constructor = _torchvision_class(name)
        try:
            constructor(downloads, train=True, download=True)
        except Exception as error:  # what torchvision raises depends on the mirror, the proxy and the disk
            looked = " and ".join(str(place) for place in places)
            hint = "" if data_dir is not None else " (SWEEPER_DATA is not set)"
            raise DataError(
                f"{name} was not found in {looked}{hint}, and downloading it failed: {_brief(error)}. Put "
                f"{known.files[0]} and the files beside it into one of these folders, or set SWEEPER_DATA to the "
                "folder that has them"
            ) from error
    found = _first_complete(places, known)
    assert found is not None, f"torchvision downloaded {name}, but its files are not where they are expected"
    return found


def _first_complete(places: list[Path], known: BuiltIn) -> Path | None:
    return next((place for place in places if all((place / file).is_file() for file in known.files)), None)


def _torchvision_class(name: str) -> Callable[..., Any]:
    from torchvision import datasets

    constructors: dict[str, Callable[..., Any]] = {
        "mnist": datasets.MNIST,
        "fashion_mnist": datasets.FashionMNIST,
        "cifar10": datasets.CIFAR10,
    }
    return constructors[name]


def _brief(error: BaseException) -> str:
    """The last line of an error's message, where libraries put the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
