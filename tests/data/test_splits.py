from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.model_selection import train_test_split

from sweeper.data.assignment import Parts, assign_pictures
from sweeper.data.splits import statistics
from sweeper.errors import DataError
from sweeper.study.config import DataConfig

LABELS = np.repeat([0, 1, 2], [500, 300, 200])[np.random.default_rng(0).permutation(1000)]
NAMES = ("cat", "dog", "owl")


def split(*, labels: npt.NDArray[np.int64] = LABELS, n_test: int = 0, **options: object) -> Parts:
    config = DataConfig.model_validate({"name": "digits", **options})
    return assign_pictures(config, labels, own_names=NAMES, n_test=n_test).parts


def counts(part_M: npt.NDArray[np.int64]) -> list[int]:
    return [int(count) for count in np.bincount(LABELS[part_M], minlength=3)]


def test_every_picture_is_in_one_part() -> None:
    parts = split()
    joined = np.concatenate([parts.train_M, parts.validation_M, parts.test_M])
    assert sorted(joined) == list(range(1000))
    assert all((np.diff(part) > 0).all() for part in (parts.train_M, parts.validation_M, parts.test_M))


def test_shares_are_stratified_exactly() -> None:
    parts = split(test=0.2, validation=0.25)
    assert counts(parts.test_M) == [100, 60, 40]
    assert counts(parts.validation_M) == [100, 60, 40]
    assert counts(parts.train_M) == [300, 180, 120]


def test_counts() -> None:
    parts = split(train=400, validation=100)
    assert counts(parts.train_M) == [200, 120, 80]
    assert counts(parts.validation_M) == [50, 30, 20]
    assert len(split(validation=100).train_M) == 700


def test_a_test_set_of_its_own_is_left_alone() -> None:
    parts = split(n_test=100)
    assert parts.test_M.tolist() == list(range(900, 1000))
    assert len(parts.train_M) + len(parts.validation_M) == 900


@pytest.mark.parametrize(("train", "validation"), [(None, 0.15), (600, 150), (0.5, 0.15), (None, 137)])
def test_same_indices_as_scikit_learn(train: float | None, validation: float) -> None:
    parts = split(train=train, validation=validation, split_seed=5)
    rest, test = train_test_split(np.arange(1000), test_size=0.2, random_state=5, stratify=LABELS)
    rest = np.sort(rest)
    first, second = train_test_split(
        rest, train_size=train, test_size=validation, random_state=5, stratify=LABELS[rest]
    )
    assert np.array_equal(parts.test_M, np.sort(test))
    assert np.array_equal(parts.train_M, np.sort(first))
    assert np.array_equal(parts.validation_M, np.sort(second))


def test_the_seed_decides() -> None:
    first, same, other = split(split_seed=1), split(split_seed=1), split(split_seed=2)
    assert np.array_equal(first.validation_M, same.validation_M)
    assert not np.array_equal(first.validation_M, other.validation_M)


@pytest.mark.parametrize("n_pictures", range(30, 70))
def test_complementary_shares_use_every_picture_or_leave_one(n_pictures: int) -> None:
    labels = np.arange(n_pictures) % 3
    parts = split(labels=labels, n_test=3, train=0.85, validation=0.15)
    assert n_pictures - 3 - len(parts.train_M) - len(parts.validation_M) in (0, 1)


def test_counts_larger_than_the_set() -> None:
    with pytest.raises(DataError, match=r"validation: 600, train: 400 asks for 400 \+ 600 pictures; there are 800"):
        split(train=400, validation=600)
    with pytest.raises(DataError, match=r"validation: 800 asks for 0 \+ 800 pictures; there are 800"):
        split(validation=800)
    with pytest.raises(DataError, match="there are 800"):
        split(validation=5000)


def test_class_with_one_picture() -> None:
    labels = np.array([0] * 50 + [1] * 50 + [2])
    with pytest.raises(DataError, match="class 'owl' has 1 of the 101 pictures"):
        split(labels=labels)


def test_part_without_a_class() -> None:
    labels = np.array([2] * 3 + [0] * 500 + [1] * 500)
    with pytest.raises(DataError, match="part of 100 pictures without one of class 'owl', which has 3 of all 1003"):
        split(labels=labels, n_test=3, validation=100)


def test_part_smaller_than_the_number_of_classes() -> None:
    with pytest.raises(DataError, match=r"parts of 798 and 2 of 800 pictures.*3 classes"):
        split(validation=2)


def test_statistics_are_those_of_float64() -> None:
    images = np.random.default_rng(1).integers(0, 256, (3000, 3, 4, 5), dtype=np.uint8)
    indices = np.arange(0, 3000, 2)
    mean, deviation = statistics(images, indices)
    assert mean == pytest.approx((images[indices] / 255).mean(axis=(0, 2, 3)), rel=1e-6)
    assert deviation == pytest.approx((images[indices] / 255).std(axis=(0, 2, 3)), rel=1e-6)


def test_deviation_of_a_flat_channel_is_above_zero() -> None:
    _, deviation = statistics(np.full((10, 1, 4, 4), 7, dtype=np.uint8), np.arange(10))
    assert deviation.tolist() == pytest.approx([1 / 255])
