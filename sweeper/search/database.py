"""Optuna's database underneath: where it is, how it is opened, and what it says when it is out of reach."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session

from sweeper.errors import InputError, SweeperError
from sweeper.masking import without_passwords

__all__ = ["are_same", "masked", "open_database", "reason_of", "set_intermediate_values", "translated"]

optuna.logging.set_verbosity(optuna.logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)

P = ParamSpec("P")
R = TypeVar("R")


def reason_of(error: BaseException) -> str:
    """What went wrong, in one line and without passwords; Optuna hides it in the cause of its own error."""
    cause = error.__cause__ if isinstance(error.__cause__, SQLAlchemyError) else error
    return without_passwords((str(cause).splitlines() or [type(error).__name__])[0])


def translated(call: Callable[P, R]) -> Callable[P, R]:
    """Raise what goes wrong inside the database as `SweeperError`."""

    @functools.wraps(call)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        except (SQLAlchemyError, StorageInternalError) as error:
            raise SweeperError(f"Optuna's database is out of reach; try again: {reason_of(error)}") from error

    return wrapper


def masked(url: str) -> str:
    """A database URL without its password and its query, which may hold one too."""
    try:
        return make_url(url).set(query={}).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return "(a malformed database URL)"


def are_same(one: str, other: str) -> bool:
    """Whether two URLs name one database, as far as their text tells."""
    try:
        places = [_place(make_url(url)) for url in (one, other)]
    except (ArgumentError, ValueError):  # not a database, such as a server's address; or refused when it is opened
        return False
    return places[0] == places[1]


def _place(url: URL) -> tuple[Any, ...]:
    backend = url.get_backend_name()
    if backend == "sqlite":
        return backend, str(Path(url.database or "").resolve())
    host, port = url.host or url.query.get("host"), url.port or url.query.get("port")
    return backend, host or "localhost", int(port) if isinstance(port, str) else port or 5432, url.database


class _Storage(RDBStorage):
    """Optuna's storage in a database, in which a trial that has a number is created once.

    Optuna itself creates a trial again when the answer to the commit is lost, and would leave two.
    """

    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Session
    ) -> models.TrialModel:
        if template_trial is not None:  # the study's row is locked: no other request is on its way
            of_study = session.query(models.TrialModel).filter(models.TrialModel.study_id == study_id)
            created = of_study.filter(models.TrialModel.number == template_trial.number).one_or_none()
            if created is not None:
                return created
        return super()._get_prepared_new_trial(study_id, template_trial, session)

    def set_trial_intermediate_values(self, trial_id: int, values: Mapping[int, float]) -> None:
        """Store values of several steps in one transaction."""
        with _create_scoped_session(self.scoped_session, True) as session:
            for step, value in values.items():
                self._set_trial_intermediate_value_without_commit(session, trial_id, step, value)


def set_intermediate_values(storage: BaseStorage, trial_id: int, values: Mapping[int, float]) -> None:
    """Store a trial's values by step, in one transaction where the storage can."""
    if not values:
        return
    behind = storage._backend if isinstance(storage, _CachedStorage) else storage
    if isinstance(behind, _Storage):
        behind.set_trial_intermediate_values(trial_id, values)
        return
    for step, value in values.items():
        storage.set_trial_intermediate_value(trial_id, step, value)


def open_database(url: str) -> BaseStorage:
    """Open Optuna's database; creates its tables where they are missing.

    Raises:
        InputError: It is MLflow's.
    """
    is_sqlite = make_url(url).get_backend_name() == "sqlite"
    engine_kwargs: dict[str, Any] = {"connect_args": {"timeout": 60}} if is_sqlite else {"pool_pre_ping": True}
    _refuse_mlflow(url)
    # The cache reads finished trials once; without it each question to the sampler reads all trials again.
    return _CachedStorage(_Storage(url, engine_kwargs=engine_kwargs))


def _refuse_mlflow(url: str) -> None:
    engine = create_engine(url)
    try:
        tables = set(inspect(engine).get_table_names())
    finally:
        engine.dispose()
    if "alembic_version" in tables and "experiments" in tables:
        raise InputError(
            f"{masked(url)} is MLflow's database; Optuna needs one of its own, since both keep a table "
            "alembic_version there: create another database and set SWEEPER_STORAGE to it"
        )
