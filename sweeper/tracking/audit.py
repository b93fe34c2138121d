"""What MLflow holds of a study, read for `sweeper doctor`: runs as they are, and the versions of the tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.store.db.utils import _get_latest_schema_revision, _get_schema_version
from sqlalchemy import create_engine

from sweeper.tracking.mlflow import KEY_TAG, translating

__all__ = ["AuditedRun", "audit_runs", "schema_versions"]

_PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class AuditedRun:
    """One active run of sweeper's, as MLflow holds it."""

    run_id: str
    key: str
    """`<study uuid>/<number>` of a trial, `<study uuid>` of a study's parent run."""
    status: str
    """MLflow's: RUNNING, SCHEDULED, FINISHED, FAILED or KILLED."""
    state: str
    """Optuna's, as the tag `sweeper.state` says; empty where there is none."""
    has_ended: bool
    """Whether it has an end time."""
    parent_run_id: str
    """Empty where there is none."""


def audit_runs(tracking_uri: str, name: str) -> list[AuditedRun]:
    """The runs in the experiment of a study that carry a key of sweeper's, the oldest first.

    Raises:
        AccessError: MLflow denies access.
        TrackingError: It is out of reach.
    """
    if not tracking_uri.startswith(("http://", "https://")):
        schema_versions(tracking_uri)  # MLflow itself would ask a database that is down for minutes
    with translating(tracking_uri):
        runs = _runs(tracking_uri, name)
    return [
        AuditedRun(
            run_id=run.info.run_id,
            key=run.data.tags[KEY_TAG],
            status=run.info.status,
            state=run.data.tags.get("sweeper.state", ""),
            has_ended=run.info.end_time is not None,
            parent_run_id=run.data.tags.get("mlflow.parentRunId", ""),
        )
        for run in runs
        if KEY_TAG in run.data.tags
    ]


def _runs(tracking_uri: str, name: str) -> list[Run]:
    client = MlflowClient(tracking_uri=tracking_uri)
    experiment = client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage != "active":
        return []
    runs: list[Run] = []
    token = None
    while True:
        page: Any = client.search_runs(
            [experiment.experiment_id],
            max_results=_PAGE,
            page_token=token,
            order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
        )
        runs.extend(page)
        token = page.token
        if not token:
            return runs


def schema_versions(url: str) -> tuple[str | None, str]:
    """Versions of the tables in MLflow's database: the one there is, and the one that this MLflow wants.

    Raises:
        AccessError: The database denies access.
        TrackingError: It is out of reach.
    """
    with translating(url):
        engine = create_engine(url)
        try:
            return _get_schema_version(engine), _wanted_version()  # type: ignore[no-untyped-call]
        finally:
            engine.dispose()


@cache
def _wanted_version() -> str:
    return str(_get_latest_schema_revision())  # type: ignore[no-untyped-call]  # reads 50 files
