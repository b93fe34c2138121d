"""Optuna's database underneath: how it is opened, reports written at once, and what it says when it is out of reach."""

from __future__ import annotations

import functools
import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ParamSpec, TypeVar

import optuna
from optuna.distributions import distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, insert, select, tuple_
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, scoped_session

from sweeper.errors import SweeperError
from sweeper.search.urls import access_error, reason_of, refuse_mlflow

__all__ = ["Database", "open_database", "translated"]

optuna.logging.set_verbosity(optuna.logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)

P = ParamSpec("P")
R = TypeVar("R")

_FINITE = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE


def translated(call: Callable[P, R]) -> Callable[P, R]:
    """Raise what goes wrong inside the database as `SweeperError`, and what it denies as `AccessError`."""

    @functools.wraps(call)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        except (SQLAlchemyError, StorageInternalError) as error:
            if denied := access_error(error):
                raise denied from error
            raise SweeperError(f"Optuna's database is out of reach; try again: {reason_of(error)}") from error

    return wrapper


class _Sessions:
    """Where Optuna gets its sessions. A thread that has opened a transaction gets all of them in that."""

    def __init__(self, sessions: scoped_session[Session]) -> None:
        self._sessions = sessions
        self._thread = threading.local()

    def __call__(self) -> Session:
        connection: Connection | None = getattr(self._thread, "connection", None)
        if connection is None:
            return self._sessions()
        return Session(bind=connection, join_transaction_mode="rollback_only")

    def remove(self) -> None:
        self._sessions.remove()

    @contextmanager
    def inside(self, connection: Connection) -> Iterator[None]:
        """Have the sessions of this thread in the transaction of a connection."""
        self._thread.connection = connection
        try:
            yield
        finally:
            self._thread.connection = None


class _Storage(RDBStorage):
    """Optuna's storage in a database, in which a trial that has a number is created once, with few statements.

    Optuna itself creates a trial again when the answer to the commit is lost, and would leave two. It also counts all
    trials before it, and for each parameter looks for another trial that has it.
    """

    def __init__(self, url: str, engine_kwargs: dict[str, Any]) -> None:
        super().__init__(url, engine_kwargs=engine_kwargs)
        self._sessions = _Sessions(self.scoped_session)
        self.scoped_session = self._sessions  # type: ignore[assignment]  # with all that Optuna calls

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction for all that this thread does in the block."""
        with self.engine.connect() as connection, connection.begin() as transaction:
            with self._sessions.inside(connection):
                yield
            if not transaction.is_active:  # Optuna took one statement back, and what came before with it
                raise StorageInternalError("the transaction was rolled back")

    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Session
    ) -> models.TrialModel:
        if template_trial is None or template_trial.number < 0:
            return super()._get_prepared_new_trial(study_id, template_trial, session)
        assert not template_trial.state.is_finished()
        # The study's row is locked: no other request is on its way.
        of_study = session.query(models.TrialModel).filter(models.TrialModel.study_id == study_id)
        created = of_study.filter(models.TrialModel.number == template_trial.number).one_or_none()
        if created is not None:
            return created
        trial = models.TrialModel(
            study_id=study_id,
            number=template_trial.number,
            state=template_trial.state,
            datetime_start=template_trial.datetime_start,
        )
        session.add(trial)
        session.flush()  # gives it its id
        of_trial: dict[type[models.BaseModel], list[dict[str, Any]]] = {
            models.TrialParamModel: [
                {
                    "param_name": name,
                    "param_value": distribution.to_internal_repr(template_trial.params[name]),
                    "distribution_json": distribution_to_json(distribution),
                }
                for name, distribution in template_trial.distributions.items()
            ],
            models.TrialUserAttributeModel: _attributes(template_trial.user_attrs),
            models.TrialSystemAttributeModel: _attributes(template_trial.system_attrs),
            models.TrialIntermediateValueModel: [
                {"step": step, "intermediate_value": value, "intermediate_value_type": _FINITE}
                for step, value in template_trial.intermediate_values.items()
            ],
        }
        for model, rows in of_trial.items():
            if rows:
                session.execute(insert(model), [{"trial_id": trial.trial_id, **row} for row in rows])
        return trial


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value_json": json.dumps(value)} for key, value in values.items()]


class Database(_CachedStorage):
    """Optuna's storage in a database, with a way to store the reports of many trials at once.

    The cache reads finished trials once; without it each question to the sampler reads all trials again.
    """

    _backend: _Storage

    @property
    def url(self) -> str:
        """Of the database."""
        return self._backend.url

    def transaction(self) -> AbstractContextManager[None]:
        """One transaction for all that this thread does in the block; where an error leaves the block, nothing of it is
        stored. Outside, each of Optuna's methods makes a transaction of its own."""
        return self._backend.transaction()

    def set_intermediate_values(self, reports: Iterable[tuple[int, int, float]]) -> None:
        """Store values of epochs in one transaction; of epochs that have one already, it stays.

        Optuna's own method takes three queries and a commit for each value.

        Args:
            reports: Ids of trials, steps, and finite values; no step of a trial twice.
        """
        table = models.TrialIntermediateValueModel.__table__
        key = tuple_(table.c.trial_id, table.c.step)
        values = {(trial_id, step): value for trial_id, step, value in reports}
        with _create_scoped_session(self._backend.scoped_session) as session:
            there = {
                tuple(row)
                for row in session.execute(select(table.c.trial_id, table.c.step).where(key.in_(list(values))))
            }
            rows = [
                {"trial_id": trial_id, "step": step, "intermediate_value": value, "intermediate_value_type": _FINITE}
                for (trial_id, step), value in values.items()
                if (trial_id, step) not in there
            ]
            if rows:
                session.execute(insert(table), rows)


def open_database(url: str) -> Database:
    """Open Optuna's database; creates its tables where they are missing.

    Raises:
        InputError: It is MLflow's.
    """
    is_sqlite = make_url(url).get_backend_name() == "sqlite"
    engine_kwargs: dict[str, Any] = {"connect_args": {"timeout": 60}} if is_sqlite else {"pool_pre_ping": True}
    refuse_mlflow(url)
    return Database(_Storage(url, engine_kwargs=engine_kwargs))
