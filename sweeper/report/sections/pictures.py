"""The pictures that were trained on: some of each class, and what each augmentation does to one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweeper.report.blocks import Block, Picture
from sweeper.report.study_data import StudyData

__all__ = ["build_pictures"]

_PICTURES = (
    ("data/pictures.png", "pictures", "Training pictures of each class", "Some training pictures of each class."),
    ("data/augmentations.png", "augmentations", "Augmentations", "A picture before and after each augmentation."),
)


def _found(data: StudyData) -> Iterator[Picture]:
    for path, key, title, description in _PICTURES:
        content = data.picture(path)
        if content is not None:
            if data.task != "classification":
                title, description = (text.replace(" of each class", "") for text in (title, description))
            yield Picture(key=key, title=title, description=description, content=content)


def build_pictures(data: StudyData) -> Sequence[Block]:
    """What is there of them, from the study's own run or from the best trial's; nothing where neither has any."""
    return list(_found(data))
