"""Checks of a study that need more than its file: whether models fit pictures and metrics fit classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path as FilePath

from sweeper.data.catalog import class_names, input_shape
from sweeper.models.check import model_fault
from sweeper.study.config import DataConfig, TrialConfig
from sweeper.study.load import Check, CheckedStudy, StudyCheck, load_study
from sweeper.study.parse import Path
from sweeper.study.study import Study
from sweeper.study.words import nearest, show

__all__ = ["CHECKS", "STUDY_CHECKS", "check_study"]


def model_fits_pictures(config: TrialConfig) -> Iterable[tuple[Path, str]]:
    """A check: layers that would shrink a picture to nothing."""
    shape = input_shape(config.data)
    fault = None if shape is None else model_fault(config.model, shape, batch_size=config.training.batch_size)
    if fault is not None:
        yield ("model",), fault


def weights_fit_classes(config: TrialConfig) -> Iterable[tuple[Path, str]]:
    """A check: as many class weights as classes."""
    weights, names = getattr(config.training.loss, "class_weights", None), class_names(config.data)
    if isinstance(weights, tuple) and names is not None and len(weights) != len(names):
        yield (
            ("training", "loss", "class_weights"),
            f"given {len(weights)} weights; allowed: one for each of the {len(names)} classes of {config.data.name}",
        )


def metric_fits_classes(config: TrialConfig) -> Iterable[tuple[Path, str]]:
    """A check: early stopping that watches a class that there is."""
    if config.training.early_stopping is not None:
        fault = _class_fault(config.training.early_stopping.metric, config.data)
        if fault is not None:
            yield ("training", "early_stopping", "metric"), fault


def objective_fits_classes(study: Study) -> Iterable[tuple[Path, str]]:
    """A check: an objective on a class that there is."""
    first = TrialConfig.model_validate(next(study.trial.corners(lambda name: False)).tree)
    fault = _class_fault(study.objective.metric, first.data)
    if fault is not None:
        yield ("objective", "metric"), fault


def _class_fault(metric: str, data: DataConfig) -> str | None:
    _, _, name = metric.partition("/accuracy/")
    names = class_names(data) if name else None
    if names is None or name in names:
        return None
    return f"given {show(metric)}{nearest(name, names) or ';'} allowed classes: {', '.join(names)}"


CHECKS: tuple[Check, ...] = (model_fits_pictures, weights_fit_classes, metric_fits_classes)
STUDY_CHECKS: tuple[StudyCheck, ...] = (objective_fits_classes,)


def check_study(path: FilePath, overrides: Sequence[str] = ()) -> CheckedStudy:
    """Read a study file and check it in full.

    Raises:
        StudyFileError: With every fault found.
    """
    return load_study(path, overrides=overrides, checks=CHECKS, study_checks=STUDY_CHECKS)
