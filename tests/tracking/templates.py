"""Empty databases: MLflow's migrations take seconds, a copy of their result takes none."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder that all test processes of a session share."""
    base = factory.getbasetemp()
    return base.parent if base.name.startswith("popen-") else base


def copy_mlflow_db(factory: pytest.TempPathFactory, folder: Path) -> None:
    """Put `mlflow.db`, with MLflow's tables and nothing in them, into a folder."""
    from sweeper.tracking.mlflow import create_database

    cache_dir = shared_folder(factory) / "cache"
    cache_dir.mkdir(exist_ok=True)
    with FileLock(cache_dir.with_name("mlflow.lock")):  # of processes that begin at once, one migrates
        create_database(f"sqlite:///{folder / 'mlflow.db'}", cache_dir=cache_dir)
