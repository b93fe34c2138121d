"""How many pictures of one given class truly are of another, and which: a mixture model for each pair of classes.

Confident learning takes a picture for mislabelled that a model confidently gives another class. Where two classes are
hard to tell apart, these are mostly the model's own mistakes. On 40 % of the car/truck/cat set (2,250 pictures, 190 of
them cats given as cars; a small CNN, two of five folds, one seed), by the confident joint 0 to 2 of 72 to 85 cars
suspected to be trucks were wrongly labelled, and 129 to 143 of 136 to 155 suspected to be cats. What follows tells the
two apart: mislabelled trucks would look like trucks, and be predicted with as much confidence as trucks are.
"""

from __future__ import annotations

import numpy as np

from sweeper.analysis.arrays import FloatArray, IntArray

__all__ = ["mislabelled"]

_MIN_TAIL, _MIN_TAIL_OF_FEW = 30, 5
"""Fewest pictures of the other class that a share is estimated from, at most a third of it, and fewest of a small one.
The shorter the tail, the less a hard pair is suspected, and the more depends on few pictures. On the whole set (5,625
pictures, 456 wrong, five folds, a small CNN, 12 epochs) with 20, 30, 40 and 50 the same suspects came: precision and
recall 0.92 and 0.71, 0.91 and 0.67 with two seeds, 0.91 and 0.77 with both averaged. On 1,437 digits with 87 wrong
labels, a class of which has 88 pictures, 20 found next to none, and 30 found 0.55 of them, all rightly."""
_TINY = 1e-12


def mislabelled(probabilities_NK: FloatArray, labels_N: IntArray) -> tuple[FloatArray, FloatArray]:
    """Which pictures are mislabelled, with what probability.

    Labels are taken to be wrong at random within a class (class-conditional noise, as in confident learning). Then the
    scores s = log p(j) - log p(i) of the pictures given as i are a mixture of those of true i and those of true j, and
    the latter are distributed as those of the pictures given as j are. The share of j is at most the smallest ratio of
    the two tails, and that is its estimate: the highest scores are taken to be of j only (Blanchard, Lee and Scott
    2010, JMLR 11). The probability that a single picture is j is that share times the ratio of the two densities at its
    score, which rises with s and is estimated by isotonic regression: one minus Efron's local false discovery rate
    (2004, JASA 99).

    Args:
        probabilities_NK: (N, K): predictions by models that were not trained on these pictures; rows add up to 1.
        labels_N: (N,): the given classes, 0 to K - 1.

    Returns:
        (N, K): probability that a picture truly is of each class other than the given one; 0 for the given one. And
        (K, K): share of the pictures given as i (rows) that truly are j; the diagonal is what is left.
    """
    n_classes = probabilities_NK.shape[1]
    logs_NK = np.log(np.maximum(probabilities_NK, _TINY))
    wrong_NK = np.zeros_like(probabilities_NK)
    share_KK = np.zeros((n_classes, n_classes))
    places = [np.flatnonzero(labels_N == k) for k in range(n_classes)]
    for i in range(n_classes):
        for j in range(n_classes):
            if i == j or len(places[i]) == 0 or len(places[j]) == 0:
                continue
            of_i = logs_NK[places[i], j] - logs_NK[places[i], i]
            of_j = logs_NK[places[j], j] - logs_NK[places[j], i]
            share_KK[i, j] = _share(of_i, of_j)
            wrong_NK[places[i], j] = np.minimum(1.0, share_KK[i, j] * _density_ratio(of_i, of_j))
        # Where three classes meet, each pair by itself may claim the same pictures.
        total = share_KK[i].sum()
        if total > 1.0:
            share_KK[i] /= total
        share_KK[i, i] = 1.0 - share_KK[i].sum()
    return wrong_NK, share_KK


def _share(of_i: FloatArray, of_j: FloatArray) -> float:
    """Largest share of pictures like those given as j among those given as i that the tails allow, 0 to 1. Being the
    smallest of many ratios that are noisy, it lies low rather than high: few right labels are suspected for it."""
    descending = np.sort(of_j)[::-1]
    shortest = min(_MIN_TAIL, max(_MIN_TAIL_OF_FEW, len(descending) // 3), len(descending))
    n_tail = np.arange(shortest, len(descending) + 1)
    n_reached = len(of_i) - np.searchsorted(np.sort(of_i), descending[n_tail - 1], side="left")
    ratios = (n_reached / len(of_i)) / (n_tail / len(of_j))
    return float(min(1.0, ratios.min()))


def _density_ratio(of_i: FloatArray, of_j: FloatArray) -> FloatArray:
    """Density of the scores of j by that of i, at each score of i; at least 0, and infinite where only j has scores."""
    from sklearn.isotonic import IsotonicRegression

    weights = np.concatenate((np.full(len(of_i), 1.0 / len(of_i)), np.full(len(of_j), 1.0 / len(of_j))))
    is_j = np.concatenate((np.zeros(len(of_i)), np.ones(len(of_j))))
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(
        np.concatenate((of_i, of_j)), is_j, sample_weight=weights
    )
    probability = np.asarray(fitted.predict(of_i), dtype=np.float64)
    ratio: FloatArray = probability / np.maximum(1.0 - probability, _TINY)
    return ratio
