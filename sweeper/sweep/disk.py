"""A full disk: what a driver has to write waits in order until there is room, and nothing new is begun meanwhile."""

from __future__ import annotations

import errno
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["MIN_FREE_BYTES", "Disk", "is_full", "or_full"]

MIN_FREE_BYTES = 64 * 2**20
CHECK_SECONDS = 1.0
"""A worker may find another disk full than the one that is looked at here; it is not sent there again at once."""


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or the user's share of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def or_full() -> Iterator[None]:
    """Leave out of a block what cannot be written to a full disk: it is shown only, or made again later."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise


class Disk:
    """The disk that a driver writes to.

    Args:
        folder: Where.
        say: Shows a message.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._owed: deque[Callable[[], None]] = deque()
        self._is_full = False
        self._checked_at = 0.0

    @property
    def is_owed(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._owed)

    @property
    def has_room(self) -> bool:
        """Whether there is room, as far as is known."""
        now = time.monotonic()
        if self._is_full and now - self._checked_at >= CHECK_SECONDS:
            self._checked_at = now
            if shutil.disk_usage(self._folder).free >= MIN_FREE_BYTES:
                self._is_full = False
                self._say("the disk has room again")
        return not self._is_full

    def found_full(self, reason: str) -> None:
        """Somebody could not write; begin nothing until there is room."""
        if not self._is_full:
            self._say(
                f"the disk is full ({reason}); trials keep their last checkpoints and go on when at least "
                f"{MIN_FREE_BYTES // 2**20} MiB are free in {self._folder}"
            )
        self._is_full = True
        self._checked_at = time.monotonic()

    def write(self, step: Callable[[], None]) -> None:
        """Do something that writes files, now or once there is room, after all that came before.

        Args:
            step: Has the same effect when it is begun again after it could not write something.
        """
        self._owed.append(step)
        self.settle()

    def settle(self) -> None:
        """Write what waits, if there is room."""
        while self._owed and self.has_room:
            try:
                self._owed[0]()
            except OSError as error:
                if not is_full(error):
                    raise
                self.found_full(str(error))
            else:
                self._owed.popleft()

    def give_up(self) -> None:
        """Write what can be written of what waits, for the last time."""
        for step in self._owed:
            with or_full():
                step()
        self._owed.clear()
