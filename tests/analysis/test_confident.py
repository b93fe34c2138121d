"""Confident learning, against an example worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sweeper.analysis.confident import (
    calibrated_joint,
    class_thresholds,
    confident_joint,
    find_suspects,
)

# Nine pictures of three classes. Given as 0: rows 0 to 3, as 1: 4 to 6, as 2: 7 and 8.
PROBABILITIES_NK = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.6, 0.3, 0.1],
        [0.1, 0.8, 0.1],  # given 0, confidently 1
        [0.5, 0.3, 0.2],  # given 0, confident in nothing
        [0.2, 0.7, 0.1],
        [0.1, 0.6, 0.3],
        [0.1, 0.2, 0.7],  # given 1, confidently 2
        [0.1, 0.2, 0.7],
        [0.5, 0.1, 0.4],  # given 2, confidently 0
    ]
)
LABELS_N = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])


def test_thresholds_are_mean_self_confidence() -> None:
    # (0.8 + 0.6 + 0.1 + 0.5) / 4, (0.7 + 0.6 + 0.2) / 3, (0.7 + 0.4) / 2
    assert class_thresholds(PROBABILITIES_NK, LABELS_N) == pytest.approx([0.5, 0.5, 0.55])
    assert class_thresholds(PROBABILITIES_NK, np.zeros(9, dtype=np.int64))[1] == np.inf


def test_the_confident_joint_counts_confident_classes() -> None:
    counts_KK, confident_N = confident_joint(PROBABILITIES_NK, LABELS_N, np.array([0.51, 0.5, 0.55]))
    assert confident_N.tolist() == [0, 0, 1, -1, 1, 1, 2, 2, -1]
    assert counts_KK.tolist() == [[2, 1, 0], [0, 2, 1], [0, 0, 1]]


def test_of_two_classes_reached_the_more_probable_counts() -> None:
    counts_KK, confident_N = confident_joint(np.array([[0.45, 0.55]]), np.array([0]), np.array([0.4, 0.5]))
    assert confident_N.tolist() == [1]
    assert counts_KK.tolist() == [[0, 1], [0, 0]]


def test_the_joint_is_calibrated_to_the_given_classes() -> None:
    counts_KK = np.array([[2, 1, 0], [0, 2, 1], [0, 0, 0]])
    joint_KK = calibrated_joint(counts_KK, LABELS_N)
    assert joint_KK.sum() == pytest.approx(1.0)
    assert (joint_KK.sum(1) * 9).tolist() == pytest.approx([4, 3, 2])
    assert joint_KK[0, 1] * 9 == pytest.approx(4 / 3)
    assert joint_KK[2].tolist() == pytest.approx([0, 0, 2 / 9])  # a class without confident pictures is taken as right


def test_confident_suspects_are_off_the_diagonal() -> None:
    suspects = find_suspects(PROBABILITIES_NK, LABELS_N, prune="confident", ranking="margin")
    # Margins: row 2 -0.7, row 6 0.2 - 0.7 = -0.5, row 8 0.4 - 0.5 = -0.1.
    assert suspects.order_S.tolist() == [2, 6, 8]
    assert suspects.suggested_N[[2, 6, 8]].tolist() == [1, 2, 0]


def test_prune_methods_choose_as_many_as_the_joint_says() -> None:
    # Thresholds 0.5, 0.5, 0.55 count [[3, 1, 0], [0, 2, 1], [1, 0, 1]]: of 4, 3, 2 pictures 1, 1, 1 are wrong.
    by_class = find_suspects(PROBABILITIES_NK, LABELS_N, prune="by_class", ranking="self_confidence")
    assert by_class.order_S.tolist() == [2, 6, 8]  # self-confidence 0.1, 0.2, 0.4
    by_rate = find_suspects(PROBABILITIES_NK, LABELS_N, prune="by_noise_rate", ranking="margin")
    assert by_rate.counts_KK.tolist() == [[3, 1, 0], [0, 2, 1], [1, 0, 1]]
    assert by_rate.order_S.tolist() == [2, 6, 8]
    both = find_suspects(PROBABILITIES_NK, LABELS_N, prune="both", ranking="margin")
    assert both.order_S.tolist() == [2, 6, 8]


def test_by_class_and_by_noise_rate_differ_where_a_pair_is_exceeded() -> None:
    # The joint says that one picture given as 0 is 1. Row 3 is the least confident of 0, row 2 the nearest to 1.
    probabilities_NK = np.array(
        [[0.9, 0.05, 0.05], [0.9, 0.05, 0.05], [0.35, 0.6, 0.05], [0.3, 0.4, 0.3], [0.1, 0.85, 0.05], [0.6, 0.35, 0.05]]
    )
    labels_N = np.array([0, 0, 0, 0, 1, 1])
    by_class = find_suspects(probabilities_NK, labels_N, prune="by_class", ranking="margin")
    by_rate = find_suspects(probabilities_NK, labels_N, prune="by_noise_rate", ranking="margin")
    assert by_class.counts_KK[0].tolist() == [2, 1, 0]
    assert 3 in by_class.order_S
    assert 3 not in by_rate.order_S
    assert 2 in by_rate.order_S
    assert by_rate.suggested_N[2] == 1


def test_rankings_cover_all_pictures() -> None:
    for ranking in ("probability", "margin", "self_confidence"):
        suspects = find_suspects(PROBABILITIES_NK, LABELS_N, ranking=ranking)  # type: ignore[arg-type]
        assert sorted(suspects.ranked_N.tolist()) == list(range(9))
