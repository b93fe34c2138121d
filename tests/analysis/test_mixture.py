"""The mixture of pairs of classes, on scores whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from sweeper.analysis.confident import find_suspects
from sweeper.analysis.mixture import mislabelled


def scores_of(labels_N: np.ndarray, spread: np.ndarray, seed: int) -> np.ndarray:
    """Probabilities of a model that sees a noisy place in the plane; classes 0 and 1 lie near each other."""
    rng = np.random.default_rng(seed)
    centres = np.array([[0.0, 0.0], [1.6, 0.0], [0.0, 6.0]])
    places = centres[labels_N] + rng.normal(size=(len(labels_N), 2)) * spread
    squares_NK = ((places[:, None] - centres[None]) ** 2).sum(2)
    weights_NK = np.exp(-squares_NK / 2)
    return weights_NK / weights_NK.sum(1, keepdims=True)


@pytest.fixture
def noisy() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, given and true labels: 2,000 of 0, 200 of 1 that are hard to tell from it, 300 of 2, of which 200
    are given as 0."""
    true_N = np.repeat([0, 1, 2], [2000, 200, 300])
    given_N = true_N.copy()
    given_N[np.flatnonzero(true_N == 2)[:200]] = 0
    return scores_of(true_N, np.ones(2), 3), given_N, true_N


def test_shares_are_estimated(noisy: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    probabilities_NK, given_N, _ = noisy
    wrong_NK, share_KK = mislabelled(probabilities_NK, given_N)
    assert share_KK.sum(1).tolist() == pytest.approx([1, 1, 1])
    assert 140 < share_KK[0, 2] * 2200 < 220  # 200 of 2,200 are; on the low side, as it says
    assert share_KK[0, 1] * 2200 < 110  # none are; the calibrated confident joint says 257
    assert wrong_NK.min() >= 0.0
    assert wrong_NK.max() <= 1.0
    assert (wrong_NK[np.arange(len(given_N)), given_N] == 0.0).all()


def test_a_hard_pair_is_not_taken_for_wrong_labels(noisy: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    probabilities_NK, given_N, true_N = noisy
    wrong_N = given_N != true_N
    precision = {}
    for prune in ("mixture", "confident"):
        suspects = find_suspects(probabilities_NK, given_N, prune=prune)  # type: ignore[arg-type]
        precision[prune] = wrong_N[suspects.order_S].mean()
        assert wrong_N[suspects.order_S].sum() / wrong_N.sum() > 0.9
    assert precision["mixture"] > 0.95
    assert precision["confident"] < 0.6
    assert (suspects.suggested_N[wrong_N] == 2).mean() > 0.9


def test_right_labels_are_left_alone() -> None:
    true_N = np.repeat([0, 1, 2], [500, 400, 300])
    suspects = find_suspects(scores_of(true_N, np.ones(2), 4), true_N)
    assert len(suspects.order_S) <= 0.02 * len(true_N)


def test_classes_without_pictures_are_left_out() -> None:
    labels_N = np.array([0, 0, 2, 2])
    probabilities_NK = np.array([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.1, 0.2, 0.7]])
    wrong_NK, share_KK = mislabelled(probabilities_NK, labels_N)
    assert (wrong_NK[:, 1] == 0.0).all()
    assert share_KK[1].tolist() == [0, 1, 0]
    assert np.isfinite(wrong_NK).all()
