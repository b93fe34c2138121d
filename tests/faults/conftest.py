"""Workspaces of several machines that share two databases in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.postgres import Databases, PostgresServer
from tests.sweep.conftest import CommandLine, cache_dir, cli, folder, own_server, workspace
from tests.tracking.mlflow_server import AccountsServer

__all__ = ["cache_dir", "cli", "folder", "own_server", "workspace"]


@pytest.fixture(scope="session")
def accounts_server(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccountsServer]:
    """A running MLflow server with accounts, on PostgreSQL."""
    databases = postgres.create_databases()
    server = AccountsServer(tmp_path_factory.mktemp("accounts"), database_url=databases.mlflow)
    server.start()
    yield server
    server.stop()


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
