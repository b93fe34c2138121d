"""Databases of MLflow, made once and copied, and a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tracking.mlflow_server import MlflowServer
from tests.tracking.templates import copy_mlflow_db


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """An MLflow server, one for each test process."""
    folder = tmp_path_factory.mktemp("server")
    copy_mlflow_db(tmp_path_factory, folder)
    running = MlflowServer(folder)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def mlflow_db(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of an empty SQLite database of MLflow."""
    copy_mlflow_db(tmp_path_factory, tmp_path)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"
