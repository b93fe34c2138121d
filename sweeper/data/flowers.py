"""Flowers-102 (Nilsback and Zisserman 2008) in torchvision's layout: a folder of pictures and two MATLAB files."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from sweeper.data.flower_names import FLOWER_NAMES
from sweeper.data.folders import PictureFolder
from sweeper.errors import DataError

__all__ = ["Flowers", "list_flowers"]


@dataclass(frozen=True, kw_only=True)
class Flowers:
    """What is there of the data set; labels are not read yet."""

    root: Path
    names: frozenset[str]
    """Of the picture files."""
    signature: str
    """Hash of the names, sizes and times of change of all files."""

    def read(self) -> PictureFolder:
        """The pictures with their labels and the official parts.

        A part of which no picture is there is left out: the test part is three quarters of the whole. Raises DataError
        where only some of a part is there, or where a file cannot be read.
        """
        from scipy.io import loadmat

        try:
            labels = loadmat(self.root / "imagelabels.mat", squeeze_me=True)["labels"].tolist()
            parts = loadmat(self.root / "setid.mat", squeeze_me=True)
            numbers = {part: sorted(parts[key].tolist()) for part, key in _KEYS.items()}
        except Exception as error:  # a damaged file may raise nearly anything
            raise DataError(f"flowers102 in {self.root} cannot be read ({type(error).__name__}: {error})") from error
        found: dict[str, list[int]] = {}
        for part, all_numbers in numbers.items():
            found[part] = [number for number in all_numbers if _name(number) in self.names]
            if found[part] and len(found[part]) < len(all_numbers):
                missing = next(number for number in all_numbers if _name(number) not in self.names)
                raise DataError(
                    f"flowers102 in {self.root} lacks {len(all_numbers) - len(found[part])} of the "
                    f"{len(all_numbers)} pictures of its {part} part, the first of them jpg/{_name(missing)}"
                )
        if not found["training"]:
            raise DataError(f"flowers102 in {self.root} has none of the pictures of its training part in jpg/")
        in_order = [number for part in _KEYS for number in found[part]]
        return PictureFolder(
            root=str(self.root),
            class_names=FLOWER_NAMES,
            paths=tuple(os.path.join(self.root, "jpg", _name(number)) for number in in_order),  # noqa: PTH118
            labels=tuple(labels[number - 1] - 1 for number in in_order),
            n_validation=len(found["validation"]),
            n_test=len(found["test"]),
            signature=self.signature,
        )


_KEYS = {"training": "trnid", "validation": "valid", "test": "tstid"}


def list_flowers(root: Path) -> Flowers:
    """List what is in torchvision's folder `flowers-102`. Imports no SciPy."""
    digest = hashlib.sha256()
    for file in ("imagelabels.mat", "setid.mat"):
        stat = (root / file).stat()
        digest.update(f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
    with os.scandir(root / "jpg") as entries:
        files = sorted((entry.name, entry.stat()) for entry in entries if entry.name.endswith(".jpg"))
    for name, stat in files:
        digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
    return Flowers(root=root, names=frozenset(name for name, _ in files), signature=digest.hexdigest())


def _name(number: int) -> str:
    return f"image_{number:05d}.jpg"
