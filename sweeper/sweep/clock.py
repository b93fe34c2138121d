"""The time budget of a study, counted over all its starts while workers are there to search."""

from __future__ import annotations

import time
from pathlib import Path

from sweeper.tracking.workspace import read_json, write_json

__all__ = ["Clock"]


class Clock:
    """Counts seconds, and keeps them in a file between starts.

    Args:
        path: The file.
        budget_seconds: Seconds after which no new trial is asked for; None for no bound.
    """

    def __init__(self, path: Path, *, budget_seconds: float | None) -> None:
        self._path = path
        self._budget_seconds = budget_seconds
        self._before = float((read_json(path) or {}).get("seconds", 0.0))
        self._started: float | None = None

    def start(self) -> None:
        """Begin to count, if that has not been done."""
        if self._started is None:
            self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds so far, earlier starts included."""
        return self._before + (0.0 if self._started is None else time.monotonic() - self._started)

    @property
    def has_time(self) -> bool:
        """Whether the budget is not spent."""
        return self._budget_seconds is None or self.seconds < self._budget_seconds

    @property
    def reason(self) -> str:
        """Why the search has ended, when it has no time left."""
        return f"its {self._budget_seconds:g} s are spent (budget.timeout_seconds)"

    def stop(self) -> None:
        """Keep the seconds."""
        write_json(self._path, {"seconds": self.seconds})
