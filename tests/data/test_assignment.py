from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from sweeper.data.assignment import LEFT_OUT, Assignment, assign_pictures
from sweeper.data.relabel import write_labels
from sweeper.errors import DataError
from sweeper.study.config import DataConfig

NAMES = ("cat", "dog", "owl")
N_TRAINING = 1000
# 1000 pictures for training: 500 cats, 300 dogs, 200 owls; then 50, 30 and 20 for test.
LABELS = np.concatenate(
    [np.random.default_rng(0).permutation(np.repeat([0, 1, 2], n)) for n in ([500, 300, 200], [50, 30, 20])]
)
IDS = [f"picture-{index}" for index in range(len(LABELS))]


def assign(*, n_validation: int = 0, n_test: int = 100, **options: object) -> Assignment:
    config = DataConfig.model_validate({"name": "folder", "path": "x", **options})
    return assign_pictures(config, LABELS, own_names=NAMES, n_validation=n_validation, n_test=n_test, ids=lambda: IDS)


def counts(labels_N: npt.NDArray[np.int64] | None, part_M: npt.NDArray[np.int64], n_classes: int = 3) -> list[int]:
    assert labels_N is not None
    return [int(count) for count in np.bincount(labels_N[part_M], minlength=n_classes)]


def pool(one: Assignment) -> npt.NDArray[np.int64]:
    return np.union1d(one.parts.train_M, one.parts.validation_M)


def test_classes_are_kept_in_their_order() -> None:
    one = assign(classes=["owl", "cat"])
    assert one.class_names == ("owl", "cat")
    assert set(LABELS[pool(one)]) == {0, 2}
    assert np.array_equal(one.labels_N == 0, LABELS == 2)
    assert (one.labels_N[LABELS == 1] == LEFT_OUT).all()
    assert counts(one.labels_N, one.parts.test_M, 2) == [20, 50]


def test_classes_under_other_names() -> None:
    one = assign(classes={"bird": "owl", "pet": "cat"}, counts={"bird": 100}, noise={"pet": {"bird": 30}})
    assert one.class_names == ("bird", "pet")
    assert counts(one.true_labels_N, pool(one), 2) == [100, 500]
    assert counts(one.labels_N, pool(one), 2) == [130, 470]


def test_counts_of_classes() -> None:
    one = assign(counts={"cat": 40, "owl": 60}, validation=0.25, test={"counts": {"dog": 7}})
    assert counts(LABELS, pool(one)) == [40, 300, 60]
    assert counts(LABELS, one.parts.validation_M) == [10, 75, 15]
    assert counts(LABELS, one.parts.test_M) == [50, 7, 20]
    assert one.true_labels_N is None


def test_more_adds_to_fewer_and_other_classes_change_nothing() -> None:
    few, many = assign(counts={"cat": 40}), assign(counts={"cat": 60, "dog": 10})
    two_classes = assign(counts={"cat": 60}, classes=["owl", "cat"])
    cats = [set(pool(one)[LABELS[pool(one)] == 0]) for one in (few, many, two_classes)]
    assert cats[0] < cats[1]
    assert cats[1] == cats[2]
    assert set(pool(assign(subset=100))) < set(pool(assign(subset=0.25)))


@pytest.mark.parametrize(("subset", "expected"), [(500, [250, 150, 100]), (0.5, [250, 150, 100]), (10, [5, 3, 2])])
def test_a_subset_is_stratified(subset: float, expected: list[int]) -> None:
    assert counts(LABELS, pool(assign(subset=subset, validation=0.4))) == expected


def test_noise_is_the_same_in_training_as_in_validation() -> None:
    one = assign(noise={"cat": {"dog": 200, "owl": 0.1}}, validation=0.2)
    wrong = one.labels_N != LABELS
    assert one.true_labels_N is not None
    assert np.array_equal(one.true_labels_N, LABELS)
    assert counts(one.labels_N, pool(one)) == [250, 500, 250]
    assert set(LABELS[wrong]) == {0}
    assert wrong[one.parts.validation_M].sum() == 50
    assert not wrong[one.parts.test_M].any()


def test_noise_moves_no_picture_and_more_adds_to_less() -> None:
    clean, some, more = assign(), assign(noise={"owl": {"cat": 0.2}}), assign(noise={"owl": {"cat": 0.5}})
    for one in (some, more):
        assert np.array_equal(one.parts.train_M, clean.parts.train_M)
        assert np.array_equal(one.parts.validation_M, clean.parts.validation_M)
    assert set(np.flatnonzero(some.labels_N != LABELS)) < set(np.flatnonzero(more.labels_N != LABELS))


def test_noise_of_the_test_part() -> None:
    one = assign(test={"noise": {"owl": {"cat": 15}}})
    assert counts(one.labels_N, one.parts.test_M) == [65, 30, 5]
    assert counts(one.true_labels_N, one.parts.test_M) == [50, 30, 20]
    assert counts(one.labels_N, pool(one)) == [500, 300, 200]


def test_the_seed_decides() -> None:
    options = {"counts": {"cat": 100}, "noise": {"cat": {"dog": 50}}}
    first, same, other = (assign(**options, split_seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.labels_N, same.labels_N)
    assert np.array_equal(pool(first), pool(same))
    assert not np.array_equal(first.labels_N, other.labels_N)
    assert not np.array_equal(pool(first), pool(other))


def test_a_test_part_by_counts_where_there_is_none() -> None:
    one = assign(n_test=0, test={"counts": {"cat": 5, "dog": 6, "owl": 7}}, counts={"cat": 500})
    assert counts(LABELS, one.parts.test_M) == [5, 6, 7]
    assert counts(LABELS, pool(one)) == [500, 330 - 6, 220 - 7]
    assert not set(one.parts.test_M) & set(pool(one))


def test_official_validation_pictures_stay_what_they_are() -> None:
    one = assign(n_validation=200, counts={"cat": 100})
    assert set(one.parts.validation_M) <= set(range(800, 1000))
    assert set(one.parts.train_M) <= set(range(800))
    assert counts(LABELS, pool(one))[0] == 100
    fewer = assign(n_validation=200, train=80)
    assert counts(LABELS, fewer.parts.train_M) == pytest.approx([40, 24, 16], abs=3)
    assert np.array_equal(fewer.parts.validation_M, np.arange(800, 1000))


def test_a_stratified_split_puts_all_together() -> None:
    one = assign(n_validation=200, split="stratified", test=0.25, validation=1 / 3)
    assert [len(part) for part in (one.parts.train_M, one.parts.validation_M, one.parts.test_M)] == [550, 275, 275]
    assert counts(LABELS, one.parts.test_M) == pytest.approx([137, 83, 55], abs=1)
    assert (one.parts.train_M >= N_TRAINING).any()


def test_corrected_labels(tmp_path: Path) -> None:
    before = assign(noise={"cat": {"dog": 100}}, validation=0.2)
    wrong = [int(index) for index in np.flatnonzero(before.labels_N != LABELS)]
    left_out = int(before.parts.train_M[LABELS[before.parts.train_M] == 2][0])
    write_labels(tmp_path / "labels.csv", {IDS[index]: "cat" for index in wrong[:60]} | {IDS[left_out]: ""})
    after = assign(noise={"cat": {"dog": 100}}, validation=0.2, relabel=str(tmp_path / "labels.csv"))
    assert [int(index) for index in np.flatnonzero(after.labels_N != LABELS)] == sorted([*wrong[60:], left_out])
    assert after.true_labels_N is not None
    assert np.array_equal(after.true_labels_N, LABELS)
    assert np.array_equal(after.parts.validation_M, before.parts.validation_M)
    assert set(before.parts.train_M) - set(after.parts.train_M) == {left_out}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"picture-1": "lion"}, r"picture 'picture-1': given 'lion'.* allowed classes: cat, dog, owl"),
        ({"nowhere.png": "cat"}, "names the picture 'nowhere.png', which the data set does not have"),
        ({"picture-1000": "cat"}, "'picture-1000', which is for test; allowed: pictures for training and validation"),
    ],
)
def test_corrections_that_do_not_fit(tmp_path: Path, labels: dict[str, str], message: str) -> None:
    write_labels(tmp_path / "labels.csv", labels)
    with pytest.raises(DataError, match=message):
        assign(relabel=str(tmp_path / "labels.csv"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"classes": ["cat", "dgo"]},
            r"data\.classes: given 'dgo'; did you mean 'dog'\? allowed classes: cat, dog, owl",
        ),
        ({"counts": {"cow": 5}}, r"data\.counts: given 'cow'.* allowed classes: cat, dog, owl"),
        ({"counts": {"cat": 501}}, r"data\.counts\.cat: given 501; allowed: at most 500"),
        ({"noise": {"owl": {"cat": 201}}}, r"data\.noise\.owl: given 201 wrong labels; allowed: at most 200"),
        (
            {"counts": {"owl": 50}, "noise": {"owl": {"cat": 30, "dog": 30}}},
            r"data\.noise\.owl: given 60 wrong labels; allowed: at most 50",
        ),
        (
            {"subset": 0.5, "noise": {"owl": {"cat": 150}}},
            r"data\.noise\.owl: given 150 wrong labels; allowed: at most 100",
        ),
        ({"subset": 1001}, r"data\.subset: given 1001; allowed: at most 1000"),
        ({"test": {"counts": {"owl": 21}}}, r"data\.test\.counts\.owl: given 21; allowed: at most 20"),
        ({"test": {"noise": {"owl": {"cow": 1}}}}, r"data\.test\.noise: given 'cow'"),
        ({"noise": {"owl": {"cat": 200}}}, "by the labels as given.*'owl'"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        assign(**options)


def test_a_test_part_by_counts_needs_each_class() -> None:
    with pytest.raises(DataError, match=r"data\.test\.counts: says nothing of 'owl'"):
        assign(n_test=0, test={"counts": {"cat": 5, "dog": 6}})
    with pytest.raises(DataError, match=r"data\.counts\.cat: given 500; allowed: at most 440"):
        assign(n_test=0, counts={"cat": 500}, test={"counts": {"cat": 110, "dog": 6, "owl": 7}})
