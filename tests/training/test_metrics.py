"""Metrics agree with scikit-learn, with ties and absent classes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score
from sklearn.metrics import confusion_matrix as sklearn_confusion

from sweeper.training.metrics import accuracies, confusion_matrix, macro_auc

N_CLASSES = 5
NAMES = ("ant", "bee", "cat", "dog", "eel")


def random_scores(seed: int, *, ties: bool, absent: bool, n: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores_NK = torch.randn(n, N_CLASSES, generator=generator)
    if ties:
        scores_NK = scores_NK.round()
    labels_N = torch.randint(0, N_CLASSES, (n,), generator=generator)
    if absent:
        labels_N[labels_N == 2] = 0
        labels_N[labels_N == 4] = 3
    return scores_NK.log_softmax(1), labels_N


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_metrics_agree_with_scikit_learn(seed: int, ties: bool, absent: bool) -> None:
    scores_NK, labels_N = random_scores(seed, ties=ties, absent=absent)
    truth, predicted = labels_N.numpy(), scores_NK.argmax(1).numpy()
    confusion_KK = confusion_matrix(scores_NK, labels_N)
    assert confusion_KK.dtype == torch.int64
    np.testing.assert_array_equal(confusion_KK, sklearn_confusion(truth, predicted, labels=range(N_CLASSES)))

    values = accuracies(confusion_KK, NAMES)
    assert values["accuracy"] == pytest.approx(accuracy_score(truth, predicted), abs=1e-12)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
        assert values["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, predicted), abs=1e-12)
    present = sorted(set(truth.tolist()))
    assert [name for name in values if "/" in name] == [f"accuracy/{NAMES[k]}" for k in present]
    for k in present:
        assert values[f"accuracy/{NAMES[k]}"] == pytest.approx(np.mean(predicted[truth == k] == k), abs=1e-12)

    areas = [roc_auc_score(truth == k, scores_NK[:, k]) for k in present]
    assert macro_auc(scores_NK.numpy(), truth) == pytest.approx(np.mean(areas), abs=1e-12)


def test_auc_of_all_classes_is_scikit_learns_one_vs_rest() -> None:
    scores_NK, labels_N = random_scores(7, ties=True, absent=False)
    probabilities_NK = scores_NK.double().exp().numpy()
    expected = roc_auc_score(labels_N, probabilities_NK, multi_class="ovr", average="macro")
    assert macro_auc(probabilities_NK, labels_N.numpy()) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "labels", "auc"),
    [
        ([[0.9, 0.1], [0.2, 0.8]], [0, 1], 1.0),
        ([[0.9, 0.1], [0.2, 0.8]], [1, 0], 0.0),
        ([[0.5, 0.5], [0.5, 0.5]], [0, 1], 0.5),
        ([[0.9, 0.1], [0.2, 0.8]], [1, 1], None),
    ],
)
def test_auc_by_hand(scores: list[list[float]], labels: list[int], auc: float | None) -> None:
    assert macro_auc(np.array(scores), np.array(labels)) == auc


def test_auc_reads_no_more_than_the_order_of_scores() -> None:
    scores_NK, labels_N = random_scores(3, ties=False, absent=False)
    as_double = scores_NK.double().numpy()
    assert macro_auc(as_double, labels_N.numpy()) == macro_auc(as_double * 3 - 1, labels_N.numpy())
