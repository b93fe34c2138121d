"""A folder of pictures with one folder a class: what is in it. Imports nothing but the standard library."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from sweeper.errors import DataError

__all__ = ["PICTURE_SUFFIXES", "PictureFolder", "folder_class_names", "list_pictures", "resolve_folder"]

PICTURE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, kw_only=True)
class PictureFolder:
    """The pictures of a folder: those for training first, then validation, then test; each by class, then by name."""

    root: str
    """What every path begins with."""
    class_names: tuple[str, ...]
    """Names of the class folders, sorted."""
    paths: tuple[str, ...]
    """Where each picture is. Strings, for there may be a million and `Path` objects take ten times as long to make."""
    labels: tuple[int, ...]
    """Index into `class_names` of each picture."""
    n_validation: int
    """How many pictures, before the test part, are the validation part; 0 where the folder has no `val/`."""
    n_test: int
    """How many of the last pictures are the test part; 0 where the folder has no `test/`."""
    signature: str
    """Hash of the names, sizes and times of change of all pictures."""

    def ids(self) -> list[str]:
        """What each picture is called wherever its folder lies: its path from there, with `/`."""
        return [path[len(self.root) + 1 :].replace(os.sep, "/") for path in self.paths]


def resolve_folder(path: str, data_dir: Path | None) -> Path:
    """The absolute place of `data.path`: relative to `data_dir` if given, else to the working directory."""
    return ((data_dir or Path()) / Path(path).expanduser()).resolve()


def folder_class_names(root: Path) -> tuple[str, ...] | None:
    """Names of the class folders of `root`, sorted; None where there are none to be seen."""
    try:
        return tuple(_subfolders(_train_root(root))) or None
    except OSError:
        return None


def list_pictures(root: Path) -> PictureFolder:
    """List the pictures of `root`, which holds `<class>/*` or `train/<class>/*` and, optionally, `val/<class>/*` and
    `test/<class>/*`. `val/` may be called `valid/` or `validation/`.

    Hidden files and files that are no pictures by their suffix are ignored; so is whatever lies beside `train/`, `val/`
    and `test/`. Raises DataError where the folder is missing or unreadable, has fewer than two classes, or a class
    without pictures.
    """
    try:
        return _list_pictures(root)
    except OSError as error:  # no permission, or a file that vanished meanwhile
        raise DataError(f"folder of pictures cannot be read: {root} ({error})") from error


def _list_pictures(root: Path) -> PictureFolder:
    if not root.is_dir():
        raise DataError(
            f"folder of pictures not found: {root}. A relative data.path is looked up in SWEEPER_DATA if that is set, "
            "else in the working directory"
        )
    train_root = _train_root(root)
    class_names = tuple(_subfolders(train_root))
    if len(class_names) < 2:
        found = f"only the folder {class_names[0]!r}" if class_names else "no folders"
        raise DataError(f"{train_root} must hold one folder of pictures a class, at least two; it has {found}")

    digest = hashlib.sha256()
    paths: list[str] = []
    labels: list[int] = []
    for label, class_name in enumerate(class_names):
        found_here = _pictures(train_root / class_name, root, digest)
        if not found_here:
            raise DataError(
                f"class folder without pictures: {train_root / class_name}. Pictures lie directly in it and end in "
                f"{', '.join(PICTURE_SUFFIXES)}"
            )
        paths += found_here
        labels += [label] * len(found_here)

    n_held_out = {"val": 0, "test": 0}
    if train_root != root:
        for part, held_out in _held_out(root):
            before = len(paths)
            for class_name in _subfolders(held_out):
                if class_name not in class_names:
                    raise DataError(
                        f"{held_out} has the class {class_name!r}, which {train_root} has not "
                        f"(its classes: {', '.join(class_names)})"
                    )
                found_here = _pictures(held_out / class_name, root, digest)
                paths += found_here
                labels += [class_names.index(class_name)] * len(found_here)
            n_held_out[part] = len(paths) - before
            if n_held_out[part] == 0:
                raise DataError(
                    f"{held_out} holds no pictures. Fill it, or remove it to have a share of {train_root} held out"
                )
    return PictureFolder(
        root=str(root),
        class_names=class_names,
        paths=tuple(paths),
        labels=tuple(labels),
        n_validation=n_held_out["val"],
        n_test=n_held_out["test"],
        signature=digest.hexdigest(),
    )


def _held_out(root: Path) -> list[tuple[str, Path]]:
    """The folders for validation and test that there are, in this order."""
    validation = [root / name for name in ("val", "valid", "validation") if (root / name).is_dir()]
    if len(validation) > 1:
        names = " and ".join(folder.name for folder in validation)
        raise DataError(f"{root} has {names}; the validation pictures lie in one of them")
    test = [root / "test"] if (root / "test").is_dir() else []
    return [("val", folder) for folder in validation] + [("test", folder) for folder in test]


def _train_root(root: Path) -> Path:
    train = root / "train"
    return train if train.is_dir() and _subfolders(train) else root


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())


def _pictures(folder: Path, root: Path, digest: hashlib._Hash) -> list[str]:
    """The pictures directly in `folder`, sorted; their names, sizes and times of change go into `digest`."""
    with os.scandir(folder) as entries:
        found = sorted(
            (entry.name, entry.path, entry.stat())
            for entry in entries
            if entry.name.lower().endswith(PICTURE_SUFFIXES) and not entry.name.startswith(".") and entry.is_file()
        )
    lines = [f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}" for name, _, stat in found]
    digest.update("\0".join([str(folder.relative_to(root)), *lines, ""]).encode(errors="surrogateescape"))
    return [path for _, path, _ in found]
