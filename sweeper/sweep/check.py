"""Checks of a study that need more than its file: whether models fit pictures, options their data, metrics classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path as FilePath

from sweeper.data.catalog import class_names, input_shape, output_names, own_folder, picture_counts
from sweeper.data.faults import data_faults, unknown_name
from sweeper.data.folders import list_pictures
from sweeper.data.relabel import read_labels
from sweeper.errors import DataError
from sweeper.models.check import model_fault, network_fault
from sweeper.study.config import TorchvisionConfig, TrialConfig
from sweeper.study.load import MAX_CORNERS, Check, CheckedStudy, StudyCheck, check_raw, load_study
from sweeper.study.of_data import data_corners
from sweeper.study.parse import Path
from sweeper.study.study import Study, source_of
from sweeper.study.words import show
from sweeper.sweep.measured import metric_fault

__all__ = ["CHECKS", "STUDY_CHECKS", "check_study", "create_checks", "missing_folders"]


def model_fits_pictures(config: TrialConfig) -> Iterable[tuple[Path, str]]:
    """A check: a network that torchvision has, and layers that would shrink a picture to nothing."""
    unknown = network_fault(config.model) if isinstance(config.model, TorchvisionConfig) else None
    if unknown is not None:
        yield ("model", "network"), unknown
        return
    shape = input_shape(config.data)
    fault = None if shape is None else model_fault(config.model, shape, batch_size=config.training.batch_size)
    if fault is not None:
        yield ("model",), fault


def create_checks(data_dir: FilePath | None = None) -> tuple[tuple[Check, ...], tuple[StudyCheck, ...]]:
    """Checks of every corner of a space, and of a study as a whole; folders of pictures are looked for in `data_dir`.

    They remember what they find on the disk, since a space may have thousands of corners: for one check of a study.
    """
    listed = cache(list_pictures)
    corrected = cache(read_labels)

    def options_fit_data(config: TrialConfig) -> Iterable[tuple[Path, str]]:
        """A check: classes that there are, and no more pictures or wrong labels of them than there are."""
        data = config.data
        own_names = class_names(data, data_dir=data_dir, own=True)
        if not own_names:  # the folder is not there yet, or a regression
            return
        known = picture_counts(data, data_dir=data_dir, listed=listed)
        faults = [(("data", *field), message) for field, message in data_faults(data, own_names, known)]
        yield from faults
        if data.relabel is None or faults:
            return
        try:
            labels = corrected(FilePath(data.relabel))
        except DataError as error:
            yield ("data", "relabel"), str(error).removeprefix("data.relabel: ")
            return
        names = class_names(data, data_dir=data_dir) or ()
        for picture, label in labels.items():
            if label and label not in names:
                yield ("data", "relabel"), f"{data.relabel}, picture {show(picture)}: {unknown_name(label, names)}"
                return

    def weights_fit_classes(config: TrialConfig) -> Iterable[tuple[Path, str]]:
        """A check: as many class weights as classes."""
        loss, data = config.training.loss, config.data
        weights, names = getattr(loss, "class_weights", None), class_names(data, data_dir=data_dir)
        if isinstance(weights, tuple) and names is not None and len(weights) != len(names):
            allowed = f"one for each of the {len(names)} classes of {data.name}"
            yield ("training", "loss", "class_weights"), f"given {len(weights)} weights; allowed: {allowed}"

    def fault_of(metric: str, config: TrialConfig) -> str | None:
        names = class_names(config.data, data_dir=data_dir)
        return metric_fault(metric, config, class_names=names, output_names=output_names(config.data))

    def metric_fits_data(config: TrialConfig) -> Iterable[tuple[Path, str]]:
        """A check: early stopping that watches a metric that there will be."""
        if config.training.early_stopping is not None:
            fault = fault_of(config.training.early_stopping.metric, config)
            if fault is not None:
                yield ("training", "early_stopping", "metric"), fault

    def objective_fits_data(study: Study) -> Iterable[tuple[Path, str]]:
        """A check: an objective that there will be, whatever is drawn for the data."""
        for config in data_corners(study, at_most=MAX_CORNERS):
            fault = fault_of(study.objective.metric, config)
            if fault is not None:
                by_default = "metric" not in study.objective.model_fields_set
                yield ("objective", "metric"), fault.replace("given", "given by default", 1) if by_default else fault
                return

    return (model_fits_pictures, options_fit_data, weights_fit_classes, metric_fits_data), (objective_fits_data,)


CHECKS, STUDY_CHECKS = create_checks()


def check_study(
    study: FilePath | Study, overrides: Sequence[str] = (), *, data_dir: FilePath | None = None
) -> CheckedStudy:
    """Check a study in full, that of a file or one that was made in Python, against the folders of pictures in
    `data_dir` too.

    Raises:
        StudyError: With every fault found; a `StudyFileError` for a file.
    """
    checks, study_checks = create_checks(data_dir)
    if isinstance(study, Study):
        raw = study.to_json_dict()
        source = source_of(raw.get("name"))
        return check_raw(raw, source=source, overrides=overrides, checks=checks, study_checks=study_checks)
    return load_study(study, overrides=overrides, checks=checks, study_checks=study_checks)


def missing_folders(study: Study, data_dir: FilePath | None = None) -> list[FilePath]:
    """Folders of pictures that a study needs and that are not there (yet), so that what depends on their classes and on
    how many pictures there are could not be checked."""
    folders = dict.fromkeys(own_folder(config.data, data_dir) for config in data_corners(study, at_most=MAX_CORNERS))
    return [folder for folder in folders if folder is not None and not folder.is_dir()]
