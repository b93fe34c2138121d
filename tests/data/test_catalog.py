from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sweeper.data.catalog import BUILT_IN, class_names, input_shape, picture_counts
from sweeper.study.config import DataConfig
from tests.data.conftest import MakeFolder


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"name": "digits"}, (1, 8, 8)),
        ({"name": "digits", "image_size": 16}, (1, 16, 16)),
        ({"name": "mnist", "grayscale": True}, (1, 28, 28)),
        ({"name": "cifar10"}, (3, 32, 32)),
        ({"name": "cifar10", "grayscale": True, "image_size": 20}, (1, 20, 20)),
        ({"name": "folder", "path": "x", "image_size": 64}, (3, 64, 64)),
        ({"name": "folder", "path": "x", "image_size": 64, "grayscale": True}, (1, 64, 64)),
        ({"name": "folder", "path": "x"}, None),
        ({"name": "stl10", "path": "x"}, (3, 96, 96)),
        ({"name": "mnist", "path": "x", "image_size": 20}, (1, 20, 20)),
        ({"name": "flowers102"}, None),
        ({"name": "flowers102", "image_size": 224, "resize": 256}, (3, 224, 224)),
        ({"name": "functions"}, (1, 8, 8)),
    ],
)
def test_input_shape(options: dict[str, object], shape: tuple[int, int, int] | None) -> None:
    assert input_shape(DataConfig.model_validate(options)) == shape


def test_class_names_of_built_in_sets() -> None:
    assert class_names(DataConfig(name="mnist")) == tuple("0123456789")
    n_classes = {name: len(set(known.class_names)) for name, known in BUILT_IN.items()}
    assert n_classes == dict.fromkeys(BUILT_IN, 10) | {"flowers102": 102, "functions": 0}


def test_class_names_of_a_folder(make_folder: MakeFolder) -> None:
    root = make_folder({"train/dog": 1, "train/cat": 1, "test/cat": 1})
    config = DataConfig(name="folder", path="pictures")
    assert class_names(config, data_dir=root.parent) == ("cat", "dog")
    assert class_names(config, data_dir=root) is None


def test_classes_that_are_kept(make_folder: MakeFolder) -> None:
    root = make_folder({"dog": 1, "cat": 1, "owl": 1})
    config = DataConfig(name="cifar10", path="pictures", classes={"bird": "owl", "hound": "dog"})
    assert class_names(config, data_dir=root.parent) == ("bird", "hound")
    assert class_names(config, data_dir=root.parent, own=True) == ("cat", "dog", "owl")
    assert class_names(config, data_dir=root, own=True) == BUILT_IN["cifar10"].class_names


def test_counts_of_built_in_sets() -> None:
    mnist = picture_counts(DataConfig(name="mnist"))
    assert mnist.training is not None
    assert mnist.test is not None
    assert (sum(mnist.training.values()), sum(mnist.test.values())) == (60_000, 10_000)
    together = picture_counts(DataConfig(name="stl10", split="stratified"))
    assert (together.training, together.test) == (dict.fromkeys(BUILT_IN["stl10"].class_names, 1300), {})
    assert picture_counts(DataConfig(name="flowers102")).test is None
    digits = np.bincount(load_digits().target).tolist()
    assert picture_counts(DataConfig(name="digits")).training == dict(zip("0123456789", digits, strict=True))


def test_counts_of_a_folder(make_folder: MakeFolder) -> None:
    root = make_folder({"train/cat": 4, "train/dog": 5, "val/dog": 2, "test/cat": 1})
    config = DataConfig(name="folder", path="pictures")
    counts = picture_counts(config, data_dir=root.parent)
    assert (counts.training, counts.test) == ({"cat": 4, "dog": 7}, {"cat": 1, "dog": 0})
    nowhere = picture_counts(config, data_dir=root)
    assert (nowhere.training, nowhere.test) == (None, None)


def test_relative_folder_is_looked_up_in_the_working_directory(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder({"dog": 1, "cat": 1})
    monkeypatch.chdir(root.parent)
    assert class_names(DataConfig(name="folder", path="pictures")) == ("cat", "dog")


def test_built_in_sets_agree_with_torchvision() -> None:
    from torchvision import datasets

    assert BUILT_IN["fashion_mnist"].class_names == tuple(datasets.FashionMNIST.classes)
    mnist_files = {f"MNIST/raw/{name.removesuffix('.gz')}" for name, _ in datasets.MNIST.resources}
    assert set(BUILT_IN["mnist"].files) == mnist_files
    cifar10 = datasets.CIFAR10
    batches = [*cifar10.train_list, *cifar10.test_list, [cifar10.meta["filename"]]]
    assert BUILT_IN["flowers102"].class_names == tuple(datasets.Flowers102.classes)
    stl10 = {
        f"{datasets.STL10.base_folder}/{name}" for name, _ in (*datasets.STL10.train_list, *datasets.STL10.test_list)
    }
    assert set(BUILT_IN["stl10"].files) == stl10 - {"stl10_binary/unlabeled_X.bin"}
    assert set(BUILT_IN["cifar10"].files) == {f"{cifar10.base_folder}/{batch[0]}" for batch in batches}


def test_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, sweeper.data.catalog; "
        "print({'torch', 'numpy', 'torchvision', 'PIL', 'sklearn'} & set(sys.modules) or 'none')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "none"
