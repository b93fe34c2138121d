"""Studies at a glance: how far each is and its best value, by a few queries of the tables in Optuna's database.

Opening the database by Optuna imports it, with SQLAlchemy's mapper and Alembic, and reads every trial: `sweeper status`
took 3.3 s of CPU so, and takes 1.0 s (medians of 3 alternating runs, on a core of an AMD EPYC that many others used). A
test holds the one to the other.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from sweeper.errors import InputError, NotFoundError
from sweeper.search.attributes import (
    DERIVED_ATTR,
    ENQUEUED_ATTR,
    N_TRIALS_ATTR,
    QUEUE_ATTR,
    STUDY_ATTR,
    USER_ATTR,
    UUID_ATTR,
)
from sweeper.search.urls import masked, reason_of, refuse_mlflow
from sweeper.study.direction import DEFAULT_METRIC, is_maximized
from sweeper.study.names import NAME_PATTERN
from sweeper.study.space import Space, SpaceError

__all__ = ["Glance", "find_glance", "read_glances", "read_space", "read_states"]


@dataclass(frozen=True, kw_only=True)
class Glance:
    """One study, without its trials."""

    name: str
    uuid: str
    n_trials: int
    """Trials after which the search ends."""
    metric: str
    n_by_state: Mapping[str, int]
    """Trials in each of Optuna's states that occurs."""
    best: float | None
    best_trial: int | None
    """Of the best complete trial, the first of equals."""
    user: str
    """Who started the study; empty where that is not known."""
    n_enqueued: int
    """Configurations that a user has asked for and of which no trial has begun."""
    n_seeds: int
    """Trials of each configuration."""

    def count(self, *states: str) -> int:
        """Number of trials in any of these states."""
        return sum(self.n_by_state.get(state, 0) for state in states)


def read_glances(url: str) -> list[Glance]:
    """The studies in a database that sweeper started, by name. None where the database is not there or empty.

    Args:
        url: Of Optuna's database.

    Raises:
        InputError: It is out of reach, or MLflow's; or what is stored of a study cannot be read.
    """
    with _connected(url) as connection:
        if connection is None:
            return []
        attrs = _read_attrs(connection)
        return [_glance(connection, url, key, attrs[key]) for key in sorted(attrs, key=lambda key: key[1])]


def find_glance(url: str, name: str) -> Glance:
    """One study.

    Raises:
        NotFoundError: There is none of that name.
        InputError: As for `read_glances`.
    """
    glances = {glance.name: glance for glance in read_glances(url)}
    if not glances:
        raise NotFoundError(f"no studies yet: {masked(url)} has none; start one with `sweeper start`")
    if name not in glances:
        raise NotFoundError(f"no study {name!r} in {masked(url)}; studies there: {', '.join(glances)}")
    return glances[name]


def read_space(url: str, name: str) -> Space | None:
    """The search space of a study; None where there is no study of that name.

    Raises:
        InputError: As for `read_glances`.
    """
    with _connected(url) as connection:
        attrs = {} if connection is None else _read_attrs(connection)
    stored = next((of[STUDY_ATTR] for key, of in attrs.items() if key[1] == name), None)
    if stored is None:
        return None
    try:
        return Space.parse(stored.get("trial") if isinstance(stored, dict) else None)
    except SpaceError:
        raise _unreadable(name, url) from None


def read_states(url: str, name: str) -> dict[int, str]:
    """Optuna's state of each trial of a study by its number; none where there is no study of that name.

    Raises:
        InputError: As for `read_glances`.
    """
    with _connected(url) as connection:
        if connection is None:
            return {}
        rows = connection.execute(
            text(
                "SELECT t.number, t.state FROM trials t JOIN studies s ON s.study_id = t.study_id "
                "WHERE s.study_name = :name ORDER BY t.number"
            ),
            {"name": name},
        )
        return {int(number): str(state) for number, state in rows}


@contextmanager
def _connected(url: str) -> Iterator[Connection | None]:
    """A connection to a database; None where it is not there or has no studies."""
    try:
        database = make_url(url)
        is_sqlite = database.get_backend_name() == "sqlite"
        if is_sqlite and database.database and not Path(database.database).exists():
            yield None
            return
        refuse_mlflow(url)
        engine = create_engine(database, connect_args={"timeout": 60} if is_sqlite else {})
        try:
            with engine.connect() as connection:
                yield connection if inspect(connection).has_table("studies") else None
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError, ValueError) as error:
        raise InputError(f"cannot open Optuna's database {masked(url)}: {reason_of(error)}") from None


def _unreadable(name: str, url: str) -> InputError:
    return InputError(
        f"the study {name!r} in {masked(url)} cannot be read; another version of sweeper stored it, or someone "
        "changed it"
    )


def _read_attrs(connection: Connection) -> dict[tuple[int, str], dict[str, Any]]:
    """By id and name of each study of ours: its attributes. Others may write to the database: names that sweeper gives
    to no study are left out.
    """
    attrs: dict[tuple[int, str], dict[str, Any]] = defaultdict(dict)
    for study_id, name, key, value in connection.execute(
        text(
            "SELECT s.study_id, s.study_name, a.key, a.value_json FROM studies s "
            "JOIN study_user_attributes a ON a.study_id = s.study_id"
        )
    ):
        attrs[study_id, name][key] = json.loads(value)
    return {key: of for key, of in attrs.items() if STUDY_ATTR in of and re.fullmatch(NAME_PATTERN, key[1])}


def _glance(connection: Connection, url: str, key: tuple[int, str], attrs: Mapping[str, Any]) -> Glance:
    study_id, name = key
    study, n_trials = attrs[STUDY_ATTR], attrs.get(N_TRIALS_ATTR)
    objective = study.get("objective", {}) if isinstance(study, dict) else None
    if not isinstance(objective, dict) or not isinstance(n_trials, int) or study.get("name") != name:
        raise _unreadable(name, url)
    counted = connection.execute(
        text("SELECT state, count(*) FROM trials WHERE study_id = :id GROUP BY state"), {"id": study_id}
    )
    n_by_state = {state: int(n) for state, n in counted}
    best = connection.execute(
        text(
            "SELECT t.number, v.value FROM trials t JOIN trial_values v ON v.trial_id = t.trial_id "
            "WHERE t.study_id = :id AND t.state = 'COMPLETE' AND v.value_type = 'FINITE' "
            "ORDER BY :sign * v.value, t.number LIMIT 1"
        ),
        {"id": study_id, "sign": -1.0 if is_maximized(objective) else 1.0},
    ).one_or_none()
    n_enqueued = len(attrs.get(QUEUE_ATTR, ()))
    if n_enqueued:
        begun = connection.execute(
            text(
                "SELECT count(DISTINCT a.value_json) FROM trials t "
                "JOIN trial_user_attributes a ON a.trial_id = t.trial_id WHERE t.study_id = :id AND a.key = :key"
            ),
            {"id": study_id, "key": ENQUEUED_ATTR},
        )
        n_enqueued -= int(begun.scalar_one())
    budget = study.get("budget")
    return Glance(
        name=name,
        uuid=attrs.get(UUID_ATTR, ""),
        n_trials=n_trials if DERIVED_ATTR not in attrs else sum(n_by_state.values()),
        metric=str(objective.get("metric", DEFAULT_METRIC)),
        n_by_state=n_by_state,
        best=None if best is None else best.value,
        best_trial=None if best is None else best.number,
        user=str(attrs.get(USER_ATTR, "")),
        n_enqueued=n_enqueued,
        n_seeds=int(budget.get("seeds", 1)) if isinstance(budget, dict) else 1,
    )
