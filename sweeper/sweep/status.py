"""The studies of a workspace, as `sweeper status` shows them. Imports neither Optuna nor MLflow."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sweeper.search.glance import Glance, find_glance, read_glances
from sweeper.sweep.owner import Owner, read_owner
from sweeper.sweep.store import check_storage
from sweeper.tracking.workspace import Workspace

__all__ = ["StudyStatus", "study_statuses"]


@dataclass(frozen=True, kw_only=True)
class StudyStatus:
    """One study at a glance."""

    name: str
    state: str
    """running, finished, stopped (can be resumed) or crashed (its driver died; can be resumed)."""
    n_complete: int
    n_pruned: int
    n_failed: int
    n_running: int
    n_waiting: int
    """Trials that have begun and go on when a worker is free."""
    n_enqueued: int
    """Configurations of `sweeper enqueue` of which no trial has begun."""
    n_trials: int
    metric: str
    best: float | None
    best_trial: int | None
    user: str
    """Who started the study first; empty where that is not known."""
    owner: Owner | None
    """Its driver, where it runs."""
    n_missing: int
    """Trials by which the budget is too small for what is enqueued."""

    @property
    def n_left(self) -> int:
        """Trials until the budget is spent."""
        return max(self.n_trials - self.n_complete - self.n_pruned - self.n_failed, 0)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "n_left": self.n_left}


def study_statuses(workspace: Workspace, name: str | None = None) -> list[StudyStatus]:
    """The studies of a workspace, or one of them.

    Raises:
        NotFoundError: There is none of that name.
        InputError: Optuna's database is out of reach or MLflow's, or a study in it cannot be read.
    """
    check_storage(workspace)
    url = workspace.storage_url
    return [_status(workspace, glance) for glance in ([find_glance(url, name)] if name else read_glances(url))]


def _status(workspace: Workspace, glance: Glance) -> StudyStatus:
    owner = read_owner(workspace.study_files(glance.name, glance.uuid))
    n_ended = glance.count("COMPLETE", "PRUNED", "FAIL")
    n_free = max(glance.n_trials - n_ended - glance.count("RUNNING", "WAITING"), 0)
    if owner is not None:
        state = "running"
    elif glance.count("RUNNING"):
        state = "crashed"
    else:
        state = "finished" if n_ended >= glance.n_trials else "stopped"
    return StudyStatus(
        name=glance.name,
        state=state,
        n_complete=glance.count("COMPLETE"),
        n_pruned=glance.count("PRUNED"),
        n_failed=glance.count("FAIL"),
        n_running=glance.count("RUNNING"),
        n_waiting=glance.count("WAITING"),
        n_enqueued=glance.n_enqueued,
        n_trials=glance.n_trials,
        metric=glance.metric,
        best=glance.best,
        best_trial=glance.best_trial,
        user=glance.user,
        owner=owner,
        n_missing=max(glance.n_enqueued * glance.n_seeds - n_free, 0),
    )
