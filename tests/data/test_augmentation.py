from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from sweeper.data.augmentation import Augmentation, build_augmentation, rotate_by
from sweeper.study.config import AugmentConfig, HorizontalFlipConfig, RotationConfig, VerticalFlipConfig

IMAGES = torch.rand((16, 3, 12, 18), generator=torch.Generator().manual_seed(0))
ALL = (HorizontalFlipConfig(), VerticalFlipConfig(probability=0.3), RotationConfig(degrees=20.0))


def build(*configs: AugmentConfig) -> Augmentation:
    augmentation = build_augmentation(configs)
    assert augmentation is not None
    return augmentation


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nothing_to_do() -> None:
    assert build_augmentation([]) is None


@pytest.mark.parametrize(("kind", "dim"), [(HorizontalFlipConfig, 3), (VerticalFlipConfig, 2)])
def test_flips(kind: type[HorizontalFlipConfig | VerticalFlipConfig], dim: int) -> None:
    assert torch.equal(build(kind(probability=1.0))(IMAGES), IMAGES.flip(dim))
    assert torch.equal(build(kind(probability=0.0))(IMAGES), IMAGES)

    many = IMAGES[:1].expand(4000, -1, -1, -1)
    flipped = build(kind(probability=0.3))(many, generator=seeded(1))
    is_flipped = (flipped == many.flip(dim)).all(dim=(1, 2, 3))
    is_kept = (flipped == many).all(dim=(1, 2, 3))
    assert (is_flipped ^ is_kept).all()
    assert is_flipped.float().mean().item() == pytest.approx(0.3, abs=0.03)


def test_rotation_draws_an_angle_a_picture() -> None:
    same = IMAGES[:1].expand(8, -1, -1, -1)
    rotated = build(RotationConfig(degrees=30.0))(same, generator=seeded(1))
    assert rotated.shape == same.shape
    assert rotated.dtype == same.dtype
    assert len({tuple(picture.flatten().tolist()) for picture in rotated}) == 8


@pytest.mark.parametrize("degrees", [8.0, -33.0, 90.0])
def test_rotation_agrees_with_pil_and_scipy(degrees: float) -> None:
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).random((40, 60)), 2).astype(np.float32)
    images = torch.from_numpy(smooth)[None, None]
    rotated = rotate_by(images, torch.tensor([math.radians(degrees)]))[0, 0].numpy()
    by_pil = np.asarray(Image.fromarray(smooth).rotate(degrees, Image.Resampling.BILINEAR))
    by_scipy = ndimage.rotate(smooth, degrees, reshape=False, order=1)
    # At the border the three blend with black in different ways.
    covered = ndimage.rotate(np.ones_like(smooth), degrees, reshape=False, order=1)
    inner = ndimage.binary_erosion(covered > 0.99, iterations=2)
    assert inner.sum() > 500
    assert np.abs(rotated - by_pil)[inner].max() < 2e-3
    assert np.abs(rotated - by_scipy)[inner].max() < 1e-4


def test_what_comes_in_from_outside_is_black() -> None:
    rotated = rotate_by(torch.ones(1, 1, 20, 20), torch.tensor([math.pi / 4]))
    assert rotated[0, 0, [0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [0.0] * 4
    assert rotated[0, 0, 10, 10] == pytest.approx(1.0)


def test_angles_fill_the_range() -> None:
    """Of a line of one pixel to the right of the centre, the angle can be read off after the rotation."""
    line = torch.zeros(2000, 1, 41, 41)
    line[:, :, 20, 36] = 1.0
    rotated = build(RotationConfig(degrees=25.0))(line, generator=seeded(0))[:, 0]
    y, x = torch.meshgrid(torch.arange(41.0) - 20, torch.arange(41.0) - 20, indexing="ij")
    mass = rotated.sum((1, 2))
    angles = torch.rad2deg(torch.atan2(-(rotated * y).sum((1, 2)) / mass, (rotated * x).sum((1, 2)) / mass))
    assert angles.abs().max().item() == pytest.approx(25.0, abs=1.0)
    assert angles.mean().item() == pytest.approx(0.0, abs=1.5)
    assert angles.std().item() == pytest.approx(50 / math.sqrt(12), abs=1.0)


def test_the_generator_decides() -> None:
    augmentation = build(*ALL)
    first = augmentation(IMAGES, generator=seeded(1))
    assert torch.equal(first, augmentation(IMAGES, generator=seeded(1)))
    assert not torch.equal(first, augmentation(IMAGES, generator=seeded(2)))


def test_without_generator_the_global_seed_decides() -> None:
    augmentation = build(*ALL)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first = augmentation(IMAGES)
        torch.manual_seed(3)
        assert torch.equal(first, augmentation(IMAGES))
        assert not torch.equal(first, augmentation(IMAGES))


def test_given_pictures_are_left_as_they_are() -> None:
    images = IMAGES.clone()
    build(*ALL)(images)
    assert torch.equal(images, IMAGES)


def test_order_is_that_of_the_list() -> None:
    flip, rotation = HorizontalFlipConfig(probability=1.0), RotationConfig(degrees=45.0)
    # A flip draws too, so that the rotation's draws come second after it and first before it.
    generator = seeded(0)
    torch.rand(len(IMAGES), generator=generator)
    rotated_after = build(rotation)(IMAGES.flip(3), generator=generator)
    assert torch.equal(build(flip, rotation)(IMAGES, generator=seeded(0)), rotated_after)
    assert torch.equal(
        build(rotation, flip)(IMAGES, generator=seeded(0)), build(rotation)(IMAGES, generator=seeded(0)).flip(3)
    )
