from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import InputError, StudyError, StudyFileError
from sweeper.sweep.shown_data import open_shown_data
from sweeper.tracking.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.from_environment(
        tmp_path, {"SWEEPER_CACHE": str(tmp_path / "cache"), "SWEEPER_DATA": str(tmp_path)}
    )


def test_a_name_with_options(workspace: Workspace) -> None:
    shown = open_shown_data("digits", ["classes=['3', '5']", "data.augment=[vertical_flip]"], workspace)
    assert shown.title == "digits"
    assert shown.dataset.class_names == ("3", "5")
    assert [each.name for each in shown.augmentations] == ["vertical_flip"]
    assert len(open_shown_data("functions", ["subset=100"], workspace).dataset.train) == 85


def test_what_is_neither_a_file_nor_a_name_nor_a_folder(workspace: Workspace) -> None:
    with pytest.raises(InputError, match=r"given 'digit'; did you mean 'digits'\? allowed: a study file, a folder"):
        open_shown_data("digit", [], workspace)
    with pytest.raises(StudyFileError, match="cannot be read"):
        open_shown_data("nowhere.yaml", [], workspace)
    with pytest.raises(StudyError, match=r"counts: given '11'; allowed classes: 0, 1"):
        open_shown_data("digits", ["counts={'11': 3}"], workspace)
