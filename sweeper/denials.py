"""Access that a server denies, told from a server that is out of reach: trying again does not help."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator

from sweeper.errors import AccessError

__all__ = ["Denial", "denial_of"]

_SQLSTATES = re.compile(r"28\w{3}|42501")
"""Of PostgreSQL: class 28, invalid authorization, and 42501, insufficient privilege."""
# The driver gives no code for a connection that was refused, only the server's words.
_WORDS = re.compile(
    r"password authentication failed|no password supplied|no pg_hba\.conf entry|role \"[^\"]*\" does not exist"
    r"|role \"[^\"]*\" is not permitted to log in|permission denied for (?:database|schema|table|sequence)"
)


class Denial:
    """Access that was denied to a thread, which has stopped, and somebody who is to know. May be used from several
    threads."""

    def __init__(self) -> None:
        self.error: AccessError | None = None
        self._lock = threading.Lock()
        self._call: Callable[[AccessError], None] = lambda error: None

    def found(self, error: AccessError) -> None:
        """Say that access is denied."""
        with self._lock:
            self.error, call = error, self._call
        call(error)

    def watch(self, call: Callable[[AccessError], None]) -> None:
        """Have `call` told; at once where it was found already."""
        with self._lock:
            self._call, error = call, self.error
        if error is not None:
            call(error)


def denial_of(error: BaseException) -> str | None:
    """What a PostgreSQL server says of access that it denies.

    Args:
        error: As SQLAlchemy, psycopg or Optuna raised it; its causes are looked at too.

    Returns:
        The server's words, in one line and without the statement; None where the error is another one.
    """
    for cause in _chain(error):
        line = _line(cause)
        if _SQLSTATES.fullmatch(str(getattr(cause, "sqlstate", None))) or _WORDS.search(line):
            return line
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """What SQLAlchemy wraps comes before the wrapper, which adds the statement."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        original = getattr(at, "orig", None)
        if isinstance(original, BaseException):
            yield original
        yield at
        at = at.__cause__


def _line(error: BaseException) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    said = next((line for line in lines if _WORDS.search(line)), lines[0])
    return " ".join(said.rpartition("FATAL:")[2].split())
