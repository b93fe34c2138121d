from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from sweeper.data.warps import affine_by, center_crop, crop_at, perspective_by, rotate_by

SMOOTH = ndimage.gaussian_filter(np.random.default_rng(0).random((40, 60)), 2).astype(np.float32)
IMAGE = torch.from_numpy(SMOOTH)[None, None]


@pytest.mark.parametrize("degrees", [8.0, -33.0, 90.0])
def test_rotation_agrees_with_pil_and_scipy(degrees: float) -> None:
    rotated = rotate_by(IMAGE, torch.tensor([math.radians(degrees)]))[0, 0].numpy()
    by_pil = np.asarray(Image.fromarray(SMOOTH).rotate(degrees, Image.Resampling.BILINEAR))
    by_scipy = ndimage.rotate(SMOOTH, degrees, reshape=False, order=1)
    # At the border the three blend with black in different ways.
    covered = ndimage.rotate(np.ones_like(SMOOTH), degrees, reshape=False, order=1)
    inner = ndimage.binary_erosion(covered > 0.99, iterations=2)
    assert inner.sum() > 500
    assert np.abs(rotated - by_pil)[inner].max() < 2e-3
    assert np.abs(rotated - by_scipy)[inner].max() < 1e-4


def test_what_comes_in_from_outside_is_black() -> None:
    rotated = rotate_by(torch.ones(1, 1, 20, 20), torch.tensor([math.pi / 4]))
    assert rotated[0, 0, [0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [0.0] * 4
    assert rotated[0, 0, 10, 10] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("degrees", "scale", "shear", "shift"),
    [(0, 1.0, 0, (6, 0)), (0, 1.3, 0, (0, -4)), (0, 1.0, 15, (0, 0)), (25, 0.8, 10, (3, 5)), (-40, 1.2, -20, (-6, 2))],
)
def test_affine_agrees_with_torchvision(degrees: float, scale: float, shear: float, shift: tuple[int, int]) -> None:
    ours = affine_by(
        IMAGE,
        torch.tensor([math.radians(degrees)]),
        scales_N=torch.tensor([scale]),
        shears_N=torch.tensor([math.radians(shear)]),
        shifts_2N=torch.tensor([[shift[0] / 60], [shift[1] / 40]]),
    )
    # torchvision turns clockwise, and tilts by a matrix of which this is the transpose.
    theirs = reference.affine(
        IMAGE,
        angle=-degrees,
        translate=list(shift),
        scale=scale,
        shear=[-shear, 0.0],
        interpolation=InterpolationMode.BILINEAR,
    )
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_pictures_of_a_batch_are_moved_each_by_its_own() -> None:
    radians_N = torch.tensor([0.1, -0.4, 2.0])
    together = rotate_by(IMAGE.expand(3, -1, -1, -1), radians_N)
    for row in range(3):
        torch.testing.assert_close(together[row : row + 1], rotate_by(IMAGE, radians_N[row : row + 1]))


def test_perspective_agrees_with_torchvision() -> None:
    start, end = [[0, 0], [60, 0], [60, 40], [0, 40]], [[5, 2], [50, 8], [55, 30], [1, 36]]
    theirs = reference.perspective(IMAGE, start, end, interpolation=InterpolationMode.BILINEAR)
    ours = perspective_by(IMAGE, (torch.tensor(end) / torch.tensor([30.0, 20.0]) - 1)[None])
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_perspective_of_corners_that_stay() -> None:
    corners = torch.tensor([[[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]])
    torch.testing.assert_close(perspective_by(IMAGE, corners), IMAGE, atol=1e-4, rtol=0)


def test_crops_agree_with_torchvision() -> None:
    theirs = reference.resized_crop(IMAGE, 10, 15, 20, 30, [40, 60], antialias=False)
    torch.testing.assert_close(center_crop(IMAGE, 0.5), theirs)
    ours = crop_at(IMAGE, 0.5, torch.tensor([0.25]), torch.tensor([0.25]))
    # At its border a piece sees its neighbours, where a piece that was cut out first repeats its border.
    torch.testing.assert_close(ours[..., 1:-1, 1:-1], theirs[..., 1:-1, 1:-1], atol=1e-4, rtol=0)
