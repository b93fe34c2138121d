from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.data.dataset import Dataset
from sweeper.data.store import open_dataset
from sweeper.launch.of_data import draw_data
from sweeper.study.config import DataConfig
from sweeper.tracking.workspace import StudyFiles, TrialFiles, write_json
from tests.sweep.studies import study_dict


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(DataConfig(name="digits"), cache_dir=tmp_path_factory.mktemp("cache"))


@pytest.fixture
def files(tmp_path: Path) -> TrialFiles:
    trial = StudyFiles(folder=tmp_path / "tiny", uuid="0f8e", lock=tmp_path / "lock").trial(0)
    trial.folder.mkdir(parents=True)
    return trial


@pytest.mark.parametrize("augment", [[], ["vertical_flip"]])
def test_pictures_and_augmentations(files: TrialFiles, digits: Dataset, augment: list[str]) -> None:
    study = study_dict()
    study["trial"]["data"]["augment"] = {"choice": [[], augment]} if augment else []
    write_json(files.folder.parent.parent / "study.json", study)
    for _ in range(2):  # a second attempt draws the same
        draw_data(files, digits)
        names = sorted(path.name for path in files.of_data.iterdir())
        assert names == (["augmentations.png"] if augment else []) + ["pictures.png"]
    assert [path.name for path in files.folder.iterdir()] == ["of_data"]


def test_an_attempt_of_no_study(files: TrialFiles, digits: Dataset) -> None:
    draw_data(files, digits)
    assert not list(files.folder.iterdir())
