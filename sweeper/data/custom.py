"""Data sets of plugins: what a function returns, checked once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sweeper.data.folders import resolve_folder
from sweeper.errors import DataError
from sweeper.study.config import DataConfig, Registration

__all__ = ["Images", "custom_signature", "make_images"]


@dataclass(frozen=True, kw_only=True)
class Images:
    """Pictures with their labels, as a function under `sweeper.dataset` returns them: those for training first, then
    those for validation, if it has any of its own, then those for test."""

    images: npt.NDArray[np.uint8]
    """uint8 from 0 to 255, (N, H, W) or (N, H, W, 3)."""
    labels: npt.ArrayLike
    """Integers from 0, (N,)."""
    class_names: Sequence[str]
    """In the order of the labels."""
    n_validation: int = 0
    """How many pictures, before those for test, are for validation; 0: `data.validation` says which."""
    n_test: int = 0
    """How many of the last pictures are for test; 0: `data.test` says which."""
    ids: Sequence[str] | None = None
    """What each picture is called, for corrections of labels; None: by its index."""


@dataclass(frozen=True, kw_only=True)
class _Checked:
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    n_validation: int
    n_test: int
    ids: Sequence[str] | None


def custom_signature(custom: Registration, config: DataConfig, data_dir: Path | None) -> str:
    """Changes with the file that the function is defined in, and with its parameters."""
    source = Path(custom.source)
    code = hashlib.sha256(source.read_bytes()).hexdigest() if custom.source and source.is_file() else custom.package
    folder = None if config.path is None else resolve_folder(config.path, data_dir)
    parameters = config.model_dump(mode="json", include=set(type(config).model_fields) - set(DataConfig.model_fields))
    return f"{custom.name}\n{code}\n{folder}\n{parameters}\n{config.image_size}"


def make_images(custom: Registration, config: DataConfig, data_dir: Path | None) -> _Checked:
    """Call the function of a data set.

    Raises:
        DataError: It raised, or returned what cannot be trained on.
    """
    path = None if config.path is None else resolve_folder(config.path, data_dir)
    try:
        made = custom.call(config, path=path)
    except Exception as error:
        raise DataError(f"data set {custom.name}: its function raised {type(error).__name__}: {error}") from error
    if not isinstance(made, Images):
        raise DataError(f"data set {custom.name}: its function returned {type(made).__name__}; needed: sweeper.Images")
    fault = _fault(made, custom.facts)
    if fault:
        raise DataError(f"data set {custom.name}: {fault}")
    return _Checked(
        images=np.ascontiguousarray(made.images),
        labels=np.asarray(made.labels, dtype=np.int64),
        class_names=tuple(made.class_names),
        n_validation=made.n_validation,
        n_test=made.n_test,
        ids=made.ids,
    )


def _fault(made: Images, facts: Any) -> str:
    images, labels_N, names = made.images, np.asarray(made.labels), tuple(made.class_names)
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        return f"images are {getattr(images, 'dtype', type(images).__name__)}; needed: a NumPy array of uint8, 0 to 255"
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3) or 0 in images.shape:
        return f"images have the shape {images.shape}; needed: (N, H, W) or (N, H, W, 3)"
    if labels_N.shape != (len(images),) or labels_N.dtype.kind not in "iu":
        return f"labels are {labels_N.dtype} of the shape {labels_N.shape}; needed: {len(images)} integers"
    if len(names) < 2 or len(set(names)) < len(names):
        return f"class_names are {list(names)}; needed: two or more, each once"
    if labels_N.min() < 0 or labels_N.max() >= len(names):
        needed = f"0 to {len(names) - 1}, for {len(names)} classes"
        return f"labels go from {labels_N.min()} to {labels_N.max()}; needed: {needed}"
    n_held_out = made.n_validation + made.n_test
    if min(made.n_validation, made.n_test) < 0 or n_held_out >= len(images):
        return f"{made.n_validation} pictures for validation and {made.n_test} for test leave none of {len(images)}"
    if made.ids is not None and (len(made.ids) != len(images) or len(set(made.ids)) < len(images)):
        return f"ids name {len(set(made.ids))} pictures; needed: one for each of {len(images)}"
    if facts["class_names"] is not None and names != facts["class_names"]:
        return f"class_names are {list(names)}, but its decorator says {list(facts['class_names'])}"
    shape = (1 if images.ndim == 3 else 3, *images.shape[1:3])
    if facts["input_shape"] is not None and shape != tuple(facts["input_shape"]):
        return f"pictures are of the shape {shape}, but its decorator says {tuple(facts['input_shape'])}"
    return ""
