from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets

from sweeper.data.sources import find_source
from sweeper.errors import DataError
from sweeper.study.config import DataConfig
from tests.data.conftest import MakeFolder

MNIST = DataConfig(name="mnist")


def write_mnist(root: Path, *, n_train: int = 40, n_test: int = 20) -> None:
    """A small MNIST in its real format."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, count in (("train", n_train), ("t10k", n_test)):
        images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, count, 28, 28) + images.tobytes())
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, count) + labels.tobytes())


def test_digits_keep_their_values(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    pictures = find_source(DataConfig(name="digits"), cache_dir=tmp_path, data_dir=None).open()
    images = np.stack([pictures.read(index) for index in range(len(pictures.labels_N))])
    assert images.shape == (1797, 1, 8, 8)
    assert images.max() == 255
    assert np.array_equal(np.rint(images[:, 0] * (16 / 255)), load_digits().images)
    assert pictures.n_test == 0


def test_mnist_in_the_data_folder(tmp_path: Path) -> None:
    write_mnist(tmp_path / "data")
    source = find_source(MNIST, cache_dir=tmp_path / "cache", data_dir=tmp_path / "data")
    pictures = source.open()
    assert (len(pictures.labels_N), pictures.n_test, pictures.shape) == (60, 20, (1, 28, 28))
    train = datasets.MNIST(tmp_path / "data", train=True)
    assert np.array_equal(pictures.read(7)[0], train.data[7].numpy())
    assert pictures.labels_N[40:].tolist() == [index % 10 for index in range(20)]


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.CIFAR10, "_check_integrity", lambda _: True)
    monkeypatch.setattr(datasets.CIFAR10, "_load_meta", lambda _: None)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 3 * 32 * 32), dtype=np.uint8)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"):
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": [index % 10 for index in range(20)]}))

    pictures = find_source(DataConfig(name="cifar10"), cache_dir=tmp_path / "cache", data_dir=tmp_path).open()
    assert (len(pictures.labels_N), pictures.n_test, pictures.shape) == (120, 20, (3, 32, 32))
    assert np.array_equal(pictures.read(3), pixels[3].reshape(3, 32, 32))
    small = DataConfig(name="cifar10", image_size=16, grayscale=True)
    assert find_source(small, cache_dir=tmp_path, data_dir=tmp_path).open().read(0).shape == (1, 16, 16)


def test_downloaded_where_it_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []

    def download(self: datasets.MNIST) -> None:
        calls.append(Path(self.root))
        write_mnist(Path(self.root))

    monkeypatch.setattr(datasets.MNIST, "download", download)
    for _ in range(2):
        find_source(MNIST, cache_dir=tmp_path / "cache", data_dir=tmp_path / "data")
    assert calls == [tmp_path / "cache" / "downloads"]


@pytest.mark.parametrize("data_dir", ["data", None])
def test_neither_found_nor_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_dir: str | None) -> None:
    def download(self: datasets.MNIST) -> None:
        raise RuntimeError("Error downloading train-images:\nTried http://mirror, got:\nName or service not known\n")

    monkeypatch.setattr(datasets.MNIST, "download", download)
    with pytest.raises(DataError, match="failed: Name or service not known") as caught:
        find_source(MNIST, cache_dir=tmp_path / "cache", data_dir=None if data_dir is None else tmp_path / data_dir)
    message = str(caught.value)
    assert str(tmp_path / "cache" / "downloads") in message
    assert ("SWEEPER_DATA is not set" in message) == (data_dir is None)
    assert (str(tmp_path / "data") in message) == (data_dir is not None)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    images = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:1000])
    with pytest.raises(DataError, match=rf"mnist in {tmp_path} cannot be read"):
        find_source(MNIST, cache_dir=tmp_path, data_dir=tmp_path).open()


def test_signature_follows_the_files(tmp_path: Path) -> None:
    write_mnist(tmp_path / "one")
    write_mnist(tmp_path / "two", n_test=30)
    signatures = {
        find_source(MNIST, cache_dir=tmp_path, data_dir=tmp_path / place).signature for place in ("one", "two")
    }
    assert len(signatures) == 2


def test_pictures_of_different_sizes(make_folder: MakeFolder) -> None:
    root = make_folder({"cat": 2})
    make_folder({"dog": 2}, size=(9, 4))
    config = DataConfig(name="folder", path="pictures")
    pictures = find_source(config, cache_dir=root.parent, data_dir=root.parent).open()
    with pytest.raises(DataError, match=r"cat/000\.png is 6x6, .*dog/000\.png is 9x4. Set data\.image_size"):
        pictures.read(2)
    resized = config.model_copy(update={"image_size": 5})
    assert find_source(resized, cache_dir=root.parent, data_dir=root.parent).open().read(2).shape == (3, 5, 5)
