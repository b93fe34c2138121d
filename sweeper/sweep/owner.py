"""Ownership: one driver for a study at a time.

The lock is an advisory lock of the operating system on a file in the workspace, and so ends with its process, however
that ends. Beside it stands who holds it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import psutil
from filelock import FileLock, Timeout

from sweeper.errors import OwnedError
from sweeper.tracking.workspace import StudyFiles, read_json, write_json

__all__ = ["Owner", "own", "read_owner"]

PROBE_SECONDS = 1.0
"""`read_owner` holds the lock for the moment in which it looks; who comes to stay waits that long."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who drives a study."""

    host: str
    pid: int
    since: str
    """UTC, ISO 8601."""

    @property
    def may_live(self) -> bool:
        """Whether its process may be there: on another host, nobody can tell."""
        return self.host != socket.gethostname() or psutil.pid_exists(self.pid)

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}, since {self.since}"


@contextmanager
def own(files: StudyFiles, name: str) -> Iterator[None]:
    """Own a study for the length of a block.

    Raises:
        OwnedError: A driver that lives owns it.
    """
    files.lock.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(files.lock)
    try:
        lock.acquire(timeout=PROBE_SECONDS, poll_interval=0.02)
    except Timeout:
        raise OwnedError(
            f"the study {name!r} is being driven by {read_owner(files) or 'another process'}; "
            f"watch it with `sweeper watch {name}`, end it with `sweeper stop {name}`"
        ) from None
    try:
        files.owner.unlink(missing_ok=True)
        files.stop.unlink(missing_ok=True)  # asked of the last driver
        since = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(files.owner, asdict(Owner(host=socket.gethostname(), pid=os.getpid(), since=since)))
        yield
        files.owner.unlink(missing_ok=True)
    finally:
        lock.release()


def read_owner(files: StudyFiles) -> Owner | None:
    """The living owner of a study; None when nobody drives it."""
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
