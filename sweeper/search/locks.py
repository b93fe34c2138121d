"""Locks in PostgreSQL, which hold between machines that share nothing but the database.

Advisory locks of a session: PostgreSQL gives them up when the connection ends, however its process ends. Who holds one
is in the connection's `application_name`, which is there before the lock and gone with it; an attribute of the study
would outlive its driver, and would for a moment name the one before. SQLite needs none of this: its file is on one
machine, where lock files do the same.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

__all__ = ["DatabaseLock", "Holder", "are_shared", "database_lock", "holder_of", "user_name"]

CONNECT_SECONDS = 5
DEAD_AFTER = {"tcp_keepalives_idle": 10, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}
"""A machine that lost its power holds its locks for 25 s more; by default it would be two hours."""
MAX_NAME_BYTES = 63
"""Of an `application_name`. A longer host name is cut."""
MAX_USER_BYTES = 16
NOBODY = "-"

HOLDER_SQL = text(
    "SELECT a.application_name, a.pid FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (l.classid::bigint << 32) | l.objid::bigint = :key"
)


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a lock."""

    host: str
    pid: int
    since: int
    """Seconds since 1970."""
    user: str = ""
    """Whose process it is, where that is known: the first of the name."""

    @classmethod
    def this_process(cls) -> Holder:
        """This process, now."""
        return cls(host=socket.gethostname(), pid=os.getpid(), since=int(time.time()), user=user_name())

    def to_name(self) -> str:
        """As an `application_name`."""
        user = _cut("_".join(self.user.split()), MAX_USER_BYTES) or NOBODY
        return _cut(f"sweeper {self.pid} {self.since} {user} {self.host}", MAX_NAME_BYTES)

    @classmethod
    def from_name(cls, name: str) -> Holder | None:
        """What `to_name` made; None for a name that somebody else chose."""
        words = name.split(" ")
        if len(words) != 5 or words[0] != "sweeper" or not (words[1].isdigit() and words[2].isdigit()):
            return None
        user = "" if words[3] == NOBODY else words[3]
        return cls(host=words[4], pid=int(words[1]), since=int(words[2]), user=user)


def _cut(text: str, n_bytes: int) -> str:
    return text.encode()[:n_bytes].decode(errors="ignore")


def user_name() -> str:
    """Of the user whose process this is; empty where the system has no name for it, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def are_shared(url: str) -> bool:
    """Whether a database is one that machines share, and that keeps locks for them."""
    return url.startswith("postgresql")


class DatabaseLock:
    """A lock on a connection of its own, kept until it is released. May be used from several threads.

    Args:
        url: A PostgreSQL database.
        what: What is locked.
    """

    def __init__(self, url: str, what: str) -> None:
        self.holder = Holder.this_process()
        self._engine = _engine(url)
        self._key = _key(what)
        self._connection: Connection | None = None
        self._backend_pid = 0
        self._mutex = threading.Lock()

    def acquire(self) -> bool:
        """Take the lock; False when somebody else holds it.

        Raises:
            SQLAlchemyError: The database is out of reach.
        """
        with self._mutex:
            return self._acquire()

    def verify(self) -> bool:
        """Make sure of the lock: it is still held, or, after the connection was lost, held again.

        Returns:
            False when somebody else has taken it meanwhile.

        Raises:
            SQLAlchemyError: The database is out of reach. Nobody can take the lock there either, or knows of it yet.
        """
        with self._mutex:
            if self._connection is not None:
                try:
                    self._connection.execute(text("SELECT 1"))
                except SQLAlchemyError:
                    self._drop()
                else:
                    return True
            return self._acquire()

    def release(self) -> None:
        """Give the lock back."""
        with self._mutex:
            self._drop()

    def _acquire(self) -> bool:
        connection = self._engine.connect()
        try:
            _set(connection, application_name=self.holder.to_name(), idle_session_timeout=0, **DEAD_AFTER)
            if not _try(connection, self._key):
                found = connection.execute(HOLDER_SQL, {"key": self._key}).one_or_none()
                if found is None or found.pid != self._backend_pid:
                    connection.close()
                    return False
                # Our own connection from before, which PostgreSQL does not yet know to be dead.
                connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": found.pid})
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": self._key})
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        self._backend_pid = int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
        self._connection = connection
        return True

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):  # what is lost is given up
                connection.invalidate()
                connection.close()


def holder_of(url: str, what: str) -> Holder | None:
    """Who holds the lock on something; None when nobody does.

    Raises:
        SQLAlchemyError: The database is out of reach.
    """
    with _engine(url).connect() as connection:
        found = connection.execute(HOLDER_SQL, {"key": _key(what)}).one_or_none()
    return None if found is None else Holder.from_name(found.application_name)


@contextmanager
def database_lock(url: str, what: str) -> Iterator[None]:
    """Hold a lock for the length of a block, after waiting for it; nothing for databases that are not shared.

    Raises:
        SQLAlchemyError: The database is out of reach.
    """
    if not are_shared(url):
        yield
        return
    with _engine(url).connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _key(what)})
        yield


def _engine(url: str) -> Engine:
    arguments = {"connect_timeout": CONNECT_SECONDS} if "psycopg" in make_url(url).get_dialect().driver else {}
    return create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=arguments)


def _key(what: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"sweeper/{what}".encode(), digest_size=8).digest(), signed=True)


def _try(connection: Connection, key: int) -> bool:
    return bool(connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar_one())


def _set(connection: Connection, **settings: Any) -> None:
    """Set what this version of PostgreSQL knows of these."""
    sql = text("SELECT set_config(name, :value, false) FROM pg_settings WHERE name = :name")
    for name, value in settings.items():
        connection.execute(sql, {"name": name, "value": str(value)}).all()
