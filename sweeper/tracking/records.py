"""What is read back from the tracker: plain data that the report and the Python API are computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RunReader", "RunRecord", "StudyRecord"]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One tracked trial."""

    run_id: str
    name: str
    """Name of the run, such as `trial-007`."""
    number: int
    """Number of the trial in its study, from 0."""
    state: str
    """Optuna's name: COMPLETE, PRUNED, FAIL, RUNNING or WAITING."""
    value: float | None
    """The objective; None for trials that have none (failed, or without an epoch yet)."""
    params: Mapping[str, Any]
    """Every leaf of the trial's configuration under its dotted path, typed: `training.optimizer.lr`."""
    metrics: Mapping[str, float]
    """The last value of each metric: `val/accuracy`, `val/accuracy/<class>`, `train/loss`, `lr`, ..."""
    tags: Mapping[str, str]
    """`sweeper.*`: reason and error (of a failure), best_epoch, attempt, device, host, commit, dirty, data_fingerprint,
    n_parameters, versions, ..."""
    start_time: datetime | None
    """UTC."""
    end_time: datetime | None
    """UTC; None while it runs."""
    artifact_uri: str


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """One tracked study and its trials."""

    name: str
    experiment_id: str
    study: Mapping[str, Any]
    """The study in the form of a study file: name, objective, sampler, pruner, budget, trial (with distributions)."""
    parent_run_id: str | None
    tags: Mapping[str, str]
    """Tags of the parent run."""
    runs: Sequence[RunRecord] = field(default=())
    """By trial number."""
    artifact_uri: str = ""
    """Of the parent run; empty where it is not known."""

    @property
    def parent(self) -> RunRecord | None:
        """The parent run, as far as its tags and artifacts are read; None where it is not known. Its number is -1."""
        if self.parent_run_id is None or not self.artifact_uri:
            return None
        return RunRecord(
            run_id=self.parent_run_id,
            name=self.name,
            number=-1,
            state="",
            value=None,
            params={},
            metrics={},
            tags=self.tags,
            start_time=None,
            end_time=None,
            artifact_uri=self.artifact_uri,
        )


class RunReader(Protocol):
    """Reads tracked studies. Implementations: MLflow's database through SQLAlchemy, an MLflow server, and a fake."""

    def list_studies(self) -> list[str]:
        """Names of all studies, sorted."""

    def read_study(self, name: str) -> StudyRecord:
        """One study with its runs.

        Raises:
            NotFoundError: There is none of that name.
        """

    def read_histories(self, run_ids: Sequence[str], metrics: Sequence[str] | None = None) -> pd.DataFrame:
        """All rows of the metrics of some runs: columns run_id, metric, epoch (int), value (float), sorted by these.

        Args:
            run_ids: The runs.
            metrics: Names of metrics; None for all.
        """

    def read_epochs(self, epochs: Mapping[str, int], metrics: Sequence[str]) -> pd.DataFrame:
        """Of each run the rows of one epoch, in the form of `read_histories`.

        Args:
            epochs: The epoch by run id.
            metrics: Names of metrics.
        """

    def read_artifact(self, run: RunRecord, path: str) -> bytes | None:
        """An artifact of a run, such as `confusion.json`; None where the run has none of that path."""
