"""Augmentations that move pixels: a place in the picture for each place in the result, bilinear, black outside."""

from __future__ import annotations

import torch
from torch.nn import functional

__all__ = ["affine_by", "center_crop", "crop_at", "perspective_by", "rotate_by"]

# Not kornia, whose functions do more around the same grid_sample. Milliseconds of CPU on one core of an AMD EPYC, best
# of 40, kornia 0.9.0 against these:
#                   32 x 1 x 28 x 28    32 x 3 x 64 x 64    128 x 3 x 64 x 64
#   rotate_by       1.11    0.54        4.9     4.9         21.8    15.1
#   affine_by       1.48    0.51        6.8     6.7         15.6    15.6
#   perspective_by  1.60    0.57        7.6     5.8         13.9    11.2
#   center_crop     1.67    0.17        7.4     1.7         10.6     6.8


def rotate_by(images_NCHW: torch.Tensor, radians_N: torch.Tensor) -> torch.Tensor:
    """Rotate each picture about its centre by its own angle, counter-clockwise."""
    ones_N, zeros_N = torch.ones_like(radians_N), torch.zeros_like(radians_N)
    return affine_by(images_NCHW, radians_N, scales_N=ones_N, shears_N=zeros_N, shifts_2N=zeros_N.expand(2, -1))


def affine_by(
    images_NCHW: torch.Tensor,
    radians_N: torch.Tensor,
    *,
    scales_N: torch.Tensor,
    shears_N: torch.Tensor,
    shifts_2N: torch.Tensor,
) -> torch.Tensor:
    """Enlarge each picture about its centre, shear it, rotate it counter-clockwise, and shift it.

    Args:
        images_NCHW: The pictures.
        radians_N: Angles.
        scales_N: Factors by which pictures are enlarged.
        shears_N: Angles, in radians, by which vertical lines are tilted, their lower end to the right.
        shifts_2N: Shares of the width, to the right, and of the height, downwards.
    """
    _, _, height, width = images_NCHW.shape
    cos_N, sin_N, tan_N = radians_N.cos(), radians_N.sin(), shears_N.tan()
    # From the result back to the picture, in units of half its width and half its height, y down.
    xx_N, xy_N = (cos_N - tan_N * sin_N) / scales_N, -(sin_N + tan_N * cos_N) / scales_N * (height / width)
    yx_N, yy_N = sin_N / scales_N * (width / height), cos_N / scales_N
    right_N, down_N = 2 * shifts_2N[0], 2 * shifts_2N[1]
    x_N, y_N = -(xx_N * right_N + xy_N * down_N), -(yx_N * right_N + yy_N * down_N)
    return _sample(images_NCHW, torch.stack((xx_N, xy_N, x_N, yx_N, yy_N, y_N), dim=1).view(-1, 2, 3))


def crop_at(images_NCHW: torch.Tensor, share: float, lefts_N: torch.Tensor, tops_N: torch.Tensor) -> torch.Tensor:
    """Cut a piece out of each picture and enlarge it to the whole.

    Args:
        images_NCHW: The pictures.
        share: Side of the piece, as a share of the picture's side.
        lefts_N: Left edge of each piece, as a share of the width; may lie outside.
        tops_N: Upper edge, as a share of the height.
    """
    zeros_N = torch.zeros_like(lefts_N)
    shares_N = torch.full_like(lefts_N, share)
    x_N, y_N = 2 * lefts_N + share - 1, 2 * tops_N + share - 1  # the middle of the piece
    return _sample(images_NCHW, torch.stack((shares_N, zeros_N, x_N, zeros_N, shares_N, y_N), dim=1).view(-1, 2, 3))


def center_crop(images_NCHW: torch.Tensor, share: float) -> torch.Tensor:
    """Cut out the middle, whole pixels, and enlarge it to the whole."""
    height, width = images_NCHW.shape[2:]
    cut_height, cut_width = max(1, round(share * height)), max(1, round(share * width))
    top, left = (height - cut_height) // 2, (width - cut_width) // 2
    middle_NCHW = images_NCHW[:, :, top : top + cut_height, left : left + cut_width]
    return functional.interpolate(middle_NCHW, size=(height, width), mode="bilinear", align_corners=False)


def perspective_by(images_NCHW: torch.Tensor, corners_N42: torch.Tensor) -> torch.Tensor:
    """Move the corners of each picture, and all between them as in a view of a plane.

    `corners_N42` has where the upper left, upper right, lower right and lower left corner go, x and y from -1 to 1.
    """
    height, width = images_NCHW.shape[2:]
    device, dtype = images_NCHW.device, images_NCHW.dtype
    # Eight small equations a picture, which no device solves faster than the CPU.
    maps_N33 = _homographies(corners_N42.to("cpu", torch.float64)).to(device, dtype)
    x_W = (torch.arange(width, device=device, dtype=dtype) * 2 + 1) / width - 1
    y_H = (torch.arange(height, device=device, dtype=dtype) * 2 + 1) / height - 1
    # Row by column: a place's three coordinates are sums of a term for its x and a term for its y.
    places_NHW3 = maps_N33[:, None, None, :, 0] * x_W[:, None] + (
        maps_N33[:, None, None, :, 1] * y_H[:, None, None] + maps_N33[:, None, None, :, 2]
    )
    grid_NHW2 = places_NHW3[..., :2] / places_NHW3[..., 2:]
    return functional.grid_sample(images_NCHW, grid_NHW2, align_corners=False)


def _homographies(corners_N42: torch.Tensor) -> torch.Tensor:
    """(N, 3, 3): from places in the result to places in the picture, whose corners went to `corners_N42`."""
    to_42 = torch.tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=corners_N42.dtype)
    x_N4, y_N4 = corners_N42.unbind(dim=2)
    ones_N4, zeros_N4 = torch.ones_like(x_N4), torch.zeros_like(x_N4)
    u_N4, v_N4 = (to_42[:, axis].expand_as(x_N4) for axis in (0, 1))
    rows_N48 = torch.stack((x_N4, y_N4, ones_N4, zeros_N4, zeros_N4, zeros_N4, -x_N4 * u_N4, -y_N4 * u_N4), dim=2)
    more_N48 = torch.stack((zeros_N4, zeros_N4, zeros_N4, x_N4, y_N4, ones_N4, -x_N4 * v_N4, -y_N4 * v_N4), dim=2)
    solved_N8 = torch.linalg.solve(torch.cat((rows_N48, more_N48), dim=1), torch.cat((u_N4, v_N4), dim=1))
    return torch.cat((solved_N8, ones_N4[:, :1]), dim=1).view(-1, 3, 3)


def _sample(images_NCHW: torch.Tensor, maps_N23: torch.Tensor) -> torch.Tensor:
    grid_NHW2 = functional.affine_grid(maps_N23, list(images_NCHW.shape), align_corners=False)
    return functional.grid_sample(images_NCHW, grid_NHW2, align_corners=False)
