"""What a study's data may be: the parameters that decide it, and the augmentations that occur."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from pydantic import ValidationError

from sweeper.study.config import AugmentConfig, TrialConfig
from sweeper.study.study import Study

__all__ = ["data_corners", "is_of_data", "study_augmentations"]

_MAX_CORNERS = 1000


def is_of_data(name: str) -> bool:
    """Whether a parameter, by Optuna's name, is of the data: `data`, `data.augment`, `data[mnist].counts`."""
    return re.split(r"[.[]", name, maxsplit=1)[0] == "data"


def data_corners(study: Study, *, at_most: int = _MAX_CORNERS) -> Iterator[TrialConfig]:
    """Configurations at the ends of the ranges of a study's data, and with each of its choices; none of a loop of its
    own, nor those that have another fault, which checks of the study name.

    Args:
        study: The study.
        at_most: So many are looked at.
    """
    if study.has_own_loop:
        return
    for corner in islice(study.trial.corners(is_of_data), at_most):
        try:
            yield TrialConfig.model_validate(corner.tree)
        except ValidationError:
            continue


def study_augmentations(study: Study) -> tuple[AugmentConfig, ...]:
    """All augmentations that occur in a study's data, each once, at the ends of its ranges."""
    found: dict[str, AugmentConfig] = {}
    for config in data_corners(study):
        for augmentation in config.data.augment:
            found.setdefault(augmentation.model_dump_json(), augmentation)
    return tuple(found.values())
