"""URLs of databases: shown without passwords, compared, and refused where the database is MLflow's. Without Optuna."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from sweeper.denials import denial_of
from sweeper.errors import AccessError, InputError
from sweeper.masking import without_passwords

__all__ = ["access_error", "are_same", "masked", "reason_of", "refuse_mlflow"]


def reason_of(error: BaseException) -> str:
    """What went wrong, in one line and without passwords; Optuna hides it in the cause of its own error."""
    cause = error.__cause__ if isinstance(error.__cause__, SQLAlchemyError) else error
    return without_passwords((str(cause).splitlines() or [type(error).__name__])[0])


def access_error(error: BaseException, url: str = "") -> AccessError | None:
    """The error to raise for one by which Optuna's database denies access; None where it says something else.

    Args:
        error: As Optuna or SQLAlchemy raised it.
        url: Of the database, where it is known.
    """
    denial = denial_of(error)
    if denial is None:
        return None
    where = f" {masked(url)}" if url else ""
    return AccessError(
        f"Optuna's database{where} denies access: {without_passwords(denial)}; see to user and password in "
        "SWEEPER_STORAGE, and to what this account may do"
    )


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


def refuse_mlflow(url: str) -> None:
    """See that a database is not MLflow's.

    Raises:
        InputError: It is.
    """
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
