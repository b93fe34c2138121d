"""The configurations that all of them try: a grid, so that all have the same work. Without torch."""

from __future__ import annotations

from itertools import product

WIDTHS, BATCH_SIZES = (64, 96, 128, 192, 256), (32, 64, 96, 128)
GRID = [{"width": width, "batch_size": batch_size} for width, batch_size in product(WIDTHS, BATCH_SIZES)]
LEARNING_RATE = 1e-3
