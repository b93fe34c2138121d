"""Three functions of vectors of 64 numbers: one linear, two that no linear model can learn anything of.

A vector x is laid out as 8×8 and kept as a picture: a number is `pixel / 127.5 - 1`, drawn from the 256 values from -1
to 1, so that the functions are exact for what is kept.

    y_0  Σ w_k x_k with w_k = cos k², k = 0 … 63 row by row: another weight at each place
    y_1  the maximum of |mean| over the 16 squares of 2×2
    y_2  the mean of |difference| over the 56 pairs of horizontal neighbours

Each is shifted and scaled to mean 0 and deviation 1, so that a loss of 1 is that of a model which knows nothing. y_1
and y_2 stay as they are when all signs of x are turned around, so that neither is correlated with any linear function
of x.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["N_VECTORS", "SIGNATURE", "draw_functions", "functions_of"]

# Of fewer, a convnet learns those for training by heart and misses y_1. Its loss on it after 12 epochs of the study
# c1-functions-convnet: 0.52 with 12,000 vectors in all, 0.10 with 60,000.
N_VECTORS = 60_000
SIGNATURE = f"1, {N_VECTORS} vectors"
"""Of what is drawn: part of the key under which it lies decoded. Another number when the functions change."""
_WEIGHTS_HW = np.cos(np.arange(64.0) ** 2).reshape(8, 8)
# Of x uniform on the 256 values: its variance exactly; mean and deviation of y_1 and y_2 over 10,000,000 vectors.
_VARIANCE = (256**2 - 1) / 12 / 127.5**2
_MAXIMUM = (0.58453, 0.11477)
_DIFFERENCE = (0.66929, 0.06845)


def draw_functions() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """The vectors, uint8 (N, 1, 8, 8), and their three functions, float32 (N, 3). The same ones each time."""
    images_N1HW = np.random.default_rng(0).integers(0, 256, (N_VECTORS, 1, 8, 8), dtype=np.uint8)
    return images_N1HW, functions_of(images_N1HW)


def functions_of(images_N1HW: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """y_0, y_1 and y_2 of vectors kept as pictures, float32 (N, 3)."""
    x_NHW = images_N1HW[:, 0] / 127.5 - 1
    linear_N = (x_NHW * _WEIGHTS_HW).sum(axis=(1, 2)) / np.sqrt(_VARIANCE * (_WEIGHTS_HW**2).sum())
    squares_NRC = x_NHW.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4))
    maximum_N = np.abs(squares_NRC).max(axis=(1, 2))
    difference_N = np.abs(np.diff(x_NHW, axis=2)).mean(axis=(1, 2))
    outputs = (
        linear_N,
        (maximum_N - _MAXIMUM[0]) / _MAXIMUM[1],
        (difference_N - _DIFFERENCE[0]) / _DIFFERENCE[1],
    )
    return np.stack(outputs, axis=1).astype(np.float32)
