from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from sweeper.data.dataset import Dataset
from sweeper.data.gallery import draw_augmentations, draw_classes
from sweeper.data.store import open_dataset
from sweeper.study.config import CutoutConfig, DataConfig, HorizontalFlipConfig, RotationConfig

RED = (214, 39, 40)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    config = DataConfig(name="digits", noise={"3": {"5": 0.5}})
    return open_dataset(config, cache_dir=tmp_path_factory.mktemp("cache"))


def pixels(png: bytes) -> npt.NDArray[np.uint8]:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB"))


def shown(sheet: npt.NDArray[np.uint8], picture_HW: npt.NDArray[np.uint8], factor: int) -> bool:
    """Whether a picture, enlarged by a factor, stands somewhere on a sheet."""
    wanted = picture_HW.repeat(factor, axis=0).repeat(factor, axis=1)
    height, width = wanted.shape
    middle = wanted[height // 2].tobytes()
    for y, row in enumerate(line.tobytes() for line in sheet[..., 0]):
        top = y - height // 2
        x = row.find(middle)
        while x >= 0:
            if top >= 0 and np.array_equal(sheet[top : top + height, x : x + width, 0], wanted):
                return True
            x = row.find(middle, x + 1)
    return False


def test_some_pictures_of_each_class(digits: Dataset) -> None:
    sheet = pixels(draw_classes(digits, per_class=2, seed=3))
    split = digits.train
    n_shown = [0] * 10
    for index in split.indices_M.tolist():
        n_shown[split.labels_N[index]] += shown(sheet, split.images_NCHW[index, 0].numpy(), 12)
    assert n_shown == [2] * 10


def test_the_seed_decides(digits: Dataset) -> None:
    assert draw_classes(digits, seed=1) == draw_classes(digits, seed=1)
    assert draw_classes(digits, seed=1) != draw_classes(digits, seed=2)
    assert draw_classes(digits, part="validation") != draw_classes(digits, part="train")


def test_wrong_labels_are_framed(digits: Dataset) -> None:
    def n_red(dataset: Dataset) -> int:
        return int((pixels(draw_classes(dataset, per_class=30)) == RED).all(axis=2).sum())

    clean = replace(digits, train=replace(digits.train, true_labels_N=digits.train.labels_N))
    assert n_red(digits) > n_red(clean) + 1000


def test_fewer_pictures_than_asked_for_and_no_classes(tmp_path: Path, digits: Dataset) -> None:
    few = replace(digits, train=replace(digits.train, indices_M=digits.train.indices_M[:20]))
    assert pixels(draw_classes(few, per_class=50)).shape[1] > 0
    functions = open_dataset(DataConfig(name="functions", subset=100), cache_dir=tmp_path)
    assert pixels(draw_classes(functions)).shape[1] > 4 * 96


def test_before_and_after(digits: Dataset) -> None:
    configs = [HorizontalFlipConfig(probability=0.0), RotationConfig(degrees=20.0), CutoutConfig(share=0.5)]
    png = draw_augmentations(digits, configs, seed=5)
    assert png == draw_augmentations(digits, configs, seed=5)
    index = int(np.random.default_rng(5).choice(digits.train.indices_M.numpy()))
    before = digits.train.images_NCHW[index, 0]
    assert shown(pixels(png), before.numpy(), 12)
    assert shown(pixels(png), before.flip(1).numpy(), 12)


@pytest.mark.parametrize("shape", [(1, 300, 200), (3, 20, 500), (3, 4, 4)])
def test_pictures_of_any_size(digits: Dataset, shape: tuple[int, int, int]) -> None:
    images = torch.randint(0, 256, (6, *shape), dtype=torch.uint8)
    part = replace(
        digits.train, images_NCHW=images, labels_N=torch.arange(6) % 2, indices_M=torch.arange(6), true_labels_N=None
    )
    sheet = pixels(
        draw_classes(replace(digits, train=part, class_names=("a", "a name that is longer than the rest" * 4)))
    )
    assert max(sheet.shape) < 1600


def test_the_paper_is_clear(digits: Dataset) -> None:
    """So that a dark page shows through; text has a label of its own to stand on."""
    sheet = Image.open(io.BytesIO(draw_classes(digits)))
    assert sheet.mode == "RGBA"
    alpha = np.asarray(sheet)[..., 3]
    assert alpha[0, 0] == 0
    assert set(np.unique(alpha).tolist()) == {0, 255}
