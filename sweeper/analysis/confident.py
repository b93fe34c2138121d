"""Confident learning (Northcutt, Jiang and Chuang 2021, JAIR 70): which labels are wrong, from predictions that were
made without them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sweeper.analysis.arrays import FloatArray, IntArray
from sweeper.analysis.choices import PruneMethod, Ranking
from sweeper.analysis.mixture import mislabelled

__all__ = [
    "Suspects",
    "calibrated_joint",
    "class_thresholds",
    "confident_joint",
    "find_suspects",
]


@dataclass(frozen=True, kw_only=True)
class Suspects:
    """Pictures whose labels are probably wrong."""

    order_S: IntArray
    """(S,): their positions, the most suspect first."""
    ranked_N: IntArray
    """(N,): positions of all pictures, the most suspect first, chosen or not."""
    suggested_N: IntArray
    """(N,): of every picture the class that it most probably has in the place of the given one."""
    mislabelled_N: FloatArray
    """(N,): probability that a picture is mislabelled, 0 to 1, see `sweeper.analysis.mixture`."""
    shares_KK: FloatArray
    """(K, K): share of the pictures of a given class (rows) that truly are of another; rows add up to 1."""
    thresholds_K: FloatArray
    """(K,): see `class_thresholds`."""
    counts_KK: IntArray
    """(K, K): the confident joint."""
    joint_KK: FloatArray
    """(K, K): the estimated joint distribution; rows the given class, columns the true one; adds up to 1."""


def class_thresholds(probabilities_NK: FloatArray, labels_N: IntArray) -> FloatArray:
    """(K,): mean probability of each class over the pictures that are given as it; infinite for a class without any.

    A class on which models are unsure, because it is rare or because many of its pictures carry another label, so gets
    a low threshold, and one that swallows others a high one.
    """
    n_classes = probabilities_NK.shape[1]
    return np.array(
        [probabilities_NK[labels_N == k, k].mean() if (labels_N == k).any() else np.inf for k in range(n_classes)]
    )


def confident_joint(
    probabilities_NK: FloatArray, labels_N: IntArray, thresholds_K: FloatArray
) -> tuple[IntArray, IntArray]:
    """Count pictures by given class (rows) and by the class that they confidently have (columns).

    A picture confidently has the most probable of the classes whose probability reaches their threshold; a picture for
    which none does is not counted.

    Returns:
        The counts, (K, K), and the confident class of each picture, (N,), -1 for none.
    """
    n_classes = probabilities_NK.shape[1]
    reached_NK = probabilities_NK >= thresholds_K
    among_NK = np.where(reached_NK, probabilities_NK, -1.0)
    confident_N = np.where(reached_NK.any(1), among_NK.argmax(1), -1)
    counted_N = confident_N >= 0
    cells = labels_N[counted_N] * n_classes + confident_N[counted_N]
    counts_KK = np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)
    return counts_KK.astype(np.int64), confident_N.astype(np.int64)


def calibrated_joint(counts_KK: IntArray, labels_N: IntArray) -> FloatArray:
    """The joint distribution of given (rows) and true class (columns), (K, K): the confident joint, scaled so that each
    row adds up to the share of the pictures that are given as that class. A class that is confidently counted nowhere
    is taken to be right."""
    n_classes = len(counts_KK)
    per_class_K = np.bincount(labels_N, minlength=n_classes).astype(np.float64)
    empty_K = counts_KK.sum(1) == 0
    filled_KK = counts_KK + np.diag(empty_K.astype(np.float64))
    scaled_KK = filled_KK / filled_KK.sum(1, keepdims=True) * per_class_K[:, None]
    joint_KK: FloatArray = scaled_KK / per_class_K.sum()
    return joint_KK


def find_suspects(
    probabilities_NK: FloatArray,
    labels_N: IntArray,
    *,
    prune: PruneMethod = "mixture",
    ranking: Ranking = "probability",
    min_probability: float = 0.5,
) -> Suspects:
    """Find the pictures whose labels are probably wrong.

    Args:
        probabilities_NK: (N, K): predictions by models that were not trained on these pictures; rows add up to 1.
        labels_N: (N,): the given classes, 0 to K - 1.
        prune: How many are suspect, and which.
        ranking: What they are ordered by.
        min_probability: With `mixture`, the least probability of a suspect to be mislabelled.
    """
    rows_N = np.arange(len(labels_N))
    thresholds_K = class_thresholds(probabilities_NK, labels_N)
    counts_KK, confident_N = confident_joint(probabilities_NK, labels_N, thresholds_K)
    joint_KK = calibrated_joint(counts_KK, labels_N)
    wrong_NK, shares_KK = mislabelled(probabilities_NK, labels_N)
    others_NK = probabilities_NK.copy()
    others_NK[rows_N, labels_N] = -np.inf
    suggested_N = others_NK.argmax(1)
    self_confidence_N = probabilities_NK[rows_N, labels_N]
    margin_N = self_confidence_N - others_NK[rows_N, suggested_N]
    if prune == "mixture":
        suggested_N = np.where(wrong_NK.any(1), wrong_NK.argmax(1), suggested_N)
        chosen_N = wrong_NK.max(1) >= min_probability
    elif prune == "confident":
        chosen_N = (confident_N >= 0) & (confident_N != labels_N)
        suggested_N = np.where(chosen_N, confident_N, suggested_N)
    else:
        by_class_N = _by_class(self_confidence_N, labels_N, joint_KK)
        by_rate_N, by_rate_class_N = _by_noise_rate(probabilities_NK, labels_N, joint_KK)
        chosen_N = {"by_class": by_class_N, "by_noise_rate": by_rate_N, "both": by_class_N & by_rate_N}[prune]
        if prune != "by_class":
            suggested_N = np.where(by_rate_N, by_rate_class_N, suggested_N)
    keys = {
        "probability": (margin_N, -wrong_NK.max(1)),  # the last key counts first
        "margin": (margin_N,),
        "self_confidence": (self_confidence_N,),
    }
    ranked_N = np.lexsort(keys[ranking])
    return Suspects(
        order_S=ranked_N[chosen_N[ranked_N]],
        ranked_N=ranked_N,
        suggested_N=suggested_N,
        mislabelled_N=wrong_NK.max(1),
        shares_KK=shares_KK,
        thresholds_K=thresholds_K,
        counts_KK=counts_KK,
        joint_KK=joint_KK,
    )


def _wrong_counts(labels_N: IntArray, joint_KK: FloatArray) -> IntArray:
    """(K, K): how many pictures given as i the joint says to be j; 0 on the diagonal."""
    wrong_KK = np.rint(joint_KK * len(labels_N)).astype(np.int64)
    np.fill_diagonal(wrong_KK, 0)
    return wrong_KK


def _by_class(self_confidence_N: FloatArray, labels_N: IntArray, joint_KK: FloatArray) -> npt.NDArray[np.bool_]:
    chosen_N = np.zeros(len(labels_N), dtype=bool)
    for i, n_wrong in enumerate(_wrong_counts(labels_N, joint_KK).sum(1).tolist()):
        given_M = np.flatnonzero(labels_N == i)
        chosen_N[given_M[np.argsort(self_confidence_N[given_M], kind="stable")[:n_wrong]]] = True
    return chosen_N


def _by_noise_rate(
    probabilities_NK: FloatArray, labels_N: IntArray, joint_KK: FloatArray
) -> tuple[npt.NDArray[np.bool_], IntArray]:
    """Whether each picture is chosen, and the class that chose it; of two classes, that with the larger margin."""
    best_N, class_N = np.full(len(labels_N), -np.inf), labels_N.copy()
    wrong_KK = _wrong_counts(labels_N, joint_KK)
    for i, j in zip(*np.nonzero(wrong_KK), strict=True):
        given_M = np.flatnonzero(labels_N == i)
        margins_M = probabilities_NK[given_M, j] - probabilities_NK[given_M, i]
        first = np.argsort(-margins_M, kind="stable")[: wrong_KK[i, j]]
        chosen, margins = given_M[first], margins_M[first]
        better = margins > best_N[chosen]
        class_N[chosen[better]] = j
        best_N[chosen[better]] = margins[better]
    return best_N > -np.inf, class_N
