"""The faults of this folder, many times over, as rows of the chaos table."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults import scenarios
from tests.faults.disks import SmallDisk
from tests.faults.postgres import PostgresServer
from tests.sweep.conftest import CommandLine

Scenario = Callable[[CommandLine], int]
"""Runs in a workspace of its own; returns how many faults there were, and fails where something did not hold."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kind of fault."""

    title: str
    scenarios: list[tuple[str, Scenario]]


def fault_rows(postgres: PostgresServer, seed: int) -> Iterator[Row]:
    """All rows; `seed` decides when faults come."""

    def pair_on_sqlite(cli: CommandLine) -> int:
        scenarios.two_starts_at_once(cli, cli)
        return 1

    def pair_on_postgresql(cli: CommandLine) -> int:
        databases = postgres.create_databases()
        (cli.folder / "other").mkdir()
        other = CommandLine(cli.folder / "other", Path(cli.environment["SWEEPER_CACHE"]))
        for command_line in (cli, other):
            command_line.environment |= databases.environment()
        try:
            scenarios.two_starts_at_once(cli, other, optuna_db=databases.optuna, mlflow_db=databases.mlflow)
        finally:
            other.end()
        return 1

    def restarts(cli: CommandLine) -> int:
        databases = postgres.create_databases()
        cli.environment |= databases.environment()
        scenarios.restart_postgres(cli, postgres, databases, n_restarts=10, seed=seed)
        return 10

    def full_disk(cli: CommandLine) -> int:
        with tempfile.TemporaryDirectory(prefix="sweeper-disk-") as folder:
            disk = SmallDisk(Path(folder), 160)
            on_disk = CommandLine(disk.folder, Path(cli.environment["SWEEPER_CACHE"]))
            try:
                scenarios.fill_the_disk(on_disk, disk, n_times=5, seed=seed)
            finally:
                on_disk.end()
                disk.unmount()
        return 5

    def preempted(cli: CommandLine, seed: int) -> int:
        scenarios.preempt(cli, n_workers=3, n_drivers=2, seed=seed)
        return 5

    yield Row(title="two starts at once on empty SQLite", scenarios=[(f"pair {n}", pair_on_sqlite) for n in range(50)])
    yield Row(
        title="two starts at once on empty PostgreSQL", scenarios=[(f"pair {n}", pair_on_postgresql) for n in range(50)]
    )
    yield Row(title="PostgreSQL restarted in a sweep", scenarios=[("restarts", restarts)])
    yield Row(title="disk full for a while", scenarios=[("disk", full_disk)])
    yield Row(
        title="SIGTERM to workers and drivers",
        scenarios=[(f"seed {n}", lambda cli, n=n: preempted(cli, n)) for n in range(seed, seed + 6)],  # type: ignore[misc]
    )
    yield Row(
        title="checkpoints torn",
        scenarios=[
            (f"seed {n}", lambda cli, n=n: scenarios.tear_checkpoints(cli, n_times=5, seed=n))  # type: ignore[misc]
            for n in range(seed, seed + 12)
        ],
    )
