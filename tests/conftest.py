"""For all tests: one thread a process, since pytest runs several processes; plugins that end with their test;
and servers, one of each kind for each process.

Numeric libraries read the number of threads when they are imported. Threads of several processes that wait for each
other made the suite three times as long. Workers of the sweeps that tests start have as many threads as they would
elsewhere; those sleep while they wait: on 2 busy CPUs, 12 epochs of a small MLP (batch 128) took 8.0 s of CPU time
with two threads that wait actively, 0.4 s with two that sleep.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

# Else every process that a test starts would compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import sys  # noqa: E402  # numeric libraries read the environment above when they are imported
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING  # noqa: E402

import pytest  # noqa: E402

from sweeper.study.config import registry  # noqa: E402
from sweeper.study.plugins import sources  # noqa: E402

if TYPE_CHECKING:
    from tests.faults.postgres import Databases, PostgresServer
    from tests.tracking.mlflow_server import MlflowServer

HERE = Path(__file__).parent
LONG_GROUPS = ("ray", "docs", "postgres", "accounts", "browser", "cli", "finished", "workers", "server", "kills")
"""Groups of tests that take a minute or more, the longest first."""
WITH_PROCESSES = ("studies", "chaos", "extend", "faults", "sweep", "security", "benchmarks")
"""Folders of tests that start processes."""


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # pytest-xdist would have groups of the most tests begin first


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first: else a process is left alone with it at the end."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> tuple[int, int]:
    marker = item.get_closest_marker("xdist_group")
    if marker is not None:
        group = marker.args[0]
        return (0, LONG_GROUPS.index(group)) if group in LONG_GROUPS else (1, 0)
    return (1, 0) if item.path.relative_to(HERE).parts[0] in WITH_PROCESSES else (2, 0)


@pytest.fixture(autouse=True)
def _forget_plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers and loads is gone after it."""
    for name in ("_registered", "_by_config"):
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    registry._adapters.clear()
    monkeypatch.setattr(sources, "_loaded", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    registry._adapters.clear()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL."""
    from tests.faults.postgres import PostgresServer

    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture
def databases(postgres: PostgresServer) -> Databases:
    """Two databases of the test's own."""
    return postgres.create_databases()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A running MLflow server."""
    from tests.tracking.mlflow_server import MlflowServer
    from tests.tracking.templates import copy_mlflow_db

    folder = tmp_path_factory.mktemp("server")
    copy_mlflow_db(tmp_path_factory, folder)
    running = MlflowServer(folder)
    running.start()
    yield running
    running.stop()
