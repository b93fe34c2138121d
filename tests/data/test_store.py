from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from sweeper.data import functions
from sweeper.data.dataset import Dataset, Split
from sweeper.data.functions import functions_of
from sweeper.data.store import open_dataset
from sweeper.errors import DataError
from sweeper.study.config import DataConfig
from tests.data.conftest import MakeFolder

FOLDER = DataConfig(name="folder", path="pictures")


class Opener:
    """Opens data sets and counts how often pictures were decoded."""

    def __init__(self, root: Path) -> None:
        self.data_dir = root
        self.cache_dir = root / "cache"
        self.n_decoded = 0

    def __call__(self, config: DataConfig = FOLDER) -> Dataset:
        return open_dataset(config, cache_dir=self.cache_dir, data_dir=self.data_dir, on_progress=self._count)

    def _count(self, done: int, total: int) -> None:
        self.n_decoded += done == total

    def stored(self, name: str) -> Path:
        (found,) = self.cache_dir.glob(f"decoded/*/{name}")
        return found


@pytest.fixture
def opener(make_folder: MakeFolder, tmp_path: Path) -> Opener:
    make_folder({"cat": 20, "dog": 30})
    return Opener(tmp_path)


def assert_same(one: Dataset, other: Dataset) -> None:
    assert one.fingerprint == other.fingerprint
    assert torch.equal(one.train.images_NCHW, other.train.images_NCHW)
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(one, part).indices_M, getattr(other, part).indices_M)


def test_digits_end_to_end(tmp_path: Path) -> None:
    dataset = open_dataset(DataConfig(name="digits"), cache_dir=tmp_path)
    assert dataset.name == "digits"
    assert dataset.input_shape == (1, 8, 8)
    assert dataset.n_classes == 10
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (1221, 216, 360)
    seen = dataset.train.images_NCHW[dataset.train.indices_M] / 255
    assert dataset.mean_C.item() == pytest.approx(seen.mean().item(), rel=1e-5)
    assert dataset.deviation_C.item() == pytest.approx(seen.std(correction=0).item(), rel=1e-5)
    assert sum(dataset.train.class_counts(10)) == 1221
    assert_same(dataset, open_dataset(DataConfig(name="digits"), cache_dir=tmp_path))


def test_folder_holds_what_was_in_the_files(opener: Opener) -> None:
    dataset = opener()
    assert dataset.name == "pictures"
    assert dataset.class_names == ("cat", "dog")
    pixels = np.asarray(Image.open(opener.data_dir / "pictures" / "dog" / "004.png"))
    assert np.array_equal(dataset.train.images_NCHW[24].numpy(), pixels.transpose(2, 0, 1))
    assert dataset.train.labels_N.tolist() == [0] * 20 + [1] * 30


def test_a_test_folder_is_the_test_part(make_folder: MakeFolder, tmp_path: Path) -> None:
    make_folder({"train/cat": 10, "train/dog": 10, "test/cat": 3, "test/dog": 4})
    assert Opener(tmp_path)().test.indices_M.tolist() == list(range(20, 27))


def test_decoded_once(opener: Opener) -> None:
    first = opener()
    assert_same(first, opener())
    other = opener(FOLDER.model_copy(update={"split_seed": 1}))
    assert opener.n_decoded == 1
    assert other.fingerprint != first.fingerprint
    opener(FOLDER.model_copy(update={"image_size": 4}))
    opener(FOLDER.model_copy(update={"grayscale": True}))
    assert opener.n_decoded == 3


def test_options_that_change_no_pixel_share_a_store(tmp_path: Path) -> None:
    for options in ({}, {"image_size": 8}, {"grayscale": True}):
        open_dataset(DataConfig.model_validate({"name": "digits", **options}), cache_dir=tmp_path)
    assert len(list(tmp_path.glob("decoded/*/meta.json"))) == 1


def test_pictures_are_called_by_their_place_or_their_index(opener: Opener, tmp_path: Path) -> None:
    ids = opener().picture_ids
    assert ids[:2] == ("cat/000.png", "cat/001.png")
    assert ids == opener(FOLDER.model_copy(update={"classes": ("dog", "cat")})).picture_ids
    digits = open_dataset(DataConfig(name="digits"), cache_dir=tmp_path)
    assert digits.picture_ids == tuple(map(str, range(1797)))


def test_labels_and_classes_share_a_store(opener: Opener, tmp_path: Path) -> None:
    def opened(**options: object) -> Dataset:
        return opener(DataConfig.model_validate({"name": "folder", "path": "pictures", "validation": 8, **options}))

    corrected = tmp_path / "labels.csv"
    corrected.write_text("picture,label\ncat/000.png,dog\n")
    seen = [
        opened(),
        opened(noise={"cat": {"dog": 4}}),
        opened(noise={"cat": {"dog": 5}}),
        opened(classes=["dog", "cat"]),
        opened(classes={"dog": "dog", "kitten": "cat"}),
        opened(counts={"cat": 12}),
        opened(subset=20),
        opened(test=0.1),
    ]
    assert opener.n_decoded == 1
    assert len({dataset.fingerprint for dataset in seen}) == len(seen)
    assert len({dataset.content for dataset in seen}) == 1
    test_ids = {seen[0].picture_ids[index] for index in seen[0].test.indices_M}
    first, second = [picture for picture in seen[0].picture_ids if picture not in test_ids][:2]
    fingerprints = set()
    for picture in (first, second):
        corrected.write_text(f"picture,label\n{picture},dog\n")
        fingerprints.add(opened(relabel=str(corrected)).fingerprint)
    assert len(fingerprints | {seen[0].fingerprint}) == 3


def test_true_labels_are_kept_beside_the_given_ones(opener: Opener) -> None:
    config = DataConfig.model_validate({"name": "folder", "path": "pictures", "noise": {"dog": {"cat": 10}}})
    for dataset in (opener(config), opener(config)):
        given = [part.class_counts(2) for part in (dataset.train, dataset.validation)]
        true = [part.true_class_counts(2) for part in (dataset.train, dataset.validation)]
        assert np.sum(given, axis=0).tolist() == [26, 14]
        assert np.sum([counts or [] for counts in true], axis=0).tolist() == [16, 24]
    assert opener().train.true_class_counts(2) is None


def test_other_functions_are_drawn_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def count() -> int:
        dataset = open_dataset(DataConfig(name="functions"), cache_dir=tmp_path)
        return len(dataset.train) + len(dataset.validation) + len(dataset.test)

    assert count() == functions.N_VECTORS
    monkeypatch.setattr(functions, "N_VECTORS", 500)
    monkeypatch.setattr(functions, "SIGNATURE", "500 vectors")
    assert count() == 500


def test_functions_end_to_end(tmp_path: Path) -> None:
    for _ in range(2):
        dataset = open_dataset(DataConfig(name="functions", train=1000, validation=500), cache_dir=tmp_path)
        assert dataset.output_names == ("y_0", "y_1", "y_2")
        assert (dataset.class_names, dataset.input_shape) == ((), (1, 8, 8))
        assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (1000, 500, 12_000)
        assert dataset.train.targets_NT is not None
        index = int(dataset.train.indices_M[7])
        expected = functions_of(dataset.train.images_NCHW[index : index + 1].numpy())[0]
        assert dataset.train.targets_NT[index].numpy() == pytest.approx(expected)


def test_progress_is_counted_in_pictures(make_folder: MakeFolder, tmp_path: Path) -> None:
    make_folder({"cat": 70, "dog": 80}, size=(2, 2))
    calls: list[tuple[int, int]] = []
    open_dataset(FOLDER, cache_dir=tmp_path, data_dir=tmp_path, on_progress=lambda *call: calls.append(call))
    assert calls == [(64, 150), (128, 150), (150, 150)]


def test_changed_source_is_decoded_anew(opener: Opener) -> None:
    before = opener()
    Image.new("RGB", (6, 6), "red").save(opener.data_dir / "pictures" / "cat" / "000.png")
    after = opener()
    assert opener.n_decoded == 2
    assert after.train.images_NCHW[0, :, 0, 0].tolist() == [255, 0, 0]
    assert after.fingerprint != before.fingerprint


def test_fingerprint_is_that_of_the_contents(opener: Opener) -> None:
    before = opener()
    os.utime(opener.data_dir / "pictures" / "cat" / "000.png", ns=(0, 0))
    assert opener().fingerprint == before.fingerprint
    assert opener.n_decoded == 2


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "meta.json", "splits/*.npz"])
@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "gone"])
def test_damaged_store_is_rebuilt(opener: Opener, name: str, damage: str) -> None:
    before = opener()
    content = before.train.images_NCHW.clone()
    path = opener.stored(name)
    match damage:
        case "cut":
            os.truncate(path, path.stat().st_size - 10)
        case "garbage":
            path.write_bytes(b"\x93garbage")
        case "empty":
            path.write_bytes(b"")
        case "gone":
            path.unlink()
    after = opener()
    assert after.fingerprint == before.fingerprint
    assert torch.equal(after.train.images_NCHW, content)
    assert opener.n_decoded == (1 if name.startswith("splits") else 2)


def test_meta_that_does_not_fit_its_pictures(opener: Opener) -> None:
    opener()
    path = opener.stored("meta.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"shape": [1, 2, 3, 4]}))
    opener()
    assert opener.n_decoded == 2


def test_failed_decoding_leaves_nothing(opener: Opener) -> None:
    path = opener.data_dir / "pictures" / "dog" / "029.png"
    content = path.read_bytes()
    path.write_bytes(b"broken")
    with pytest.raises(DataError, match=r"dog/029\.png"):
        opener()
    assert [entry.suffix for entry in (opener.cache_dir / "decoded").iterdir()] == [".lock"]
    path.write_bytes(content)
    opener()


def test_writing_into_the_pictures_changes_neither_the_file_nor_others(opener: Opener) -> None:
    one = opener()
    value = int(one.train.images_NCHW[0, 0, 0, 0])
    one.train.images_NCHW[0, 0, 0, 0] = 255 - value
    assert opener().train.images_NCHW[0, 0, 0, 0] == value


def _open_together(root: Path, barrier: Barrier, results: Any) -> None:
    torch.set_num_threads(1)
    opener = Opener(root)
    barrier.wait(timeout=60)
    dataset = opener()
    results.put((opener.n_decoded, dataset.fingerprint, int(dataset.train.images_NCHW.sum())))


def test_processes_that_open_it_at_once_decode_once(make_folder: MakeFolder, tmp_path: Path) -> None:
    make_folder({"cat": 150, "dog": 150}, size=(64, 64))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sweeper.data.store"])  # torch is imported once, not in each process
    barrier, results = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_open_together, args=(tmp_path, barrier, results)) for _ in range(4)]
    for process in processes:
        process.start()
    try:
        seen = [results.get(timeout=60) for _ in processes]
    except Empty:
        pytest.fail(f"exit codes of the processes: {[process.exitcode for process in processes]}")
    finally:
        for process in processes:
            process.join(timeout=30)
            process.kill()
    assert sum(n_decoded for n_decoded, _, _ in seen) == 1
    assert len({result[1:] for result in seen}) == 1


def test_killed_in_the_middle_leaves_nothing_behind(opener: Opener) -> None:
    # exec'd, so that it dies as by SIGKILL: no clean-up of any kind
    code = (
        "import os, sys; from pathlib import Path; from sweeper.data.store import open_dataset; "
        "from sweeper.study.config import DataConfig; root = Path(sys.argv[1]); "
        "open_dataset(DataConfig(name='folder', path='pictures'), cache_dir=root / 'cache', data_dir=root, "
        "on_progress=lambda done, total: os._exit(9))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(opener.data_dir)], check=False)
    assert done.returncode == 9
    left = [entry.suffix for entry in (opener.cache_dir / "decoded").iterdir()]
    assert ".partial" in left
    opener()
    left = [entry.suffix for entry in (opener.cache_dir / "decoded").iterdir()]
    assert sorted(left) == ["", ".lock"]


def test_opening_a_prepared_data_set_imports_no_decoder(opener: Opener) -> None:
    opener()
    code = (
        "import sys; from pathlib import Path; from sweeper.data.store import open_dataset; "
        "from sweeper.study.config import DataConfig; root = Path(sys.argv[1]); "
        "open_dataset(DataConfig(name='folder', path='pictures'), cache_dir=root / 'cache', data_dir=root); "
        "print({'sklearn', 'torchvision', 'PIL', 'kornia', 'scipy'} & set(sys.modules) or 'none')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(opener.data_dir)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "none"


def parts(dataset: Dataset) -> list[Split]:
    return [dataset.train, dataset.validation, dataset.test]


@pytest.mark.data
def test_mnist(real_data: Path, tmp_path: Path) -> None:
    dataset = open_dataset(DataConfig(name="mnist"), cache_dir=tmp_path, data_dir=real_data)
    assert [len(part) for part in parts(dataset)] == [51_000, 9_000, 10_000]
    # the figures that everyone uses for all 60,000
    assert dataset.mean_C.item() == pytest.approx(0.1307, abs=5e-4)
    assert dataset.deviation_C.item() == pytest.approx(0.3081, abs=5e-4)
    assert dataset.test.class_counts(10) == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.data
def test_cifar3(real_data: Path, tmp_path: Path) -> None:
    config = DataConfig(name="folder", path="cifar3", validation=1500)
    dataset = open_dataset(config, cache_dir=tmp_path, data_dir=real_data)
    assert dataset.name == "cifar3"
    assert dataset.input_shape == (3, 32, 32)
    assert dataset.class_names == ("automobile", "cat", "truck")
    assert [part.class_counts(3) for part in parts(dataset)] == [[4500] * 3, [500] * 3, [1000] * 3]


@pytest.mark.data
def test_car_truck_cat(real_data: Path, tmp_path: Path) -> None:
    """The table of the study that this set is for: imbalance, and labels that were made wrong."""
    config = DataConfig.model_validate(
        {
            "name": "cifar10",
            "path": "cifar3",
            "classes": {"car": "automobile", "truck": "truck", "cat": "cat"},
            "counts": {"car": 4493, "truck": 449, "cat": 683},
            "noise": {"cat": {"car": 456}},
            "test": {"counts": {"car": 503, "truck": 51, "cat": 71}, "noise": {"cat": {"car": 48}}},
        }
    )
    dataset = open_dataset(config, cache_dir=tmp_path, data_dir=real_data)
    assert dataset.class_names == ("car", "truck", "cat")
    both = [dataset.train, dataset.validation]
    true = [part.true_class_counts(3) for part in parts(dataset)]
    assert all(counts is not None for counts in true)
    assert np.sum([part.class_counts(3) for part in both], axis=0).tolist() == [4949, 449, 227]
    assert np.sum(true[:2], axis=0).tolist() == [4493, 449, 683]
    assert dataset.test.class_counts(3) == [551, 51, 23]
    assert true[2] == [503, 51, 71]
    assert {Path(dataset.picture_ids[index]).parts[0] for index in dataset.test.indices_M} == {"test"}
    for part in parts(dataset):
        assert part.true_labels_N is not None
        own = [Path(dataset.picture_ids[index]).parts[1] for index in part.indices_M]
        assert own == [("automobile", "truck", "cat")[label] for label in part.true_labels_N[part.indices_M]]


@pytest.mark.data
def test_stl10(real_data: Path, tmp_path: Path) -> None:
    config = DataConfig(name="stl10", path="stl10", subset=200)
    dataset = open_dataset(config, cache_dir=tmp_path, data_dir=real_data)
    assert dataset.name == "stl10"
    assert dataset.input_shape == (3, 96, 96)
    assert dataset.test.class_counts(10) == [100] * 10
    assert len(dataset.train) + len(dataset.validation) == 200


@pytest.mark.data
def test_flowers(real_data: Path, tmp_path: Path) -> None:
    def opened(**options: object) -> Dataset:
        config = DataConfig.model_validate({"name": "flowers102", "image_size": 32, "resize": 36, **options})
        return open_dataset(config, cache_dir=tmp_path, data_dir=real_data)

    quarters = opened(split="stratified", test=0.25, validation=0.3333)
    assert [part.class_counts(102) for part in parts(quarters)] == [[10] * 102, [5] * 102, [5] * 102]
    official = opened(test=0.1)
    assert (len(official.train) + len(official.validation), len(official.test)) == (1836, 204)
    assert (official.train.indices_M < 1020).all()
    assert (official.validation.indices_M >= 1020).all()
    torchvision_set = datasets.Flowers102(real_data, split="val")
    labels = dict(zip((Path(path).name for path in torchvision_set._image_files), torchvision_set._labels, strict=True))
    for index in official.validation.indices_M:
        assert labels[Path(official.picture_ids[index]).name] == official.validation.labels_N[index]
