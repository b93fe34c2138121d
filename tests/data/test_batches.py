from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch

from sweeper.data import batches as module
from sweeper.data.augmentation import build_augmentation
from sweeper.data.batches import DeviceSplit, batches, build_normalization, place_split
from sweeper.data.dataset import Dataset
from sweeper.data.store import open_dataset
from sweeper.study.config import DataConfig, HorizontalFlipConfig, RotationConfig

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(DataConfig(name="digits"), cache_dir=tmp_path_factory.mktemp("cache"))


def place(dataset: Dataset, *, normalize: bool = True) -> DeviceSplit:
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


def test_channels_are_normalized_on_their_own() -> None:
    from sweeper.data.dataset import Split

    pixels = torch.randint(0, 256, (50, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    part = Split(images_NCHW=pixels, labels_N=torch.zeros(50, dtype=torch.int64), indices_M=torch.arange(50))
    mean_C, deviation_C = torch.tensor([0.1, 0.5, 0.9]), torch.tensor([0.2, 0.3, 0.4])
    dataset = Dataset(
        name="random",
        class_names=("a", "b"),
        train=part,
        validation=part,
        test=part,
        mean_C=mean_C,
        deviation_C=deviation_C,
        fingerprint="",
    )
    images = torch.cat([batch for batch, _ in batches(place(dataset), 7)])
    expected = (pixels / 255 - mean_C[:, None, None]) / deviation_C[:, None, None]
    torch.testing.assert_close(images, expected, rtol=1e-5, atol=1e-5)


def test_shuffled(digits: Dataset) -> None:
    def epoch(seed: int) -> torch.Tensor:
        return torch.cat([y for _, y in batches(place(digits), 32, generator=torch.Generator().manual_seed(seed))])

    assert torch.equal(epoch(1), epoch(1))
    assert not torch.equal(epoch(1), epoch(2))
    assert torch.equal(epoch(1).bincount(), torch.tensor(digits.train.class_counts(10)))


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
