from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
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


def test_fashion_mnist(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    (tmp_path / "MNIST").rename(tmp_path / "FashionMNIST")
    pictures = find_source(DataConfig(name="fashion_mnist"), cache_dir=tmp_path / "cache", data_dir=tmp_path).open()
    assert (len(pictures.labels_N), pictures.n_test, pictures.class_names[9]) == (60, 20, "Ankle boot")
    assert np.array_equal(pictures.read(45)[0], datasets.FashionMNIST(tmp_path, train=False).data[5].numpy())


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


def write_stl10(folder: Path, *, n_train: int = 20, n_test: int = 10) -> dict[str, np.ndarray]:
    """A small STL-10 in its real format; returns the pictures, (N, 3, 96, 96), of each part."""
    folder.mkdir(parents=True)
    parts = {}
    for part, count in (("train", n_train), ("test", n_test)):
        images = np.random.default_rng(count).integers(0, 256, (count, 3, 96, 96), dtype=np.uint8)
        images.transpose(0, 1, 3, 2).tofile(folder / f"{part}_X.bin")  # column by column
        (np.arange(count) % 10 + 1).astype(np.uint8).tofile(folder / f"{part}_y.bin")
        parts[part] = images
    return parts


def test_stl10_without_its_unlabelled_pictures(tmp_path: Path) -> None:
    images = write_stl10(tmp_path / "stl10_binary")
    pictures = find_source(DataConfig(name="stl10"), cache_dir=tmp_path / "cache", data_dir=tmp_path).open()
    assert (len(pictures.labels_N), pictures.n_test, pictures.shape) == (30, 10, (3, 96, 96))
    assert np.array_equal(pictures.read(7), images["train"][7])
    assert np.array_equal(pictures.read(23), images["test"][3])
    assert pictures.labels_N.tolist() == [*(i % 10 for i in range(20)), *(i % 10 for i in range(10))]
    by_torchvision = datasets.STL10.__dict__["_STL10__loadfile"]
    class_of_files = type("Files", (), {"root": str(tmp_path), "base_folder": "stl10_binary"})()
    theirs, labels = by_torchvision(class_of_files, "test_X.bin", "test_y.bin")
    assert np.array_equal(np.stack([pictures.read(20 + i) for i in range(10)]), theirs)
    assert pictures.labels_N[20:].tolist() == labels.tolist()


def test_damaged_stl10(tmp_path: Path) -> None:
    write_stl10(tmp_path / "stl10_binary")
    (tmp_path / "stl10_binary" / "test_X.bin").write_bytes(b"short")
    with pytest.raises(DataError, match=r"stl10 in .* cannot be read .*test_X.bin has 5 bytes for 10 pictures"):
        find_source(DataConfig(name="stl10"), cache_dir=tmp_path / "cache", data_dir=tmp_path).open()


def test_a_folder_in_the_place_of_files(make_folder: MakeFolder, tmp_path: Path) -> None:
    make_folder({"cat": 2, "dog": 2}, size=(50, 40))
    config = DataConfig(name="stl10", path="pictures")
    source = find_source(config, cache_dir=tmp_path / "cache", data_dir=tmp_path)
    pictures = source.open()
    assert (source.name, pictures.class_names, pictures.shape) == ("stl10", ("cat", "dog"), (3, 96, 96))
    gray = DataConfig(name="mnist", path="pictures")
    assert find_source(gray, cache_dir=tmp_path / "cache", data_dir=tmp_path).open().read(0).shape == (1, 28, 28)
    write_stl10(tmp_path / "stl10_binary")
    elsewhere = DataConfig(name="stl10", path="nowhere")
    assert len(find_source(elsewhere, cache_dir=tmp_path / "cache", data_dir=tmp_path).open().labels_N) == 30


def write_flowers(root: Path, *, with_test: bool = True) -> None:
    """Eight flowers in torchvision's layout: 1 to 3 for training, 4 and 5 for validation, the rest for test."""
    from scipy.io import savemat

    (root / "flowers-102" / "jpg").mkdir(parents=True)
    savemat(root / "flowers-102" / "imagelabels.mat", {"labels": np.array([[3, 1, 2, 1, 2, 102, 3, 1]])})
    parts = {"trnid": np.array([[3, 1, 2]]), "valid": np.array([[4, 5]]), "tstid": np.array([[6, 7, 8]])}
    savemat(root / "flowers-102" / "setid.mat", parts)
    for number in range(1, 9 if with_test else 6):
        pixels = np.full((12, 10, 3), number * 20, dtype=np.uint8)
        Image.fromarray(pixels).save(root / "flowers-102" / "jpg" / f"image_{number:05d}.jpg")


@pytest.mark.parametrize("with_test", [True, False])
def test_flowers(tmp_path: Path, with_test: bool) -> None:
    write_flowers(tmp_path, with_test=with_test)
    config = DataConfig(name="flowers102", image_size=8, resize=9)
    pictures = find_source(config, cache_dir=tmp_path / "cache", data_dir=tmp_path).open()
    assert (pictures.n_validation, pictures.n_test, pictures.shape) == (2, 3 if with_test else 0, (3, 8, 8))
    assert pictures.labels_N.tolist() == [2, 0, 1, 0, 1, *([101, 2, 0] if with_test else [])]
    assert pictures.ids is not None
    assert pictures.ids[3] == "jpg/image_00004.jpg"
    assert abs(int(pictures.read(3).mean()) - 80) <= 1


def test_flowers_that_are_not_all_there(tmp_path: Path) -> None:
    write_flowers(tmp_path)
    (tmp_path / "flowers-102" / "jpg" / "image_00007.jpg").unlink()
    source = find_source(DataConfig(name="flowers102"), cache_dir=tmp_path / "cache", data_dir=tmp_path)
    with pytest.raises(DataError, match=r"lacks 1 of the 3 pictures of its test part, .*jpg/image_00007\.jpg"):
        source.open()
