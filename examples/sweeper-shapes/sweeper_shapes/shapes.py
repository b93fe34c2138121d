"""Discs and rings at random places, with noise."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

import sweeper

CLASSES = ("disc", "ring")


@sweeper.dataset("shapes", class_names=CLASSES, input_shape=(1, 16, 16))
def shapes(
    n: Annotated[int, Field(ge=20, le=100_000)] = 600,
    grain: Annotated[float, Field(ge=0.0, le=255.0)] = 60.0,
    draw: int = 0,
) -> sweeper.Images:
    """Discs and rings of 16×16 pixels.

    Args:
        n: Number of pictures.
        grain: Standard deviation of the noise, in grey levels from 0 to 255.
        draw: Seed of places, sizes and noise.
    """
    rng = np.random.default_rng(draw)
    labels_N = rng.integers(0, len(CLASSES), n)
    radius_N11, x_N11, y_N11 = rng.uniform([[3.0], [5.0], [5.0]], [[5.0], [11.0], [11.0]], (3, n))[..., None, None]
    rows_HW, columns_HW = np.mgrid[:16, :16]
    distance_NHW = np.hypot(columns_HW - x_N11, rows_HW - y_N11)
    ring_NHW = np.abs(distance_NHW - radius_N11) < 1.0
    shape_NHW = np.where(labels_N[:, None, None] == 1, ring_NHW, distance_NHW < radius_N11)
    pixels_NHW = 200.0 * shape_NHW + rng.normal(0.0, grain, shape_NHW.shape)
    return sweeper.Images(images=pixels_NHW.clip(0, 255).astype(np.uint8), labels=labels_N, class_names=CLASSES)
