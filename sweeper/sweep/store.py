"""Optuna's database of a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeper.errors import InputError
from sweeper.search.urls import are_same, masked
from sweeper.tracking.workspace import Workspace

if TYPE_CHECKING:
    from sweeper.search.storage import StudyStore

__all__ = ["check_storage", "open_store"]


def open_store(workspace: Workspace, *, create: bool = False) -> StudyStore:
    """Optuna's database of a workspace.

    Raises:
        NotFoundError: There is none yet and it is not to be created.
        InputError: It is out of reach, or MLflow's.
    """
    from sweeper.search.storage import StudyStore  # imports Optuna, which a look at the studies does without

    check_storage(workspace)
    return StudyStore(workspace.storage_url, lock_path=workspace.storage_lock, create=create)


def check_storage(workspace: Workspace) -> None:
    """See that Optuna and MLflow have a database each, as far as their URLs tell.

    Raises:
        InputError: They share one.
    """
    if are_same(workspace.storage_url, workspace.tracking_uri):
        raise InputError(
            f"SWEEPER_STORAGE and MLFLOW_TRACKING_URI name one database, {masked(workspace.storage_url)}; Optuna and "
            "MLflow need one each, since both keep a table alembic_version there: create another and set one of them "
            "to it"
        )
