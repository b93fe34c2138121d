"""Empty databases: MLflow's migrations take seconds, a copy of their result takes none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from filelock import FileLock


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder that all test processes of a session share."""
    base = factory.getbasetemp()
    return base.parent if base.name.startswith("popen-") else base


def copy_mlflow_db(factory: pytest.TempPathFactory, folder: Path) -> None:
    """Put `mlflow.db`, with MLflow's tables and nothing in them, into a folder."""
    template = shared_folder(factory) / "template" / "mlflow.db"
    template.parent.mkdir(exist_ok=True)
    with FileLock(template.with_suffix(".lock")):
        if not template.exists():
            from sweeper.tracking.mlflow import MlflowTracker

            unfinished = template.with_name("unfinished.db")
            unfinished.unlink(missing_ok=True)
            MlflowTracker(f"sqlite:///{unfinished}")
            unfinished.replace(template)
    shutil.copy(template, folder / "mlflow.db")
