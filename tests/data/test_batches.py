from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import psutil
import pytest
import torch

from sweeper.data import batches as module
from sweeper.data.augmentation import build_augmentation
from sweeper.data.batches import DeviceSplit, batches, build_normalization, place_split
from sweeper.data.dataset import Dataset, Split
from sweeper.data.store import open_dataset
from sweeper.errors import DataError
from sweeper.study.config import DataConfig, HorizontalFlipConfig, RotationConfig

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(DataConfig(name="digits"), cache_dir=tmp_path_factory.mktemp("cache"))


def place(dataset: Dataset, *, normalize: bool | Literal["imagenet"] = True) -> DeviceSplit:
    return place_split(dataset.train, build_normalization(dataset, normalize=normalize), CPU)


def test_in_order(digits: Dataset) -> None:
    images, labels = zip(*batches(place(digits, normalize=False), 100), strict=True)
    assert [len(batch) for batch in images] == [100] * 12 + [21]
    assert images[0].dtype == torch.float32
    indices = digits.train.indices_M
    torch.testing.assert_close(torch.cat(images), digits.train.images_NCHW[indices] / 255)
    assert torch.equal(torch.cat(labels), digits.train.labels_N[indices])


def test_normalized(digits: Dataset) -> None:
    images = torch.cat([batch for batch, _ in batches(place(digits), 64)])
    assert images.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert images.std(correction=0).item() == pytest.approx(1.0, abs=1e-5)


def random_rgb() -> Dataset:
    pixels = torch.randint(0, 256, (50, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    part = Split(images_NCHW=pixels, labels_N=torch.zeros(50, dtype=torch.int64), indices_M=torch.arange(50))
    return Dataset(
        name="random",
        class_names=("a", "b"),
        train=part,
        validation=part,
        test=part,
        mean_C=torch.tensor([0.1, 0.5, 0.9]),
        deviation_C=torch.tensor([0.2, 0.3, 0.4]),
        fingerprint="",
    )


def test_channels_are_normalized_on_their_own() -> None:
    dataset = random_rgb()
    images = torch.cat([batch for batch, _ in batches(place(dataset), 7)])
    mean_C11, deviation_C11 = dataset.mean_C[:, None, None], dataset.deviation_C[:, None, None]
    expected = (dataset.train.images_NCHW / 255 - mean_C11) / deviation_C11
    torch.testing.assert_close(images, expected, rtol=1e-5, atol=1e-5)


def test_shuffled(digits: Dataset) -> None:
    def epoch(seed: int) -> torch.Tensor:
        return torch.cat([y for _, y in batches(place(digits), 32, generator=torch.Generator().manual_seed(seed))])

    assert torch.equal(epoch(1), epoch(1))
    assert not torch.equal(epoch(1), epoch(2))
    assert torch.equal(epoch(1).bincount(), torch.tensor(digits.train.class_counts(10)))


def test_an_order_may_repeat_and_leave_out(digits: Dataset) -> None:
    split = place(digits)
    order = torch.tensor([5, 5, 3, 0, 1200])
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    images, labels = zip(*batches(split, 2, generator=generator, order_M=order), strict=True)
    assert [len(batch) for batch in images] == [2, 2, 1]
    assert torch.equal(torch.cat(labels), split.labels_M[order])
    assert torch.equal(torch.cat(images), torch.cat([batch for batch, _ in batches(split, 64)])[order])
    assert torch.equal(generator.get_state(), state)


def test_targets_of_a_regression_come_in_the_place_of_labels(digits: Dataset) -> None:
    targets = torch.randn(len(digits.train.labels_N), 3, generator=torch.Generator().manual_seed(0))
    regression = replace(digits, train=replace(digits.train, targets_NT=targets))
    split = place(regression)
    generator = torch.Generator().manual_seed(1)
    (images, drawn), *_ = batches(split, 50, generator=generator)
    assert drawn.shape == (50, 3)
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(1))[:50]
    assert torch.equal(drawn, targets[digits.train.indices_M[order]])
    assert torch.equal(images, torch.cat([batch for batch, _ in batches(split, 50, order_M=order)]))


def test_true_labels_are_those_of_the_part(digits: Dataset) -> None:
    assert place(digits).true_labels_M is None
    true = 9 - digits.train.labels_N
    split = place(replace(digits, train=replace(digits.train, true_labels_N=true)))
    assert split.true_labels_M is not None
    assert torch.equal(split.true_labels_M, 9 - split.labels_M)


def test_imagenet_statistics() -> None:
    images = torch.cat([batch for batch, _ in batches(place(random_rgb(), normalize="imagenet"), 7)])
    assert images[:, 0].min().item() == pytest.approx(-0.485 / 0.229, abs=1e-3)
    assert images[:, 2].max().item() == pytest.approx((1 - 0.406) / 0.225, abs=1e-3)


def test_imagenet_statistics_need_three_channels(digits: Dataset) -> None:
    with pytest.raises(DataError, match=r"given imagenet.*digits have 1 channel.*allowed: true or false"):
        build_normalization(digits, normalize="imagenet")


def test_labels_stay_with_their_pictures(digits: Dataset) -> None:
    known = {
        bytes(digits.train.images_NCHW[index].flatten().tolist()): int(digits.train.labels_N[index])
        for index in digits.train.indices_M
    }
    generator = torch.Generator().manual_seed(0)
    for images, labels in batches(place(digits, normalize=False), 50, generator=generator):
        pixels = (images * 255).round().to(torch.uint8)
        for picture, label in zip(pixels, labels.tolist(), strict=True):
            assert known[bytes(picture.flatten().tolist())] == label


def test_augmented_before_normalization(digits: Dataset) -> None:
    split = place(digits)
    augmentation = build_augmentation([RotationConfig(degrees=45.0)])
    generator = torch.Generator().manual_seed(0)
    images = torch.cat([batch for batch, _ in batches(split, 64, generator=generator, augmentation=augmentation)])
    black = (-digits.mean_C / digits.deviation_C).item()
    assert images.min().item() == pytest.approx(black, abs=1e-4)


def test_augmentation_draws_from_the_generator(digits: Dataset) -> None:
    augmentation = build_augmentation([HorizontalFlipConfig()])

    def epoch(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.cat([x for x, _ in batches(place(digits), 32, generator=generator, augmentation=augmentation)])

    before = torch.get_rng_state()
    assert torch.equal(epoch(1), epoch(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_are_new_memory(digits: Dataset) -> None:
    split = place(digits)
    first, _ = next(batches(split, 8))
    first.zero_()
    assert next(batches(split, 8))[0].abs().sum() > 0


def test_on_the_cpu_nothing_is_copied(digits: Dataset) -> None:
    assert place(digits).images_NCHW.data_ptr() == digits.train.images_NCHW.data_ptr()


def test_moved_in_pieces(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is moved to another device are the pictures of the part, in its order."""
    monkeypatch.setattr(module, "_BYTES_AT_ONCE", 1000)
    moved = module._move(digits.validation, CPU)
    assert torch.equal(moved, digits.validation.images_NCHW[digits.validation.indices_M])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("fits", [True, False])
def test_cuda_gives_the_same_batches(digits: Dataset, monkeypatch: pytest.MonkeyPatch, fits: bool) -> None:
    monkeypatch.setattr(module, "_fits", lambda *_: fits)
    normalization = build_normalization(digits, normalize=True)
    on_gpu = place_split(digits.train, normalization, torch.device("cuda"))
    assert on_gpu.images_NCHW.is_cuda == fits
    here = batches(place(digits), 64, generator=torch.Generator().manual_seed(1))
    there = batches(on_gpu, 64, generator=torch.Generator().manual_seed(1))
    for (images, labels), (gpu_images, gpu_labels) in zip(here, there, strict=True):
        torch.testing.assert_close(gpu_images.cpu(), images)
        assert torch.equal(gpu_labels.cpu(), labels)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux")
def test_an_epoch_leaves_the_memory_map_shared(digits: Dataset) -> None:
    for _ in batches(place(digits), 64, generator=torch.Generator().manual_seed(0)):
        pass
    (images,) = [part for part in psutil.Process().memory_maps() if part.path.endswith("images.npy")]
    assert images.private_dirty == 0
