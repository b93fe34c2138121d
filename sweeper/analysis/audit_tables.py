"""What an audit of labels says, as tables: of suspects, and, where true labels are known, of how right it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sweeper.analysis.arrays import FloatArray, IntArray
from sweeper.analysis.choices import PRUNE_METHODS, Ranking
from sweeper.analysis.confident import Suspects, find_suspects

__all__ = ["THRESHOLDS", "curve_rows", "method_rows", "pair_rows", "score_suspects", "suspect_rows", "threshold_rows"]

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
_N_CURVE = 200
_DIGITS = 5


def _round(value: float) -> float:
    return round(float(value), _DIGITS)


def suspect_rows(
    suspects: Suspects,
    probabilities_MK: FloatArray,
    labels_M: IntArray,
    *,
    true_M: IntArray | None,
    pictures: Sequence[str],
    parts: Sequence[str],
    class_names: Sequence[str],
) -> list[dict[str, Any]]:
    """A row for each suspect, the most suspect first."""
    rows = []
    for rank, m in enumerate(suspects.order_S.tolist(), start=1):
        suggested = int(suspects.suggested_N[m])
        row = {
            "rank": rank,
            "picture": pictures[m],
            "part": parts[m],
            "given": class_names[labels_M[m]],
            "suggested": class_names[suggested],
            "confidence": _round(probabilities_MK[m, suggested]),
            "given_confidence": _round(probabilities_MK[m, labels_M[m]]),
            "probability": _round(suspects.mislabelled_N[m]),
        }
        if true_M is not None:
            row["true"] = class_names[true_M[m]]
        rows.append(row)
    return rows


def score_suspects(suspects: Suspects, labels_M: IntArray, true_M: IntArray) -> dict[str, Any]:
    """How right the suspects are: labels that are `wrong`; `suspects`, how many of them were `found` to be wrong, how
    many are `relabelled` rightly; precision, recall and F1; and labels that are wrong after all suggestions."""
    wrong_M = labels_M != true_M
    found = int(wrong_M[suspects.order_S].sum())
    n_suspects, n_wrong = len(suspects.order_S), int(wrong_M.sum())
    right = int((suspects.suggested_N == true_M)[suspects.order_S].sum())
    return {
        "wrong": n_wrong,
        "suspects": n_suspects,
        "found": found,
        "relabelled": right,
        "precision": _round(found / n_suspects) if n_suspects else None,
        "recall": _round(found / n_wrong) if n_wrong else None,
        "f1": _round(2 * found / (n_suspects + n_wrong)) if n_suspects + n_wrong else None,
        "wrong_after": int((np.where(_is_in(suspects, len(labels_M)), suspects.suggested_N, labels_M) != true_M).sum()),
    }


def _is_in(suspects: Suspects, n_pictures: int) -> Any:
    chosen_M = np.zeros(n_pictures, dtype=bool)
    chosen_M[suspects.order_S] = True
    return chosen_M


def curve_rows(suspects: Suspects, labels_M: IntArray, true_M: IntArray) -> tuple[list[dict[str, Any]], float | None]:
    """Precision and recall when the n most suspect of all pictures are taken, at 200 places at most; and the average
    precision, the mean precision over the places of all wrong labels. None without wrong labels."""
    wrong_M = (labels_M != true_M)[suspects.ranked_N]
    n_wrong = int(wrong_M.sum())
    if n_wrong == 0:
        return [], None
    found_M = np.cumsum(wrong_M)
    precision_M = found_M / np.arange(1, len(wrong_M) + 1)
    last = int(np.flatnonzero(wrong_M)[-1])
    places = np.unique(np.geomspace(1, last + 1, _N_CURVE).round().astype(int)) - 1
    rows = [
        {"n": int(m) + 1, "precision": _round(precision_M[m]), "recall": _round(found_M[m] / n_wrong)} for m in places
    ]
    return rows, _round(precision_M[wrong_M].mean())


def method_rows(
    probabilities_MK: FloatArray,
    labels_M: IntArray,
    *,
    true_M: IntArray | None,
    ranking: Ranking,
    min_probability: float,
) -> list[dict[str, Any]]:
    """What each way to choose suspects comes to: how many, and with true labels how right."""
    rows = []
    for prune in PRUNE_METHODS:
        suspects = find_suspects(
            probabilities_MK, labels_M, prune=prune, ranking=ranking, min_probability=min_probability
        )
        row: dict[str, Any] = {"prune": prune, "suspects": len(suspects.order_S)}
        rows.append(row if true_M is None else row | score_suspects(suspects, labels_M, true_M))
    return rows


def pair_rows(
    probabilities_MK: FloatArray, labels_M: IntArray, *, true_M: IntArray | None, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """For each given class i and other predicted class j: how many pictures, how confident the prediction is on
    average, and how confident it is where the given class is j too; with true labels, how many truly are j. Most
    pictures first."""
    predicted_M = probabilities_MK.argmax(1)
    rows = []
    for i, j in _pairs(predicted_M, labels_M):
        of_pair_M = (labels_M == i) & (predicted_M == j)
        agreed_M = (labels_M == j) & (predicted_M == j)
        row = {
            "given": class_names[i],
            "predicted": class_names[j],
            "n": int(of_pair_M.sum()),
            "confidence": _round(probabilities_MK[of_pair_M, j].mean()),
            "n_agreed": int(agreed_M.sum()),
            "agreed_confidence": _round(probabilities_MK[agreed_M, j].mean()) if agreed_M.any() else None,
        }
        if true_M is not None:
            row["truly_predicted"] = int((true_M[of_pair_M] == j).sum())
        rows.append(row)
    return rows


def threshold_rows(
    probabilities_MK: FloatArray, labels_M: IntArray, *, true_M: IntArray | None, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """What would come of giving each picture its predicted class where that has at least some confidence: for each pair
    of given and predicted class and each threshold, how many are relabelled; with true labels, how many rightly."""
    predicted_M = probabilities_MK.argmax(1)
    rows = []
    for i, j in _pairs(predicted_M, labels_M):
        of_pair_M = (labels_M == i) & (predicted_M == j)
        for threshold in THRESHOLDS:
            relabelled_M = of_pair_M & (probabilities_MK[:, j] >= threshold)
            n_relabelled = int(relabelled_M.sum())
            row: dict[str, Any] = {
                "given": class_names[i],
                "predicted": class_names[j],
                "threshold": threshold,
                "relabelled": n_relabelled,
            }
            if true_M is not None:
                row["rightly"] = int((true_M[relabelled_M] == j).sum())
                row["wrongly"] = n_relabelled - row["rightly"]
            rows.append(row)
    return rows


def _pairs(predicted_M: IntArray, labels_M: IntArray) -> list[tuple[int, int]]:
    """Pairs of given and other predicted class that occur, the most frequent first."""
    n = int(max(predicted_M.max(), labels_M.max())) + 1
    counts_KK = np.bincount(labels_M * n + predicted_M, minlength=n * n).reshape(n, n)
    np.fill_diagonal(counts_KK, 0)
    cells = [(-int(counts_KK[i, j]), i, j) for i in range(n) for j in range(n) if counts_KK[i, j]]
    return [(i, j) for _, i, j in sorted(cells)]
