"""PostgreSQL servers, databases in them, and workspaces of several machines that use them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.postgres import PostgresServer
from tests.sweep.conftest import CommandLine, cache_dir, cli, folder, own_server, workspace

__all__ = ["cache_dir", "cli", "folder", "own_server", "workspace"]

MLFLOW_TEMPLATE = "mlflow_template"


@dataclass(frozen=True, kw_only=True)
class Databases:
    """URLs of two databases in one server."""

    optuna: str
    mlflow: str

    def environment(self) -> dict[str, str]:
        """That makes `sweeper` use them."""
        return {"SWEEPER_STORAGE": self.optuna, "MLFLOW_TRACKING_URI": self.mlflow}


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running server, with a database that holds MLflow's empty tables: migrations take seconds."""
    from sweeper.tracking.mlflow import MlflowTracker

    server = PostgresServer()
    try:
        tracker = MlflowTracker(server.create_database(MLFLOW_TEMPLATE))
        tracker._client._tracking_client.store.engine.dispose()  # a template has no connections
        yield server
    finally:
        server.remove()


_names = itertools.count()


def create_databases(server: PostgresServer) -> Databases:
    """An empty database for Optuna, and one with MLflow's tables."""
    number = next(_names)
    server.execute(f"CREATE DATABASE mlflow_{number} TEMPLATE {MLFLOW_TEMPLATE}")
    return Databases(optuna=server.create_database(f"optuna_{number}"), mlflow=server.url(f"mlflow_{number}"))


@pytest.fixture
def databases(postgres: PostgresServer) -> Databases:
    """Two databases of the test's own."""
    return create_databases(postgres)


@pytest.fixture
def machine(tmp_path: Path, cache_dir: Path, databases: Databases) -> Iterator[Callable[[str], CommandLine]]:
    """Command lines in workspaces that share nothing but the databases."""
    made: dict[str, CommandLine] = {}

    def create(name: str) -> CommandLine:
        (tmp_path / name).mkdir()
        made[name] = CommandLine(tmp_path / name, cache_dir)
        made[name].environment |= databases.environment()
        return made[name]

    yield create
    for command_line in made.values():
        command_line.end()
