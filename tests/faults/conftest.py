"""PostgreSQL servers, databases in them, and workspaces of several machines that use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.postgres import Databases, PostgresServer
from tests.sweep.conftest import CommandLine, cache_dir, cli, folder, own_server, workspace

__all__ = ["cache_dir", "cli", "folder", "own_server", "workspace"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running server."""
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture
def databases(postgres: PostgresServer) -> Databases:
    """Two databases of the test's own."""
    return postgres.create_databases()


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
