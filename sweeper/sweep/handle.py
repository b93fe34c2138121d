"""`sweeper.Sweep`: a stored study in Python, whoever drives it: how far it is, waiting for it, ending it, asking it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sweeper.errors import SweeperError
from sweeper.study.html import facts, heading, progress_bar
from sweeper.sweep.control import request_stop
from sweeper.sweep.progress import Progress, read_progress
from sweeper.sweep.status import StudyStatus, study_statuses
from sweeper.sweep.store import open_store
from sweeper.tracking.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from sweeper.study.study import Study
    from sweeper.tracking.runs import TrackedRun

__all__ = ["Sweep"]

_POLL_SECONDS = 0.5


class Sweep:
    """A stored study.

    Args:
        name: Its name.
        workspace: Where it is stored. Default: the current folder's.

    Raises:
        NotFoundError: There is none of that name.
    """

    def __init__(self, name: str, *, workspace: Workspace | None = None) -> None:
        self.name = name
        self._workspace = workspace or Workspace.from_environment()
        self._files = self._workspace.study_files(name, open_store(self._workspace).read(name).uuid)

    def __repr__(self) -> str:
        status = self.status
        return f"<Sweep {self.name} {status.state}, {status.n_trials - status.n_left} of {status.n_trials} trials>"

    def _repr_html_(self) -> str:
        status = self.status
        counts = {
            "complete": status.n_complete,
            "pruned": status.n_pruned,
            "failed": status.n_failed,
            "running": status.n_running,
        }
        best = "–" if status.best is None else f"{status.best:.6g} (trial {status.best_trial})"
        return (
            heading(self.name, status.state)
            + progress_bar(status.n_trials - status.n_left, status.n_trials)
            + facts({**{name: n for name, n in counts.items() if n}, f"best {status.metric}": best})
        )

    @property
    def study(self) -> Study:
        """What is searched."""
        return open_store(self._workspace).read(self.name).study

    @property
    def status(self) -> StudyStatus:
        """How far it is, at this moment."""
        return study_statuses(self._workspace, self.name)[0]

    @property
    def progress(self) -> Progress | None:
        """What its driver shows, worker by worker; None before it has shown anything."""
        return read_progress(self._files.progress)

    def wait(self, timeout_seconds: float | None = None) -> StudyStatus:
        """Wait until nobody drives it any more.

        Args:
            timeout_seconds: How long at most. Default: as long as it takes.

        Raises:
            SweeperError: Its driver has died; `sweeper.start` or `sweeper resume` goes on.
            TimeoutError: It takes longer.
        """
        begun = time.monotonic()
        while (status := self.status).state == "running":
            if timeout_seconds is not None and time.monotonic() - begun > timeout_seconds:
                raise TimeoutError(f"{self.name} still runs after {timeout_seconds:g} s")
            time.sleep(_POLL_SECONDS)
        if status.state == "crashed":
            raise SweeperError(f"the driver of {self.name} has died; its log is {self._files.log}; go on with it")
        return status

    def stop(self, *, now: bool = False) -> None:
        """Ask its driver to end: after the present epoch of each trial and a checkpoint, or at once.

        Raises:
            SweeperError: Nobody drives it, or its driver is on another machine.
        """
        request_stop(self._workspace, self.name, now=now)

    def runs(self) -> pd.DataFrame:
        """Its runs so far, as `sweeper.runs` has them."""
        from sweeper.tracking.runs import runs

        return runs(self.name, workspace=self._workspace)

    def best(self, k: int = 1) -> list[TrackedRun]:
        """Its best complete trials so far, the best first."""
        from sweeper.tracking.runs import best_runs

        return best_runs(self.name, k, workspace=self._workspace)
