"""What a driver shows of its sweep while it goes on; views of it are in `cli`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sweeper.tracking.workspace import read_json, write_json

__all__ = ["Progress", "TrialEnded", "View", "WorkerProgress", "read_progress", "write_progress"]


@dataclass
class WorkerProgress:
    """One worker."""

    index: int
    device: str
    state: str = "starting"
    """reserve, starting, idle, training or lost."""
    number: int | None = None
    epoch: int = 0
    n_epochs: int = 0
    """0: not known beforehand."""
    objective: float | None = None
    pictures_per_second: float | None = None
    preparing: tuple[int, int] | None = None
    """Before the first epoch of a trial with a frozen backbone: for how many pictures and views the backbone has run,
    and for how many it must."""


@dataclass(frozen=True, kw_only=True)
class TrialEnded:
    """A trial that has ended."""

    number: int
    state: str
    value: float | None
    reason: str
    params: Mapping[str, Any]
    seconds: float
    is_best: bool


@dataclass
class Progress:
    """The whole sweep, changed in place by the driver."""

    name: str
    metric: str
    maximize: bool
    n_trials: int
    workers: list[WorkerProgress]
    n_by_state: dict[str, int] = field(default_factory=lambda: {"COMPLETE": 0, "PRUNED": 0, "FAIL": 0})
    best_number: int | None = None
    best_value: float | None = None
    seconds_of_ended: float = 0.0
    """Sum over the trials that ended since the driver started, which are `n_timed`."""
    n_timed: int = 0
    stopping: str = ""
    """Why the sweep is ending before its budget is spent, if it is."""
    tracking_problem: str | None = None

    @property
    def n_ended(self) -> int:
        """Trials that have ended."""
        return sum(self.n_by_state.values())

    @property
    def mean_seconds(self) -> float | None:
        """Mean length of the trials that ended since the driver started; None before the first has."""
        return self.seconds_of_ended / self.n_timed if self.n_timed else None

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the mean length of the trials so far; None before the first has ended."""
        n_workers = sum(worker.state not in ("lost", "reserve") for worker in self.workers)
        if self.mean_seconds is None or not n_workers:
            return None
        return self.mean_seconds * (self.n_trials - self.n_ended) / n_workers


class View(Protocol):
    """Shows the progress of a sweep."""

    def update(self, progress: Progress) -> None:
        """Called several times a second."""

    def trial_ended(self, trial: TrialEnded) -> None:
        """Called once for each trial."""

    def message(self, text: str) -> None:
        """Something that the user should know."""


def write_progress(path: Path, progress: Progress) -> None:
    """Let other processes see the progress."""
    write_json(path, asdict(progress), durable=False)


def read_progress(path: Path) -> Progress | None:
    """The progress that a driver wrote; None before it has."""
    data = read_json(path)
    if data is None:
        return None
    workers = [WorkerProgress(**worker) for worker in data.pop("workers")]
    return Progress(workers=workers, **data)
