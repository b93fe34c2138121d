"""Moving the studies of a folder from its SQLite files to the databases of a server.

Both databases are copied row by row with all ids, so that trials, runs and what is still to be sent keep their meaning.
What is copied from is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, MetaData, Table, create_engine, func, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from sweeper.errors import InputError, NotFoundError, SweeperError
from sweeper.search.glance import Glance, read_glances
from sweeper.search.locks import database_lock
from sweeper.search.urls import are_same, masked, reason_of
from sweeper.sweep.owner import own
from sweeper.sweep.record import check_tracker, move_tracker
from sweeper.sweep.store import open_store
from sweeper.tracking.workspace import Workspace

__all__ = ["Migrated", "migrate"]

VERSIONS = ("alembic_version", "version_info")
"""Tables that say of which version the others are; never copied, and equal on both sides."""
CHUNK = 2000
"""Rows that are copied at once."""


@dataclass(frozen=True, kw_only=True)
class Migrated:
    """What was moved."""

    studies: tuple[str, ...]
    n_trials: int
    n_rows: int
    """Rows that were copied, of both databases; 0 where all were there already."""


def migrate(
    source: Workspace,
    target: Workspace,
    *,
    tracking_database: str | None = None,
    on_table: Callable[[str, int], None] = lambda table, n_rows: None,
) -> Migrated:
    """Copy all studies of a workspace into other databases, and go on with them there from now on.

    Nothing is copied unless all of it is: each database is filled in one transaction. Where a copy was made before and
    only the end of this is missing, the rest is done.

    Args:
        source: The workspace with the databases that there are.
        target: The same folder with the databases that are to be used.
        tracking_database: MLflow's database, where `target` is tracked by a server, which has it.
        on_table: Told of each table that was copied, with the number of its rows.

    Raises:
        NotFoundError: There is no study to be moved.
        InputError: The databases cannot be copied from or into: not databases, one and the same, of different
            versions, or holding other studies already.
        OwnedError: A study runs.
        SweeperError: A database was lost on the way; nothing was moved.
    """
    tracking = tracking_database or target.tracking_uri
    pairs = [(source.storage_url, target.storage_url), (source.tracking_uri, tracking)]
    pairs = [(one, other) for one, other in pairs if not are_same(one, other)]
    if not pairs:
        raise InputError(
            "SWEEPER_STORAGE and MLFLOW_TRACKING_URI name the databases that the studies are in; set them to those "
            "that the studies are to move to"
        )
    glances = read_glances(source.storage_url)
    if not glances:
        raise NotFoundError(f"no studies to move: {masked(source.storage_url)} has none")
    with ExitStack() as stack:
        for glance in glances:
            files = source.study_files(glance.name, glance.uuid)
            stack.enter_context(own(files, glance.name))
            if not _is_bound(target, glance):
                check_tracker(source, files, glance.name)
        try:
            open_store(target, create=True)
            _create_tracking(tracking, target)
            n_rows = sum(_copy(one, other, on_table) for one, other in pairs)
        except SQLAlchemyError as error:
            raise SweeperError(f"a database was lost, and nothing was moved: {reason_of(error)}") from None
        _verify(glances, target.storage_url)
        for glance in glances:
            move_tracker(target, source.study_files(glance.name, glance.uuid))
    n_trials = sum(sum(glance.n_by_state.values()) for glance in glances)
    return Migrated(studies=tuple(glance.name for glance in glances), n_trials=n_trials, n_rows=n_rows)


def _is_bound(workspace: Workspace, glance: Glance) -> bool:
    try:
        check_tracker(workspace, workspace.study_files(glance.name, glance.uuid), glance.name)
    except InputError:
        return False
    return True


def _create_tracking(uri: str, target: Workspace) -> None:
    """MLflow's tables, where they are missing."""
    if uri.startswith(("http://", "https://")):
        raise InputError(
            f"MLFLOW_TRACKING_URI: given {masked(uri)}, a server; runs are copied into its database: name that in "
            "MLFLOW_BACKEND_STORE_URI too, as for the server itself"
        )
    from sweeper.tracking.mlflow import MlflowTracker

    with database_lock(uri, "tables"):
        MlflowTracker(uri, cache_dir=target.cache_dir)


def _verify(glances: list[Glance], url: str) -> None:
    there = {glance.name: glance for glance in read_glances(url)}
    for glance in glances:
        if there.get(glance.name) != glance:
            raise SweeperError(f"the copy of {glance.name} in {masked(url)} is not what it was copied from")


# --- rows ---------------------------------------------------------------------------------------------------------


def _copy(source_url: str, target_url: str, on_table: Callable[[str, int], None]) -> int:
    """Copy a database into an empty one that has its tables. Returns the number of rows; 0 where they are there."""
    with ExitStack() as stack:
        engines = [_engine(url) for url in (source_url, target_url)]
        for engine in engines:
            stack.callback(engine.dispose)
        source, target = engines
        reading, writing = stack.enter_context(source.connect()), stack.enter_context(target.begin())
        pairs = list(_tables(source, target))
        counts = [_count(reading, ours) for ours, _ in pairs]
        for name in VERSIONS:
            _check_version(name, reading, writing, source_url, target_url)
        content = {theirs.name: _count(writing, theirs) for _, theirs in pairs}
        if all(content[ours.name] == n for (ours, _), n in zip(pairs, counts, strict=True)):
            return 0
        taken = {name: n for name, n in content.items() if n and name in ("studies", "trials", "runs")}
        if taken or content.get("experiments", 0) > 1:
            raise InputError(
                f"{masked(target_url)} is not empty ({', '.join(f'{n} {name}' for name, n in taken.items())}); "
                "allowed: a database without studies and runs"
            )
        for _, theirs in reversed(pairs):  # what a new database has, such as MLflow's experiment `Default`
            writing.execute(theirs.delete())
        for (ours, theirs), n_rows in zip(pairs, counts, strict=True):
            rows = reading.execution_options(yield_per=CHUNK).execute(select(ours)).mappings()
            for chunk in rows.partitions(CHUNK):
                writing.execute(theirs.insert(), [dict(row) for row in chunk])
            if _count(writing, theirs) != n_rows:
                raise SweeperError(f"the table {ours.name} changed while it was copied; nothing was moved, try again")
            _set_sequences(writing, theirs)
            on_table(ours.name, n_rows)
        return sum(counts)


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    return create_engine(parsed, connect_args={"timeout": 60} if parsed.get_backend_name() == "sqlite" else {})


def _tables(source: Engine, target: Engine) -> Iterator[tuple[Table, Table]]:
    """Tables of the source and of the target by pairs, those that others refer to first."""
    ours, theirs = MetaData(), MetaData()
    ours.reflect(source)
    theirs.reflect(target)
    for table in theirs.sorted_tables:
        if table.name not in VERSIONS and table.name in ours.tables:
            yield ours.tables[table.name], table


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _check_version(name: str, reading: Connection, writing: Connection, source_url: str, target_url: str) -> None:
    def version(connection: Connection) -> list[tuple[object, ...]]:
        if not inspect(connection).has_table(name):
            return []
        column = "schema_version" if name == "version_info" else "version_num"
        return [tuple(row) for row in connection.execute(text(f"SELECT {column} FROM {name}"))]  # noqa: S608  # ours

    ours, theirs = version(reading), version(writing)
    if ours != theirs:
        raise InputError(
            f"{masked(source_url)} has tables of version {ours}, {masked(target_url)} of version {theirs}; bring the "
            "older one up to date first (`mlflow db upgrade URL`, `optuna storage upgrade --storage URL`)"
        )


def _set_sequences(connection: Connection, table: Table) -> None:
    """Have PostgreSQL count on from the greatest id."""
    if connection.dialect.name != "postgresql":
        return
    for column in table.primary_key.columns:
        names = {"table": f'"{table.name}"', "column": column.name}
        sequence = connection.execute(text("SELECT pg_get_serial_sequence(:table, :column)"), names).scalar_one()
        greatest = None if sequence is None else connection.execute(select(func.max(column))).scalar_one()
        if greatest is not None:
            found = {"sequence": sequence, "greatest": greatest}
            connection.execute(text("SELECT setval(CAST(:sequence AS regclass), :greatest)"), found)
