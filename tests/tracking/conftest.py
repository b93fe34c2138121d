"""Databases of MLflow, made once and copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tracking.templates import copy_mlflow_db


@pytest.fixture
def mlflow_db(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of an empty SQLite database of MLflow."""
    copy_mlflow_db(tmp_path_factory, tmp_path)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"
