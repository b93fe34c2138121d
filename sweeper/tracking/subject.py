"""What a command is about: a tracked run by its name, its configuration, its pictures and its model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from pydantic import ValidationError

from sweeper.errors import DataError, InputError, NotFoundError
from sweeper.study.config import TrialConfig, trial_config
from sweeper.tracking.plugins import load_plugins_of
from sweeper.tracking.reading import open_reader
from sweeper.tracking.records import RunReader, RunRecord, StudyRecord
from sweeper.tracking.runs import TrackedRun, best_of

if TYPE_CHECKING:
    from sweeper.data.dataset import Dataset
    from sweeper.models.trained import TrainedModel
    from sweeper.tracking.workspace import Workspace

__all__ = ["OnProgress", "Subject", "config_of", "find_run", "load_model", "open_pictures"]

OnProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is in all."""

_RUN_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A tracked run, its study, and where they came from."""

    study: StudyRecord
    run: RunRecord
    reader: RunReader

    @property
    def name(self) -> str:
        """`STUDY/NUMBER`."""
        return f"{self.study.name}/{self.run.number}"


def find_run(workspace: Workspace, name: str) -> Subject:
    """The run of that name: `STUDY` (its best trial), `STUDY/NUMBER` (one of its trials), or MLflow's id of a run.

    Raises:
        NotFoundError: There is none.
        InputError: The name is of another form.
        TrackingError: The tracker cannot be reached.
    """
    subject = _find(workspace, name)
    load_plugins_of(workspace, subject.study.name)
    return subject


def _find(workspace: Workspace, name: str) -> Subject:
    reader = open_reader(workspace.tracking_uri)
    study_name, slash, number = name.partition("/")
    if slash and not number.isdecimal():
        raise InputError(f"RUN: given {name!r}; allowed: STUDY, STUDY/NUMBER such as {study_name}/0, or a run's id")
    if not slash and _RUN_ID.fullmatch(name) and name not in reader.list_studies():
        return _find_by_id(reader, name)
    study = reader.read_study(study_name)
    if not slash:
        return Subject(study=study, run=_best(study), reader=reader)
    for run in study.runs:
        if run.number == int(number):
            return Subject(study=study, run=run, reader=reader)
    known = f"0 to {study.runs[-1].number}" if study.runs else "none"
    raise NotFoundError(f"no trial {number} in {study_name}; trials there: {known}")


def _find_by_id(reader: RunReader, run_id: str) -> Subject:
    for name in reader.list_studies():
        study = reader.read_study(name)
        if study.parent_run_id == run_id:
            return Subject(study=study, run=_best(study), reader=reader)
        for run in study.runs:
            if run.run_id == run_id:
                return Subject(study=study, run=run, reader=reader)
    raise NotFoundError(f"no run {run_id} in any tracked study; `sweeper runs STUDY --json` lists their ids")


def _best(study: StudyRecord) -> RunRecord:
    best = best_of(study, 1)
    if not best:
        raise NotFoundError(f"no trial of {study.name} is complete yet; name one as {study.name}/NUMBER")
    return best[0]


def config_of(run: RunRecord, reader: RunReader) -> TrialConfig:
    """The configuration of a run.

    Raises:
        NotFoundError: The run has not begun, and so has none.
        InputError: This version of sweeper cannot read it.
    """
    data = reader.read_artifact(run, "config.json")
    if data is None:
        raise NotFoundError(f"{run.name} has no config.json; it has not begun, or MLflow has not got it yet")
    try:
        tree = json.loads(data)
        if trial_config(tree) is not TrialConfig:
            raise InputError(
                f"{run.name} was trained by a loop of its own, whose pictures and model sweeper does not know"
            )
        return TrialConfig.model_validate(tree)
    except (ValidationError, ValueError) as error:
        raise InputError(f"this version of sweeper cannot read config.json of {run.name}: {error}") from error


def load_model(workspace: Workspace, subject: Subject) -> TrainedModel:
    """The model of a run, on the CPU, in evaluation mode.

    Raises:
        NotFoundError: The run kept none.
        InputError: What it kept is no model, or its backbone has other weights now.
    """
    return TrackedRun(subject.run, subject.reader).load_model(places=workspace.places)


def open_pictures(workspace: Workspace, run: RunRecord, config: TrialConfig) -> Dataset:
    """The pictures that a run was trained on.

    Raises:
        DataError: They are missing, or have changed since.
    """
    from sweeper.data.store import open_dataset

    dataset = open_dataset(config.data, cache_dir=workspace.cache_dir, data_dir=workspace.data_dir)
    trained_on = run.tags.get("sweeper.data_fingerprint", dataset.fingerprint)
    if trained_on != dataset.fingerprint:
        raise DataError(
            f"the pictures, labels or split of {dataset.name} have changed since {run.name}: it was trained on "
            f"{trained_on}, here is {dataset.fingerprint}; run the study anew"
        )
    return dataset
