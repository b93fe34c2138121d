"""Pictures of what a study trains on, drawn once by the worker that has its first trial."""

from __future__ import annotations

import shutil

from sweeper.data.dataset import Dataset
from sweeper.data.gallery import draw_augmentations, draw_classes
from sweeper.study.of_data import study_augmentations
from sweeper.study.study import Study
from sweeper.tracking.workspace import TrialFiles, read_json

__all__ = ["draw_data"]


def draw_data(files: TrialFiles, dataset: Dataset) -> None:
    """Draw some pictures of each class, and one before and after each augmentation that occurs in the study, whole or
    not at all. Nothing for a trial that is of no study."""
    study = read_json(files.folder.parent.parent / "study.json")
    if study is None:
        return
    augmentations = study_augmentations(Study.model_validate(study))
    partial = files.of_data.with_suffix(".partial")
    for folder in (partial, files.of_data):
        shutil.rmtree(folder, ignore_errors=True)
    partial.mkdir()
    (partial / "pictures.png").write_bytes(draw_classes(dataset))
    if augmentations:
        (partial / "augmentations.png").write_bytes(draw_augmentations(dataset, augmentations))
    partial.rename(files.of_data)
