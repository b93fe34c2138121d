from __future__ import annotations

import pytest

from sweeper.study.of_data import is_of_data, study_augmentations
from tests.study.conftest import check, plain


@pytest.mark.parametrize(
    ("name", "expected"),
    [("data", True), ("data.augment", True), ("data[mnist].counts", True), ("database", False), ("model.data", False)],
)
def test_parameters_of_the_data(name: str, expected: bool) -> None:
    assert is_of_data(name) == expected


def test_all_augmentations_of_a_study_each_once() -> None:
    flips = "{choice: [[], [vertical_flip], [vertical_flip, perspective]]}"
    turned = "[{name: rotation, degrees: {choice: [3.0, 5.0]}}]"
    data = f"{{choice: [{{name: digits, augment: {flips}}}, {{name: digits, augment: {turned}}}]}}"
    study = check(plain(("{name: digits}", data))).study
    found = study_augmentations(study)
    assert [each.name for each in found] == ["vertical_flip", "perspective", "rotation", "rotation"]
