"""Checks of a study that need more than its file: whether models fit pictures and metrics fit classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path as FilePath

from sweeper.data.catalog import class_names, input_shape
from sweeper.errors import Fault, StudyFileError
from sweeper.models.check import model_fault
from sweeper.study.config import TrialConfig
from sweeper.study.load import CheckedStudy, load_study
from sweeper.study.space import Path

__all__ = ["check_study", "model_fits_pictures", "weights_fit_classes"]


def model_fits_pictures(config: TrialConfig) -> Iterable[tuple[Path, str]]:
    """A check: layers that would shrink a picture to nothing."""
    shape = input_shape(config.data)
    fault = None if shape is None else model_fault(config.model, shape)
    if fault is not None:
        yield ("model",), fault


def weights_fit_classes(config: TrialConfig) -> Iterable[tuple[Path, str]]:
    """A check: as many class weights as classes."""
    weights, names = config.training.loss.class_weights, class_names(config.data)
    if isinstance(weights, tuple) and names is not None and len(weights) != len(names):
        yield (
            ("training", "loss", "class_weights"),
            f"given {len(weights)} weights; allowed: one for each of the {len(names)} classes of {config.data.name}",
        )


def check_study(path: FilePath, overrides: Sequence[str] = ()) -> CheckedStudy:
    """Read a study file and check it in full.

    Raises:
        StudyFileError: With every fault found.
    """
    checked = load_study(path, overrides=overrides, checks=(model_fits_pictures, weights_fit_classes))
    metric = checked.study.objective.metric
    first = TrialConfig.model_validate(next(checked.study.trial.corners(lambda name: False)).tree)
    names = class_names(first.data)
    _, _, class_name = metric.partition("/accuracy/")
    if class_name and names is not None and class_name not in names:
        message = f"given {metric!r}; allowed classes: {', '.join(names)}"
        raise StudyFileError([Fault(source=str(path), line=None, field="objective.metric", message=message)])
    return checked
