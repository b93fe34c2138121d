"""Where the pictures of a data set come from: a package, torchvision's files, a folder of pictures, or a formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sweeper.data.catalog import BUILT_IN, input_shape, output_names, own_folder
from sweeper.data.custom import custom_signature, make_images
from sweeper.data.downloads import find_files
from sweeper.data.flowers import list_flowers
from sweeper.data.folders import PictureFolder, list_pictures
from sweeper.errors import DataError
from sweeper.study.config import DataConfig, Registration, registration_of

__all__ = ["Pictures", "Source", "find_source"]


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The pictures of a source, not yet decoded: those for training first, then validation, then test."""

    class_names: tuple[str, ...]
    """Empty for a regression."""
    labels_N: npt.NDArray[np.int64]
    n_validation: int = 0
    """How many pictures, before the test part, are the validation part; 0 where the source has none of its own."""
    n_test: int
    """How many of the last pictures are the test part; 0 where the source has no test set of its own."""
    shape: tuple[int, int, int]
    """(C, H, W) of every picture, after resizing."""
    read: Callable[[int], npt.NDArray[np.uint8]]
    """Decode and resize the picture of an index, (C, H, W). May be called from several threads at once."""
    ids: Sequence[str] | None = None
    """What each picture is called wherever the source lies; None where it is its index."""
    targets_NT: npt.NDArray[np.float32] | None = None
    """Numbers to be predicted, for a regression; labels are then 0 throughout."""


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
    name = config.name
    custom = registration_of(config)
    if custom is not None:
        return Source(
            name=name,
            signature=custom_signature(custom, config, data_dir),
            open=lambda: _open_custom(custom, config, data_dir),
        )
    root = own_folder(config, data_dir)
    if root is not None:
        pictures = list_pictures(root)
        return Source(
            name=root.name if name == "folder" else name,
            signature=f"{root}\n{pictures.signature}",
            open=lambda: _open_files(pictures, config),
        )
    match name:
        case "digits":
            return Source(name=name, signature="", open=lambda: _open_digits(config))
        case "functions":
            from sweeper.data.functions import SIGNATURE

            return Source(name=name, signature=SIGNATURE, open=_open_functions)
    found = find_files(name, cache_dir=cache_dir, data_dir=data_dir, path=config.path)
    if name == "flowers102":
        flowers = list_flowers(found / "flowers-102")
        return Source(name=name, signature=flowers.signature, open=lambda: _open_files(flowers.read(), config))
    stats = [(found / file).stat() for file in BUILT_IN[name].files]
    return Source(
        name=name,
        signature=" ".join(f"{file.st_size}:{file.st_mtime_ns}" for file in stats),
        open=lambda: _open_arrays(config, found),
    )


def _open_files(folder: PictureFolder, config: DataConfig) -> Pictures:
    from sweeper.data.pictures import decode_file

    # Beside the name of a data set, pictures are brought to its size and channels.
    wanted = input_shape(config)
    image_size = None if wanted is None else wanted[1]
    grayscale = config.grayscale if wanted is None else wanted[0] == 1

    def decode(path: str) -> npt.NDArray[np.uint8]:
        return decode_file(path, image_size=image_size, resize=config.resize, grayscale=grayscale)

    first = folder.paths[0]
    shape = decode(first).shape

    def read(index: int) -> npt.NDArray[np.uint8]:
        path = folder.paths[index]
        pixels = decode(path)
        if pixels.shape != shape:
            raise DataError(
                f"pictures of different sizes (width x height): {first} is {shape[2]}x{shape[1]}, {path} is "
                f"{pixels.shape[2]}x{pixels.shape[1]}. Set data.image_size to resize all of them"
            )
        return pixels

    return Pictures(
        class_names=folder.class_names,
        labels_N=np.array(folder.labels, dtype=np.int64),
        n_validation=folder.n_validation,
        n_test=folder.n_test,
        shape=(shape[0], shape[1], shape[2]),
        read=read,
        ids=folder.ids(),
    )


def _open_digits(config: DataConfig) -> Pictures:
    from sklearn.datasets import load_digits

    digits = load_digits()
    # 0..16 to 0..255: 16 becomes 255, and no two of the 17 values fall together.
    images_NHW = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return _from_arrays(images_NHW, digits.target, n_test=0, config=config)


def _open_functions() -> Pictures:
    from sweeper.data.functions import draw_functions

    images_N1HW, targets_NT = draw_functions()
    assert targets_NT.shape[1] == len(output_names(DataConfig(name="functions")))
    return Pictures(
        class_names=(),
        labels_N=np.zeros(len(images_N1HW), dtype=np.int64),
        n_test=0,
        shape=(1, 8, 8),
        read=lambda index: images_N1HW[index],
        targets_NT=targets_NT,
    )


def _open_custom(custom: Registration, config: DataConfig, data_dir: Path | None) -> Pictures:
    from sweeper.data.pictures import convert_array

    images = make_images(custom, config, data_dir)

    def read(index: int) -> npt.NDArray[np.uint8]:
        return convert_array(
            images.images[index], image_size=config.image_size, resize=config.resize, grayscale=config.grayscale
        )

    _, height, width = read(0).shape
    return Pictures(
        class_names=images.class_names,
        labels_N=images.labels,
        n_validation=images.n_validation,
        n_test=images.n_test,
        shape=(len(read(0)), height, width),
        read=read,
        ids=images.ids,
    )


def _open_arrays(config: DataConfig, root: Path) -> Pictures:
    from sweeper.data.arrays import read_arrays

    name = config.name
    try:
        images, labels_N, n_test = read_arrays(name, root)
    except Exception as error:  # damaged files end in ValueError, RuntimeError, EOFError, UnpicklingError, ...
        raise DataError(
            f"{name} in {root} cannot be read ({type(error).__name__}: {error}). Remove its files there to have "
            "them downloaded again"
        ) from error
    if len(images) != len(labels_N) or labels_N.min() < 0 or labels_N.max() >= len(BUILT_IN[name].class_names):
        raise DataError(f"{name} in {root} is damaged: {len(images)} pictures, {len(labels_N)} labels")
    return _from_arrays(images, labels_N, n_test=n_test, config=config)


def _from_arrays(
    images: npt.NDArray[np.uint8], labels_N: npt.NDArray[np.int64], *, n_test: int, config: DataConfig
) -> Pictures:
    from sweeper.data.pictures import convert_array

    shape = input_shape(config)
    assert shape is not None

    def read(index: int) -> npt.NDArray[np.uint8]:
        return convert_array(
            images[index], image_size=config.image_size, resize=config.resize, grayscale=config.grayscale
        )

    return Pictures(
        class_names=BUILT_IN[config.name].class_names,
        labels_N=np.asarray(labels_N, dtype=np.int64),
        n_test=n_test,
        shape=shape,
        read=read,
    )
