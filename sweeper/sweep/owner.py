"""Ownership: one driver for a study at a time.

The lock is an advisory lock of the operating system on a file in the workspace, and so ends with its process, however
that ends. Beside it stands who holds it. Where machines share Optuna's database, a lock in it holds between them.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import psutil
from filelock import FileLock, Timeout
from sqlalchemy.exc import SQLAlchemyError

from sweeper.errors import OwnedError, SweeperError
from sweeper.search.locks import DatabaseLock, Holder, are_shared, holder_of, user_name
from sweeper.tracking.workspace import StudyFiles, read_json, write_json

__all__ = ["Owner", "Ownership", "own", "read_owner"]

PROBE_SECONDS = 1.0
"""`read_owner` holds the lock for the moment in which it looks; who comes to stay waits that long."""
VERIFY_SECONDS = 1.0
TAKEOVER_SECONDS = 5.0
"""A driver whose connection was lost, and whose lock was taken, finds out within `VERIFY_SECONDS` and the time that
PostgreSQL takes to let it in. Who took the lock waits longer than that before it acts."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who drives a study."""

    host: str
    pid: int
    since: str
    """UTC, ISO 8601."""
    user: str = ""
    """Who started it; empty where the system has no name for the user."""

    @property
    def may_live(self) -> bool:
        """Whether its process may be there: on another host, nobody can tell."""
        return self.host != socket.gethostname() or psutil.pid_exists(self.pid)

    def __str__(self) -> str:
        by = f", started by {self.user}" if self.user else ""
        return f"pid {self.pid} on {self.host}, since {self.since}{by}"


class Ownership:
    """A study in the hand of this process, for the length of a block of `own`."""

    def __init__(self, name: str, lock: DatabaseLock | None) -> None:
        self._name = name
        self._lock = lock
        self._ended = threading.Event()
        self.lost: OwnedError | None = None
        """Set when another driver has taken the study."""

    @property
    def is_shared(self) -> bool:
        """Whether drivers on other machines could take the study."""
        return self._lock is not None

    def verify(self) -> None:
        """Make sure that the study is still ours. Takes a question to the database that machines share, else nothing.

        Raises:
            OwnedError: Another driver has taken it.
            SQLAlchemyError: The database is out of reach; so it is for a driver that would take the study.
        """
        if self._lock is None or self._ended.is_set():
            return
        if self.lost is None and not self._lock.verify():
            self.lost = OwnedError(
                f"the connection to Optuna's database was lost, and another driver has taken the study {self._name!r} "
                f"meanwhile; watch it with `sweeper watch {self._name}`"
            )
        if self.lost is not None:
            raise self.lost

    def watch(self, on_lost: Callable[[OwnedError], None]) -> None:
        """Verify from now on, in a thread."""

        def run() -> None:
            while not self._ended.wait(VERIFY_SECONDS):
                try:
                    self.verify()
                except OwnedError as error:
                    on_lost(error)
                    return
                except SQLAlchemyError:  # down; once it is up again, the lock is taken again
                    continue

        if self._lock is not None:
            threading.Thread(target=run, name="owner", daemon=True).start()

    def wait_for_predecessor(self) -> None:
        """Wait until a driver that had the study before, and may still live, knows that it has lost it.

        Raises:
            OwnedError: Another driver has taken the study.
        """
        if self._lock is not None:
            time.sleep(TAKEOVER_SECONDS)
            self.verify()

    def end(self) -> None:
        """Give the study back."""
        self._ended.set()
        if self._lock is not None:
            self._lock.release()


@contextmanager
def own(files: StudyFiles, name: str) -> Iterator[Ownership]:
    """Own a study for the length of a block.

    Raises:
        OwnedError: A driver that lives owns it.
    """
    files.lock.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(files.lock)
    try:
        lock.acquire(timeout=PROBE_SECONDS, poll_interval=0.02)
    except Timeout:
        raise _refusal(name, read_owner(files)) from None
    try:
        ownership = Ownership(name, _lock_database(files, name))
        try:
            files.owner.unlink(missing_ok=True)
            files.stop.unlink(missing_ok=True)  # asked of the last driver
            since = datetime.now(UTC).isoformat(timespec="seconds")
            owner = Owner(host=socket.gethostname(), pid=os.getpid(), since=since, user=user_name())
            write_json(files.owner, asdict(owner))
            yield ownership
            files.owner.unlink(missing_ok=True)
        finally:
            ownership.end()
    finally:
        lock.release()


def _refusal(name: str, owner: Owner | None) -> OwnedError:
    return OwnedError(
        f"the study {name!r} is being driven by {owner or 'another process'}; "
        f"watch it with `sweeper watch {name}`, end it with `sweeper stop {name}`"
    )


def _lock_database(files: StudyFiles, name: str) -> DatabaseLock | None:
    if not are_shared(files.storage_url):
        return None
    lock = DatabaseLock(files.storage_url, name)
    try:
        if lock.acquire():
            return lock
        holder = holder_of(files.storage_url, name)
    except SQLAlchemyError as error:
        raise SweeperError(f"cannot lock the study {name!r} in Optuna's database: {type(error).__name__}") from error
    raise _refusal(name, None if holder is None else _owner_of(holder))


def _owner_of(holder: Holder) -> Owner:
    since = datetime.fromtimestamp(holder.since, UTC).isoformat(timespec="seconds")
    return Owner(host=holder.host, pid=holder.pid, since=since, user=holder.user)


def read_owner(files: StudyFiles) -> Owner | None:
    """The living owner of a study; None when nobody drives it."""
    owner = _read_local_owner(files)
    if owner is not None or not are_shared(files.storage_url):
        return owner
    try:
        holder = holder_of(files.storage_url, files.folder.name)
    except SQLAlchemyError as error:
        raise SweeperError(f"cannot ask Optuna's database who drives a study: {type(error).__name__}") from error
    return None if holder is None else _owner_of(holder)


def _read_local_owner(files: StudyFiles) -> Owner | None:
    if not files.lock.exists():
        return None
    lock = FileLock(files.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        data = read_json(files.owner)
        owner = None if data is None else Owner(**data)
        # The lock may be held by someone who, like us, only looks, beside what a dead driver left.
        return owner if owner is not None and owner.may_live else None
    lock.release()
    return None
