"""What the driver wants of the attempt that runs. Without torch, so that a worker listens while it still imports."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

__all__ = ["Control"]

MAX_WAIT_SECONDS = 5.0


@dataclass
class Control:
    """What the driver wants of the attempt that runs; set by another thread or between two epochs."""

    prune: bool = False
    stop: bool = False
    leave: bool = False
    """Whether the process has been asked to end (SIGTERM), besides `stop`."""
    _looked_at: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def begin(self) -> None:
        """Forget what was said of the trial before."""
        with self._changed:
            self.prune, self._looked_at = False, 0

    def proceed(self, epoch: int) -> None:
        """The driver has looked at the values up to an epoch."""
        with self._changed:
            self._looked_at = epoch
            self._changed.notify_all()

    def end(self) -> None:
        """The trial is pruned."""
        with self._changed:
            self.prune = True
            self._changed.notify_all()

    def wait_for(self, epoch: int) -> None:
        """Wait until the driver has looked at an epoch; not for ever, since it may be busy with a slow database."""
        with self._changed:
            self._changed.wait_for(lambda: self.prune or self._looked_at >= epoch, timeout=MAX_WAIT_SECONDS)
