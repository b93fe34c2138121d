"""Optuna's database of a workspace."""

from __future__ import annotations

from sweeper.search.storage import StudyStore
from sweeper.tracking.workspace import Workspace

__all__ = ["open_store"]


def open_store(workspace: Workspace, *, create: bool = False) -> StudyStore:
    """Optuna's database of a workspace.

    Raises:
        NotFoundError: There is none yet and it is not to be created.
    """
    return StudyStore(workspace.storage_url, lock_path=workspace.storage_lock, create=create)
