from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from sweeper.data.folders import list_pictures
from sweeper.errors import DataError
from tests.data.conftest import MakeFolder


def relative(paths: tuple[str, ...], root: Path) -> list[str]:
    return [Path(path).relative_to(root).as_posix() for path in paths]


def test_one_folder_a_class(make_folder: MakeFolder) -> None:
    root = make_folder({"dog": 2, "cat": 1})
    folder = list_pictures(root)
    assert folder.class_names == ("cat", "dog")
    assert relative(folder.paths, root) == ["cat/000.png", "dog/000.png", "dog/001.png"]
    assert folder.labels == (0, 1, 1)
    assert folder.n_test == 0


def test_train_and_test_folders(make_folder: MakeFolder) -> None:
    root = make_folder({"train/dog": 1, "train/cat": 1, "test/dog": 2})
    folder = list_pictures(root)
    assert relative(folder.paths, root) == [
        "train/cat/000.png",
        "train/dog/000.png",
        "test/dog/000.png",
        "test/dog/001.png",
    ]
    assert folder.labels == (0, 1, 1, 1)
    assert folder.n_test == 2


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_validation_folder(make_folder: MakeFolder, name: str) -> None:
    root = make_folder({"train/dog": 1, "train/cat": 1, f"{name}/cat": 2, "test/dog": 1})
    folder = list_pictures(root)
    assert (folder.n_validation, folder.n_test) == (2, 1)
    assert folder.labels == (0, 1, 0, 0, 1)
    assert folder.ids() == [
        "train/cat/000.png",
        "train/dog/000.png",
        f"{name}/cat/000.png",
        f"{name}/cat/001.png",
        "test/dog/000.png",
    ]


def test_two_validation_folders(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match="has val and valid"):
        list_pictures(make_folder({"train/dog": 1, "train/cat": 1, "val/cat": 1, "valid/cat": 1}))


def test_train_folder_without_test(make_folder: MakeFolder) -> None:
    folder = list_pictures(make_folder({"train/dog": 1, "train/cat": 1}))
    assert folder.class_names == ("cat", "dog")
    assert folder.n_test == 0


def test_hidden_and_other_files_are_ignored(make_folder: MakeFolder) -> None:
    root = make_folder({"dog": 1, "cat": 1, ".thumbnails": 1})
    (root / "README.md").write_text("no class")
    (root / "cat" / "notes.txt").write_text("no picture")
    (root / "cat" / "png").write_text("no suffix")
    (root / "cat" / ".hidden.png").write_text("hidden")
    (root / "cat" / "folder.png").mkdir()
    shutil.copy(root / "cat" / "000.png", root / "cat" / "001.PNG")
    folder = list_pictures(root)
    assert folder.class_names == ("cat", "dog")
    assert relative(folder.paths, root) == ["cat/000.png", "cat/001.PNG", "dog/000.png"]


def test_signature_follows_names_sizes_and_times(make_folder: MakeFolder) -> None:
    root = make_folder({"dog": 2, "cat": 2})
    seen = {list_pictures(root).signature}
    assert list_pictures(root).signature in seen
    picture = root / "dog" / "000.png"

    os.utime(picture, ns=(0, 1))
    seen.add(list_pictures(root).signature)
    picture.write_bytes(picture.read_bytes() + b"\0")
    os.utime(picture, ns=(0, 1))
    seen.add(list_pictures(root).signature)
    picture.rename(root / "cat" / "002.png")
    seen.add(list_pictures(root).signature)
    assert len(seen) == 4


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not found: .*nowhere.*SWEEPER_DATA"):
        list_pictures(tmp_path / "nowhere")


def test_too_few_classes(make_folder: MakeFolder, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only the folder 'cat'"):
        list_pictures(make_folder({"cat": 1}))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no folders"):
        list_pictures(tmp_path / "empty")


def test_class_without_pictures(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match=r"without pictures: .*dog.*\.png"):
        list_pictures(make_folder({"cat": 1, "dog": 0}))


def test_test_folder_that_does_not_fit(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match="has the class 'bird'"):
        list_pictures(make_folder({"train/cat": 1, "train/dog": 1, "test/bird": 1}, root="unknown"))
    with pytest.raises(DataError, match="holds no pictures"):
        list_pictures(make_folder({"train/cat": 1, "train/dog": 1, "test/cat": 0}, root="empty"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder(make_folder: MakeFolder) -> None:
    root = make_folder({"cat": 1, "dog": 1})
    (root / "dog").chmod(0)
    try:
        with pytest.raises(DataError, match="cannot be read"):
            list_pictures(root)
    finally:
        (root / "dog").chmod(0o700)
