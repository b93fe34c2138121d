from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.data.catalog import BUILT_IN, class_names, input_shape
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
    ],
)
def test_input_shape(options: dict[str, object], shape: tuple[int, int, int] | None) -> None:
    assert input_shape(DataConfig.model_validate(options)) == shape


def test_class_names_of_built_in_sets() -> None:
    assert class_names(DataConfig(name="mnist")) == tuple("0123456789")
    assert all(len(set(known.class_names)) == 10 for known in BUILT_IN.values())


def test_class_names_of_a_folder(make_folder: MakeFolder) -> None:
    root = make_folder({"train/dog": 1, "train/cat": 1, "test/cat": 1})
    config = DataConfig(name="folder", path="pictures")
    assert class_names(config, data_dir=root.parent) == ("cat", "dog")
    assert class_names(config, data_dir=root) is None


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
    assert set(BUILT_IN["cifar10"].files) == {f"{cifar10.base_folder}/{batch[0]}" for batch in batches}


def test_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, sweeper.data.catalog; "
        "print({'torch', 'numpy', 'torchvision', 'PIL', 'sklearn'} & set(sys.modules) or 'none')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "none"
