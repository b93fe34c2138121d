"""Optuna's database: opening it, and what is stored of each study."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from filelock import FileLock
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from sweeper.errors import InputError, NotFoundError, StudyError
from sweeper.failpoints import failpoint
from sweeper.masking import without_passwords
from sweeper.search.attributes import (
    CONFIG_ATTR,
    DERIVED_ATTR,
    ENQUEUED_ATTR,
    N_TRIALS_ATTR,
    QUEUE_ATTR,
    SEED_OFFSET_ATTR,
    STUDY_ATTR,
    TAGS_ATTR,
    USER_ATTR,
    UUID_ATTR,
)
from sweeper.search.database import open_database, translated
from sweeper.search.locks import database_lock, user_name
from sweeper.search.urls import access_error, masked
from sweeper.study.names import NAME_PATTERN
from sweeper.study.study import Study

__all__ = ["Queued", "StoredStudy", "StudyStore", "TrialRecord"]


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial as Optuna stores it."""

    number: int
    state: str
    """COMPLETE, PRUNED, FAIL, RUNNING or WAITING."""
    value: float | None
    params: Mapping[str, Any]
    epochs: Mapping[int, float]
    """The objective's metric by epoch."""
    attrs: Mapping[str, Any]
    start: datetime | None
    """Local time, without a zone, as Optuna stores it."""
    end: datetime | None

    @property
    def finished(self) -> bool:
        return self.state in ("COMPLETE", "PRUNED", "FAIL")


def record_of(trial: FrozenTrial) -> TrialRecord:
    """Optuna's trial as a record of ours."""
    return TrialRecord(
        number=trial.number,
        state=trial.state.name,
        value=None if trial.values is None else trial.values[0],
        params=trial.params,
        epochs=trial.intermediate_values,
        attrs=trial.user_attrs,
        start=trial.datetime_start,
        end=trial.datetime_complete,
    )


@dataclass(frozen=True, kw_only=True)
class Queued:
    """A trial that is not to be drawn: its parameters are known."""

    params: Mapping[str, Any]
    """By the parameter's name."""
    seed_offset: int
    """What its seed is above that of the configuration."""
    tags: Mapping[str, str]
    """Of its run."""
    config: Mapping[str, Any] | None = None
    """The configuration as plain data, where it is not what the parameters and the seed give."""


@dataclass(frozen=True, kw_only=True)
class StoredStudy:
    """One study as Optuna stores it."""

    study: Study
    uuid: str
    n_trials: int
    """Trials after which the search ends."""
    created: datetime | None
    trials: tuple[TrialRecord, ...]
    derived: Mapping[str, Any] | None = None
    """For a study that draws no trials of its own: of which study it is, and what was asked for; see
    `sweeper.sweep.derived`. None for a search."""
    queue: tuple[Mapping[str, Any], ...] = ()
    """The parameters of each configuration that a user has asked for, tried or not; others are drawn."""

    @property
    def kind(self) -> str:
        """`search`, or what a study is that draws no trials of its own: `final`, `promoted` or `reproduced`."""
        return "search" if self.derived is None else str(self.derived.get("kind", "final"))

    @property
    def n_queued(self) -> int:
        """Number of configurations that a user has asked for and of which no trial has begun."""
        return len(self.queue) - len({t.attrs[ENQUEUED_ATTR] for t in self.trials if ENQUEUED_ATTR in t.attrs})

    def count(self, *states: str) -> int:
        """Number of trials in any of these states."""
        return sum(trial.state in states for trial in self.trials)

    @property
    def best(self) -> TrialRecord | None:
        """The best complete trial."""
        objective = self.study.objective
        complete = [t for t in self.trials if t.state == "COMPLETE" and t.value is not None]
        if not complete:
            return None
        sign = -1 if objective.maximize else 1
        return min(complete, key=lambda t: (sign * (t.value or 0.0), t.number))


class StudyStore:
    """Optuna's database at a URL. Opening it creates its tables where they are missing.

    Every method raises `SweeperError` where the database is out of reach.
    """

    def __init__(self, url: str, *, lock_path: Path | None = None, create: bool = True) -> None:
        """Open the database.

        Args:
            url: Such as `sqlite:///optuna.db`.
            lock_path: A lock file that keeps two processes from creating the tables at once. A database that
                machines share is locked besides.
            create: Whether to create a missing SQLite file.

        Raises:
            AccessError: The database denies access.
            InputError: The URL is malformed, the database out of reach, or MLflow's.
            NotFoundError: The SQLite file is missing and is not to be created.
        """
        self.url = url
        self._lock_path = lock_path
        try:
            database = make_url(url)
            file = database.database if database.get_backend_name() == "sqlite" else None
            if file and not create and not Path(file).exists():
                raise NotFoundError(f"no studies yet: {masked(url)} does not exist; start one with `sweeper start`")
            with self.locked():
                self.storage = open_database(url)
        except (SQLAlchemyError, StorageInternalError, ImportError, RuntimeError, ValueError) as error:
            if denied := access_error(error, url):
                raise denied from None
            reason = without_passwords((str(error).splitlines() or [""])[0].replace(url, masked(url)))
            raise InputError(f"cannot open Optuna's database {masked(url)}: {reason}") from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others, on other machines too, from creating tables or studies during a block."""
        with ExitStack() as stack:
            if self._lock_path is not None:
                self._lock_path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(FileLock(self._lock_path))
            stack.enter_context(database_lock(self.url, "storage"))
            yield

    @translated
    def names(self) -> list[str]:
        """Names of the studies that sweeper started, sorted. Others may write to the database: names that sweeper gives
        to no study are left out.
        """
        studies = self.storage.get_all_studies()
        return sorted(
            s.study_name for s in studies if STUDY_ATTR in s.user_attrs and re.fullmatch(NAME_PATTERN, s.study_name)
        )

    def exists(self, name: str) -> bool:
        """Whether there is a study of that name."""
        return name in self.names()

    @translated
    def read(self, name: str) -> StoredStudy:
        """A study with its trials.

        Raises:
            NotFoundError: There is none of that name.
            InputError: What is stored under that name cannot be read.
        """
        try:
            study_id = self.storage.get_study_id_from_name(name)
        except KeyError:
            known = ", ".join(self.names()) or "none yet"
            raise NotFoundError(f"no study {name!r} in {masked(self.url)}; studies there: {known}") from None
        attrs = self.storage.get_study_user_attrs(study_id)
        if STUDY_ATTR not in attrs:
            raise NotFoundError(f"the study {name!r} in {masked(self.url)} was not made by sweeper")
        try:
            study = Study.model_validate(attrs[STUDY_ATTR])
        except StudyError as error:
            raise InputError(
                f"the study {name!r} in {masked(self.url)} cannot be read; another version of sweeper stored it, or "
                f"someone changed it: {error.faults[0]}"
            ) from None
        if study.name != name:
            raise InputError(f"the study {name!r} in {masked(self.url)} is stored with the name {study.name!r}")
        trials = self.storage.get_all_trials(study_id, deepcopy=False)
        starts = [t.datetime_start for t in trials if t.datetime_start is not None]
        derived = attrs.get(DERIVED_ATTR)
        return StoredStudy(
            study=study,
            uuid=attrs[UUID_ATTR],
            n_trials=attrs[N_TRIALS_ATTR] if derived is None else len(trials),
            created=min(starts, default=None),
            trials=tuple(record_of(trial) for trial in trials),
            derived=derived,
            queue=tuple(attrs.get(QUEUE_ATTR, ())),
        )

    @translated
    def create(self, study: Study, *, n_trials: int, derived: Mapping[str, Any] | None = None) -> None:
        """Store a new study. After a crash it is stored in full or does not count as stored.

        Args:
            study: The study; none of its name is stored.
            n_trials: Trials after which the search ends.
            derived: What makes it a study that draws none: it has the trials that are put into it by `enqueue`.
        """
        direction = StudyDirection.MAXIMIZE if study.objective.maximize else StudyDirection.MINIMIZE
        try:
            study_id = self.storage.create_new_study([direction], study.name)
        except DuplicatedStudyError:
            study_id = self.storage.get_study_id_from_name(study.name)
            attrs = self.storage.get_study_user_attrs(study_id)
            ours = UUID_ATTR in attrs or (not attrs and self.storage.get_study_directions(study_id) == [direction])
            if not ours or self.storage.get_all_trials(study_id, deepcopy=False):
                raise InputError(
                    f"the name {study.name!r} is taken in {masked(self.url)} by a study that sweeper did not make"
                ) from None
        self.storage.set_study_user_attr(study_id, UUID_ATTR, uuid4().hex)
        self.storage.set_study_user_attr(study_id, N_TRIALS_ATTR, n_trials)
        self.storage.set_study_user_attr(study_id, USER_ATTR, user_name())
        self.storage.set_study_system_attr(study_id, "study:metric_names", [study.objective.metric])
        if derived is not None:
            self.storage.set_study_user_attr(study_id, DERIVED_ATTR, dict(derived))
        # Last: a study without this attribute is not taken for one of ours.
        self.storage.set_study_user_attr(study_id, STUDY_ATTR, study.to_json_dict())

    @translated
    def set_budget(self, name: str, study: Study, *, n_trials: int) -> None:
        """Take over the budget of `study` for the stored study of a name, and set the trials after which it ends."""
        study_id = self.storage.get_study_id_from_name(name)
        stored = self.storage.get_study_user_attrs(study_id)[STUDY_ATTR]
        budget = study.to_json_dict().get("budget", {})
        self.storage.set_study_user_attr(study_id, STUDY_ATTR, {**stored, "budget": budget})
        self.storage.set_study_user_attr(study_id, N_TRIALS_ATTR, n_trials)

    @translated
    def set_derived(self, name: str, derived: Mapping[str, Any]) -> None:
        """Set what was asked for of a study that draws no trials of its own."""
        self.storage.set_study_user_attr(self.storage.get_study_id_from_name(name), DERIVED_ATTR, dict(derived))

    @translated
    def enqueue(self, name: str, trials: Sequence[Queued]) -> None:
        """Have trials wait in a study, to be asked for in this order. For its owner."""
        study_id = self.storage.get_study_id_from_name(name)
        for trial in trials:
            attrs = {SEED_OFFSET_ATTR: trial.seed_offset, TAGS_ATTR: dict(trial.tags)}
            if trial.config is not None:
                attrs[CONFIG_ATTR] = dict(trial.config)
            waiting = create_trial(
                state=TrialState.WAITING, system_attrs={"fixed_params": dict(trial.params)}, user_attrs=attrs
            )
            self.storage.create_new_trial(study_id, template_trial=waiting)
            failpoint("derived.enqueued")

    @translated
    def add_to_queue(self, name: str, params: Mapping[str, Any]) -> None:
        """Have a configuration tried next, its other parameters drawn. Also while a driver owns the study: it alone
        creates trials, and takes them from the queue."""
        with self.locked():  # two who add at once
            study_id = self.storage.get_study_id_from_name(name)
            queue = self.storage.get_study_user_attrs(study_id).get(QUEUE_ATTR, [])
            self.storage.set_study_user_attr(study_id, QUEUE_ATTR, [*queue, dict(params)])

    @translated
    def delete(self, name: str) -> None:
        """Delete a study with its trials."""
        self.storage.delete_study(self.storage.get_study_id_from_name(name))
