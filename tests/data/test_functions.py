from __future__ import annotations

import numpy as np
import pytest

from sweeper.data.functions import N_VECTORS, draw_functions, functions_of

IMAGES, TARGETS = draw_functions()


def test_always_the_same() -> None:
    images, targets = draw_functions()
    assert np.array_equal(images, IMAGES)
    assert np.array_equal(targets, TARGETS)
    assert (images.shape, targets.shape) == ((N_VECTORS, 1, 8, 8), (N_VECTORS, 3))


def test_mean_0_and_deviation_1() -> None:
    assert TARGETS.mean(axis=0) == pytest.approx([0, 0, 0], abs=4 / N_VECTORS**0.5)
    assert TARGETS.std(axis=0) == pytest.approx([1, 1, 1], abs=0.03)


def test_only_the_first_is_linear() -> None:
    x = np.c_[np.ones(N_VECTORS), IMAGES.reshape(N_VECTORS, 64) / 255]
    residuals = TARGETS - x @ np.linalg.lstsq(x, TARGETS, rcond=None)[0]
    assert residuals.var(axis=0) == pytest.approx([0.0, 1.0, 1.0], abs=0.03)


def test_signs_turned_around() -> None:
    turned = functions_of(255 - IMAGES)
    assert turned[:, 0] == pytest.approx(-TARGETS[:, 0], abs=1e-5)
    assert turned[:, 1:] == pytest.approx(TARGETS[:, 1:], abs=1e-5)


def test_by_hand() -> None:
    image = np.full((1, 1, 8, 8), 127.5).astype(np.uint8)
    image[0, 0, 2:4, 4:6] = 255  # one square at 1, all else at -1/255; two rows with two steps
    _, maximum, difference = functions_of(image)[0]
    assert maximum == pytest.approx((1.0 - 0.58453) / 0.11477, abs=1e-4)
    assert difference == pytest.approx((4 * (1 + 1 / 255) / 56 - 0.66929) / 0.06845, abs=1e-4)
