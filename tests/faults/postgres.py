"""A real PostgreSQL on loopback, from the package `pgserver`, which a test may stop and start again."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from filelock import FileLock

from sweeper.tracking.mlflow import MlflowTracker
from tests.tracking.mlflow_server import free_port

SYSTEM_USER = "pgserver"
MLFLOW_TEMPLATE = "mlflow_template"


@dataclass(frozen=True, kw_only=True)
class Databases:
    """URLs of two databases in one server."""

    optuna: str
    mlflow: str

    def environment(self) -> dict[str, str]:
        """That makes `sweeper` use them."""
        return {"SWEEPER_STORAGE": self.optuna, "MLFLOW_TRACKING_URI": self.mlflow}


class PostgresServer:
    """A PostgreSQL whose data lie in a folder of its own under the system's temporary folder.

    Args:
        user: Its administrator.
        password: Of the administrator; None: everybody is let in.
    """

    def __init__(self, *, user: str = "postgres", password: str | None = None) -> None:
        from pgserver import _commands, utils

        self._commands = _commands
        self._as_user: dict[str, Any] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="sweeper-postgres-"))
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            with FileLock(Path(tempfile.gettempdir()) / "sweeper-postgres-user.lock"):
                utils.ensure_user_exists(SYSTEM_USER)
                utils.ensure_prefix_permissions(_commands.POSTGRES_BIN_PATH)
            os.chown(self.folder, pwd.getpwnam(SYSTEM_USER).pw_uid, -1)
            self._as_user = {"user": SYSTEM_USER, "cwd": self.folder}
        self.port = free_port()
        self._n_databases = 0
        authentication = "--auth=trust"
        if password is not None:
            file = self.folder / "password"
            file.write_text(password)
            authentication = f"--auth=scram-sha-256 --pwfile={file}"
        self._pg_ctl("init", "-o", f"{authentication} --encoding=utf8 -U {user} --no-sync")
        self.start()

    @property
    def pid(self) -> int:
        """Of its first process.

        Raises:
            FileNotFoundError: It is stopped.
        """
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def url(self, database: str) -> str:
        """Of one of its databases."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Make an empty database; returns its URL."""
        self.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def create_databases(self) -> Databases:
        """An empty database for Optuna, and one with MLflow's empty tables: migrations take seconds."""
        if not self._n_databases:
            tracker = MlflowTracker(self.create_database(MLFLOW_TEMPLATE))
            tracker._client._tracking_client.store.engine.dispose()  # a template has no connections
        self._n_databases += 1
        name = f"mlflow_{self._n_databases}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {MLFLOW_TEMPLATE}")
        return Databases(optuna=self.create_database(f"optuna_{self._n_databases}"), mlflow=self.url(name))

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement; returns its rows."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname=database, autocommit=True
        ) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start it and wait until it answers."""
        # Loopback only, no socket file; a crash of the machine is not among the faults, hence no fsync.
        options = f"-h 127.0.0.1 -p {self.port} -c unix_socket_directories='' -c fsync=off -c max_connections=60"
        self._pg_ctl("start", "-w", "-l", str(self.folder / "server.log"), "-o", options)

    def stop(self, mode: str = "immediate") -> None:
        """End it; `immediate` breaks off what is going on, as a crash would."""
        self._pg_ctl("stop", "-w", "-m", mode)

    def remove(self) -> None:
        """End it for good."""
        try:
            self.stop()
        except subprocess.CalledProcessError:
            assert not (self.folder / "data" / "postmaster.pid").exists()
        shutil.rmtree(self.folder)

    def _pg_ctl(self, *arguments: str) -> None:
        self._commands.pg_ctl(list(arguments), pgdata=self.folder / "data", **self._as_user)
