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

from sweeper.data.dataset import Dataset, Split
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
