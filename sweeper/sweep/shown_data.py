"""What a study trains on, to be looked at before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.data.catalog import BUILT_IN
from sweeper.data.dataset import Dataset
from sweeper.data.decoded import OnProgress
from sweeper.data.gallery import draw_augmentations, draw_classes
from sweeper.data.store import open_dataset
from sweeper.errors import InputError
from sweeper.study.config import AugmentConfig, DataConfig, TrialConfig
from sweeper.study.load import check_raw
from sweeper.study.of_data import study_augmentations
from sweeper.study.study import Study
from sweeper.study.words import nearest
from sweeper.sweep.check import check_study, create_checks
from sweeper.tracking.workspace import Workspace

__all__ = ["ShownData", "open_shown_data", "write_pictures"]


@dataclass(frozen=True, kw_only=True)
class ShownData:
    """A data set, and what is to be shown of it."""

    title: str
    """Name of the study, or of the data set."""
    config: DataConfig
    """Where options of the data vary within a study: with the first option of each."""
    dataset: Dataset
    augmentations: tuple[AugmentConfig, ...]
    """All that occur in the study, each once."""


def open_shown_data(
    source: str, overrides: Sequence[str], workspace: Workspace, *, on_progress: OnProgress | None = None
) -> ShownData:
    """Open the data of a study file, a data set known by name, or a folder of pictures.

    Args:
        source: A study file, a name such as `stl10`, or a folder.
        overrides: As of `--set`. For a study file, fields of the study, such as `trial.data.image_size=64`; else fields
            of the data, such as `image_size=64`.
        workspace: Where the cache and the data sets are.
        on_progress: Told of pictures decoded so far and of all.

    Raises:
        StudyError: The study file, or an option, has faults.
        InputError: There is no such file, name or folder.
        DataError: The data set cannot be found, read or split.
    """
    path = Path(source)
    if path.is_file() or path.suffix in (".yaml", ".yml"):
        study = check_study(path, overrides, data_dir=workspace.data_dir).study
        title = study.name
        if study.has_own_loop:
            raise InputError(f"{source}: trains with a loop of its own, whose data sweeper does not know")
    else:
        study = _plain_study(source, overrides, workspace)
        title = source if source in BUILT_IN else path.resolve().name
    config = TrialConfig.model_validate(next(study.trial.corners(lambda name: False)).tree).data
    dataset = open_dataset(config, cache_dir=workspace.cache_dir, data_dir=workspace.data_dir, on_progress=on_progress)
    return ShownData(title=title, config=config, dataset=dataset, augmentations=study_augmentations(study))


def write_pictures(shown: ShownData, folder: Path, *, part: str = "train", seed: int = 0) -> list[Path]:
    """Write `pictures.png`, random pictures of each class, and `augmentations.png`, where there are augmentations."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {"pictures.png": draw_classes(shown.dataset, part=part, seed=seed)}
    if shown.augmentations:
        drawn["augmentations.png"] = draw_augmentations(shown.dataset, shown.augmentations, seed=seed)
    for name, content in drawn.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in drawn]


def _plain_study(source: str, overrides: Sequence[str], workspace: Workspace) -> Study:
    """The least study around a data set, so that its options are checked and spelled as in a study file."""
    if source in BUILT_IN:
        data: dict[str, Any] = {"name": source}
    elif Path(source).is_dir() or (workspace.data_dir is not None and (workspace.data_dir / source).is_dir()):
        data = {"name": "folder", "path": str(Path(source).resolve()) if Path(source).is_dir() else source}
    else:
        known = ", ".join(BUILT_IN)
        raise InputError(
            f"given {source!r}{nearest(source, BUILT_IN) or ';'} allowed: a study file, a folder of pictures, or one "
            f"of {known}"
        )
    model, loss = ("linear", "mse") if source == "functions" else ("logistic", "cross_entropy")
    training = {"epochs": 1, "batch_size": 32, "optimizer": "adam", "loss": loss}
    raw = {
        "name": "data",
        "objective": {"metric": "val/loss"},
        "trial": {"data": data, "model": model, "training": training},
    }
    checks, study_checks = create_checks(workspace.data_dir)
    full = [f"trial.data.{each.strip().removeprefix('trial.').removeprefix('data.')}" for each in overrides]
    return check_raw(raw, source=source, overrides=full, checks=checks, study_checks=study_checks).study
