from __future__ import annotations

import math

import pytest
import torch

from sweeper.data.augmentation import Augmentation, augment_one, build_augmentation
from sweeper.study.config import (
    AffineConfig,
    AugmentConfig,
    CenterCropConfig,
    ColorJitterConfig,
    CutoutConfig,
    GrayscaleConfig,
    HorizontalFlipConfig,
    PerspectiveConfig,
    RandomCropConfig,
    RotationConfig,
    VerticalFlipConfig,
)

IMAGES = 255 * torch.rand((16, 3, 12, 18), generator=torch.Generator().manual_seed(0))
ALL = (
    HorizontalFlipConfig(),
    VerticalFlipConfig(probability=0.3),
    RotationConfig(degrees=20.0),
    AffineConfig(degrees=5.0, translate=0.1, scale=(0.9, 1.2), shear=5.0),
    PerspectiveConfig(),
    GrayscaleConfig(),
    CenterCropConfig(share=0.8),
    RandomCropConfig(share=0.9),
    RandomCropConfig(padding=2),
    ColorJitterConfig(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1),
    CutoutConfig(share=0.3),
)


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


@pytest.mark.parametrize("config", ALL, ids=lambda config: config.name)
@pytest.mark.parametrize("n_channels", [1, 3])
def test_each_keeps_shape_type_and_range(config: AugmentConfig, n_channels: int) -> None:
    images = IMAGES[:, :n_channels].contiguous()
    augmented = build(config)(images, generator=seeded(1))
    assert augmented.shape == images.shape
    assert augmented.dtype == images.dtype
    assert augmented.min() >= -1e-4
    assert augmented.max() <= 255.001
    if n_channels == 3 or config.name != "grayscale":
        assert not torch.allclose(augmented, images)


@pytest.mark.parametrize("kind", [PerspectiveConfig, GrayscaleConfig, CutoutConfig])
def test_probabilities(kind: type[PerspectiveConfig | GrayscaleConfig | CutoutConfig]) -> None:
    options = {"share": 0.5} if kind is CutoutConfig else {}
    many = IMAGES[:1].expand(2000, -1, -1, -1)
    changed = build(kind(probability=0.3, **options))(many, generator=seeded(1))
    is_changed = (changed != many).any(dim=3).any(dim=2).any(dim=1)
    assert is_changed.float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(build(kind(probability=0.0, **options))(IMAGES), IMAGES)


def test_affine_draws_within_its_ranges() -> None:
    """A point right of the centre is moved by a shift, or away from the centre by a scale; where it is, shows which."""
    point = torch.zeros(1000, 1, 41, 41)
    point[:, :, 20, 30] = 1.0
    y, x = torch.meshgrid(torch.arange(41.0) - 20, torch.arange(41.0) - 20, indexing="ij")

    def place(config: AffineConfig) -> tuple[torch.Tensor, torch.Tensor]:
        moved = build(config)(point, generator=seeded(0))[:, 0]
        mass = moved.sum((1, 2))
        return (moved * x).sum((1, 2)) / mass, (moved * y).sum((1, 2)) / mass

    right, down = place(AffineConfig(translate=0.1))
    for shift in (right - 10, down):
        assert shift.abs().max().item() == pytest.approx(4.1, abs=0.1)
        assert shift.mean().item() == pytest.approx(0.0, abs=0.3)
    right, down = place(AffineConfig(scale=(0.5, 1.5)))
    assert (right.min().item(), right.max().item()) == pytest.approx((5.0, 15.0), abs=0.2)
    assert down.abs().max() < 1e-3


def test_perspective_moves_corners_inwards() -> None:
    white = torch.full((200, 1, 40, 40), 255.0)
    seen = build(PerspectiveConfig(distortion=0.5, probability=1.0))(white, generator=seeded(0))
    black = (seen < 1.0)[:, 0]
    assert 0.3 < black[:, 0, 0].float().mean() <= 1.0
    assert not black[:, 10:30, 10:30].any()
    assert len({int(n) for n in black.sum((1, 2))}) > 100


def test_grayscale_is_luminance() -> None:
    gray = build(GrayscaleConfig(probability=1.0))(IMAGES)
    luminance = (IMAGES * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1)
    for channel in range(3):
        torch.testing.assert_close(gray[:, channel], luminance)


def test_center_crop_shows_the_middle() -> None:
    image = torch.zeros(1, 1, 16, 16)
    image[:, :, 4:12, 4:12] = 255.0
    assert (build(CenterCropConfig(share=0.5))(image) == 255.0).all()


def test_random_crops_of_whole_pixels() -> None:
    """Padding and a piece of full size: every shift by whole pixels occurs, and nothing is blurred."""
    image = IMAGES[:1, :, :, :12]
    crops = build(RandomCropConfig(padding=1))(image.expand(200, -1, -1, -1), generator=seeded(0))
    padded = torch.nn.functional.pad(image, (1, 1, 1, 1))[0]
    shifts = [padded[:, top : top + 12, left : left + 12] for top in range(3) for left in range(3)]
    seen = [next(i for i, shift in enumerate(shifts) if (crop - shift).abs().max() < 0.01) for crop in crops]
    assert set(seen) == set(range(9))


def test_random_crops_lie_in_the_picture() -> None:
    ramp = torch.arange(40.0).expand(300, 1, 40, 40)
    middles = build(RandomCropConfig(share=0.5))(ramp, generator=seeded(0))[:, 0, 20, 19:21].mean(dim=1)
    assert (middles.min().item(), middles.max().item()) == pytest.approx((9.5, 29.5), abs=0.5)


def test_color_jitter_draws_a_factor_a_picture() -> None:
    gray = torch.full((1000, 3, 4, 4), 100.0)
    factors = build(ColorJitterConfig(brightness=0.4))(gray, generator=seeded(0))[:, 0, 0, 0] / 100
    assert (factors.min().item(), factors.max().item()) == pytest.approx((0.6, 1.4), abs=0.01)
    assert torch.allclose(build(ColorJitterConfig(saturation=1.0, hue=0.5))(gray), gray, atol=1e-3)


def test_cutout_is_a_square_anywhere() -> None:
    white = torch.full((2000, 3, 20, 20), 255.0)
    cut = build(CutoutConfig(share=0.4))(white, generator=seeded(0))
    sizes = (cut == 0).all(dim=1).sum((1, 2))
    assert sizes.max() == 64
    assert (cut == 0).any(dim=1).float().mean(dim=0).min() > 0.03  # the corners, half as often by each axis


def test_one_to_be_looked_at_is_applied_for_sure() -> None:
    pixels = IMAGES.to(torch.uint8)
    flipped = augment_one(HorizontalFlipConfig(probability=0.0), pixels, seed=0)
    assert torch.equal(flipped, pixels.flip(3))
    jitter = ColorJitterConfig(brightness=0.5)
    assert torch.equal(augment_one(jitter, pixels, seed=1), augment_one(jitter, pixels, seed=1))
    assert not torch.equal(augment_one(jitter, pixels, seed=1), augment_one(jitter, pixels, seed=2))


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
