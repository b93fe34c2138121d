"""Augmentation of training pictures: on batches, on their device, drawn anew for each picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from sweeper.data.colors import adjust, shift_hue, to_luminance
from sweeper.data.warps import affine_by, center_crop, crop_at, perspective_by, rotate_by
from sweeper.errors import InputError
from sweeper.study.config import (
    AffineConfig,
    AugmentConfig,
    CenterCropConfig,
    ColorJitterConfig,
    CustomAugmentationConfig,
    CutoutConfig,
    GrayscaleConfig,
    HorizontalFlipConfig,
    PerspectiveConfig,
    RandomCropConfig,
    RotationConfig,
    VerticalFlipConfig,
    registration_of,
)

__all__ = ["WHITE", "Augmentation", "augment_one", "build_augmentation"]

WHITE = 255.0
"""Pixels are floating point from 0, black, to this."""


class Augmentation(Protocol):
    """Changes pictures at random."""

    def __call__(self, images_NCHW: torch.Tensor, *, generator: torch.Generator | None = None) -> torch.Tensor:
        """Return augmented pictures of the same shape, type and device; the given ones are left as they are.

        `images_NCHW` is floating point from 0 to 255: augmentation comes before normalization, and what comes in from
        outside is 0. Random numbers come from `generator`, a CPU generator, or else from torch's global CPU generator,
        whatever the device: the same seed gives the same pictures everywhere.
        """
        ...


def build_augmentation(configs: Sequence[AugmentConfig]) -> Augmentation | None:
    """The augmentations of `configs` in their order, as one; None where there are none."""
    steps = [_build(config) for config in configs]
    if not steps:
        return None

    def augment(images_NCHW: torch.Tensor, *, generator: torch.Generator | None = None) -> torch.Tensor:
        for step in steps:
            images_NCHW = step(images_NCHW, generator=generator)
        return images_NCHW

    return augment


def augment_one(config: AugmentConfig, pixels_NCHW: torch.Tensor, *, seed: int) -> torch.Tensor:
    """What one augmentation makes of pictures, uint8 (N, C, H, W), to be looked at: drawn with `seed`, and applied to
    each picture whatever its probability."""
    if "probability" in type(config).model_fields:
        config = config.model_copy(update={"probability": 1.0})
    images_NCHW = _build(config)(pixels_NCHW.to(torch.float32), generator=torch.Generator().manual_seed(seed))
    return images_NCHW.round().clamp(0, WHITE).to(torch.uint8)


def _build(config: AugmentConfig) -> Augmentation:
    match config:
        case HorizontalFlipConfig():
            return _flip(config.probability, dim=3)
        case VerticalFlipConfig():
            return _flip(config.probability, dim=2)
        case RotationConfig():
            return _rotation(config.degrees)
        case AffineConfig():
            return _affine(config)
        case PerspectiveConfig():
            return _perspective(config)
        case GrayscaleConfig():
            return _sometimes(config.probability, lambda images_NCHW, _: to_luminance(images_NCHW))
        case CenterCropConfig():
            return lambda images_NCHW, *, generator=None: center_crop(images_NCHW, config.share)
        case RandomCropConfig():
            return _random_crop(config)
        case ColorJitterConfig():
            return _color_jitter(config)
        case CutoutConfig():
            return _cutout(config)
        case CustomAugmentationConfig():
            return _custom(config)


def _flip(probability: float, *, dim: int) -> Augmentation:
    def flip(images_NCHW: torch.Tensor, *, generator: torch.Generator | None = None) -> torch.Tensor:
        flipped_N111 = _uniform(images_NCHW, generator)[:, None, None, None] < probability
        return torch.where(flipped_N111, images_NCHW.flip(dim), images_NCHW)

    return flip


def _rotation(degrees: float) -> Augmentation:
    def rotate(images_NCHW: torch.Tensor, *, generator: torch.Generator | None = None) -> torch.Tensor:
        return rotate_by(images_NCHW, _signed(_uniform(images_NCHW, generator)) * math.radians(degrees))

    return rotate


def _affine(config: AffineConfig) -> Augmentation:
    least, most = config.scale

    def affine(images_NCHW: torch.Tensor, *, generator: torch.Generator | None = None) -> torch.Tensor:
        angle_N, scale_N, shear_N, right_N, down_N = _uniforms(images_NCHW, generator, 5)
        return affine_by(
            images_NCHW,
            _signed(angle_N) * math.radians(config.degrees),
            scales_N=least + scale_N * (most - least),
            shears_N=_signed(shear_N) * math.radians(config.shear),
            shifts_2N=torch.stack((_signed(right_N), _signed(down_N))) * config.translate,
        )

    return affine


def _custom(config: CustomAugmentationConfig) -> Augmentation:
    custom = registration_of(config)
    assert custom is not None

    def augment(images_NCHW: torch.Tensor, *, generator: torch.Generator | None = None) -> torch.Tensor:
        augmented_NCHW: torch.Tensor = custom.call(config, images_NCHW, generator=generator)
        if augmented_NCHW.shape != images_NCHW.shape or augmented_NCHW.dtype != images_NCHW.dtype:
            raise InputError(
                f"augmentation {config.name} makes {augmented_NCHW.dtype} {tuple(augmented_NCHW.shape)} of "
                f"{images_NCHW.dtype} {tuple(images_NCHW.shape)}; needed: the same"
            )
        return augmented_NCHW

    return augment


def _perspective(config: PerspectiveConfig) -> Augmentation:
    def change(images_NCHW: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        moves_N42 = torch.rand((len(images_NCHW), 4, 2), generator=generator, dtype=torch.float64) * config.distortion
        corners_42 = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]], dtype=torch.float64)
        return perspective_by(images_NCHW, corners_42 * (1 - moves_N42))

    return _sometimes(config.probability, change)


def _random_crop(config: RandomCropConfig) -> Augmentation:
    def crop(images_NCHW: torch.Tensor, *, generator: torch.Generator | None = None) -> torch.Tensor:
        edges = []
        for drawn_N, side in zip(_uniforms(images_NCHW, generator, 2), images_NCHW.shape[:1:-1], strict=True):
            room = side * (1 - config.share) + 2 * config.padding
            # Whole pixels, where nothing is enlarged: then nothing is blurred.
            place_N = drawn_N * room if config.share < 1.0 else (drawn_N * (room + 1)).floor_()
            edges.append((place_N - config.padding) / side)
        return crop_at(images_NCHW, config.share, *edges)

    return crop


def _color_jitter(config: ColorJitterConfig) -> Augmentation:
    def jitter(images_NCHW: torch.Tensor, *, generator: torch.Generator | None = None) -> torch.Tensor:
        brightness_N, contrast_N, saturation_N, hue_N = _signed(_uniforms(images_NCHW, generator, 4))
        images_NCHW = adjust(
            images_NCHW,
            white=WHITE,
            brightness_N=1 + brightness_N * config.brightness if config.brightness else None,
            contrast_N=1 + contrast_N * config.contrast if config.contrast else None,
            saturation_N=1 + saturation_N * config.saturation if config.saturation else None,
        )
        return shift_hue(images_NCHW, hue_N * config.hue) if config.hue else images_NCHW

    return jitter


def _cutout(config: CutoutConfig) -> Augmentation:
    def cut(images_NCHW: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        height, width = images_NCHW.shape[2:]
        x_N, y_N = _uniforms(images_NCHW, generator, 2)
        inside_NH, inside_NW = (
            (torch.arange(side, device=images_NCHW.device) + 0.5 - centre_N[:, None] * side).abs_()
            < config.share * side / 2
            for centre_N, side in ((y_N, height), (x_N, width))
        )
        return images_NCHW.masked_fill(inside_NH[:, None, :, None] & inside_NW[:, None, None, :], 0.0)

    return _sometimes(config.probability, cut)


def _sometimes(
    probability: float, change: Callable[[torch.Tensor, torch.Generator | None], torch.Tensor]
) -> Augmentation:
    """Change some of the pictures. Which ones is known on the CPU, so that no device is waited for."""

    def sometimes(images_NCHW: torch.Tensor, *, generator: torch.Generator | None = None) -> torch.Tensor:
        if probability >= 1.0:
            return change(images_NCHW, generator)
        rows_M = (torch.rand(len(images_NCHW), generator=generator) < probability).nonzero()[:, 0]
        if not len(rows_M):
            return images_NCHW
        rows_M = rows_M.to(images_NCHW.device, non_blocking=True)
        return images_NCHW.index_copy(0, rows_M, change(images_NCHW.index_select(0, rows_M), generator))

    return sometimes


def _uniform(images_NCHW: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """One number of [0, 1) a picture, on its device; drawn on the CPU, see `Augmentation`."""
    return _uniforms(images_NCHW, generator, 1)[0]


def _uniforms(images_NCHW: torch.Tensor, generator: torch.Generator | None, n: int) -> torch.Tensor:
    """`n` numbers of [0, 1) a picture, (n, N)."""
    drawn_nN = torch.rand((n, len(images_NCHW)), generator=generator)
    return drawn_nN.to(images_NCHW.device, images_NCHW.dtype, non_blocking=True)


def _signed(drawn: torch.Tensor) -> torch.Tensor:
    """From [0, 1) to [-1, 1)."""
    return 2 * drawn - 1
