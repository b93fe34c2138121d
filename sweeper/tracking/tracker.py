"""The tracker protocol: what the recorder needs of the place where runs are kept.

Every call may be made again after a crash or a lost answer. All but `create_run` have the same effect twice as once;
before `create_run` the recorder looks for a run that is there already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from sweeper.tracking.outbox import Row

__all__ = ["EXPERIMENT_ID", "MAX_TAG_LENGTH", "NOTHING", "STATUS_OF_STATE", "RunInfo", "Tracker"]

STATUS_OF_STATE = {
    "COMPLETE": "FINISHED",
    "PRUNED": "KILLED",
    "FAIL": "FAILED",
    "RUNNING": "RUNNING",
    "WAITING": "SCHEDULED",
}
"""MLflow's status of a run, by Optuna's state of its trial."""


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What a run begins with."""

    key: str
    """`<study uuid>/<number>` of a trial, `<study uuid>` of a study's parent run: one run for each key."""
    name: str
    start_time_ms: int
    params: Mapping[str, Any]
    """Typed, under dotted names."""
    tags: Mapping[str, str]


NOTHING: Mapping[str, Any] = MappingProxyType({})


EXPERIMENT_ID = "{experiment_id}"
"""Stands in the tags of an experiment for its id, which is known once it is created."""


MAX_TAG_LENGTH = 5000
"""Characters of a tag that every MLflow takes."""


class Tracker(Protocol):
    """Keeps runs. Errors that may pass (server down, database locked) are raised as `TrackingError`, access that is
    denied as `AccessError`."""

    def open_experiment(self, name: str, tags: Mapping[str, str]) -> str:
        """The id of the experiment of that name, created where it is missing; its tags are set, with this id in the
        place of `EXPERIMENT_ID`."""

    def find_runs(self, experiment_id: str, key: str) -> list[str]:
        """Ids of the runs with that key, the oldest first; more than one only after a lost answer."""

    def create_run(self, experiment_id: str, info: RunInfo, parent_run_id: str | None) -> str:
        """Make a run, with its key in the same call, and return its id."""

    def log_batch(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any] = NOTHING,
        rows: Sequence[Row] = (),
        tags: Mapping[str, str] = NOTHING,
    ) -> None:
        """Set typed parameters, once and for all; add the metrics of some epochs; set tags."""

    def log_artifact(self, run_id: str, path: Path, folder: str) -> None:
        """Keep a file under its own name in a folder of the run's artifacts ("" is their root)."""

    def set_status(
        self, run_id: str, status: str, end_time_ms: int | None, *, tags: Mapping[str, str] = NOTHING
    ) -> None:
        """Set tags, then MLflow's status; with an end time the run has ended. An end time can be changed but not taken
        back."""

    def delete_run(self, run_id: str) -> None:
        """Delete a run."""
