"""A real MLflow server on loopback, which a test may stop and start again."""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from werkzeug.security import generate_password_hash

START_SECONDS = 120.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MlflowServer:
    """An MLflow server with its artifacts in a folder, and its database too where no other is given."""

    def __init__(self, folder: Path, *, n_workers: int = 1, database_url: str | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database_url = database_url or f"sqlite:///{folder / 'mlflow.db'}"
        self._n_workers = n_workers
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of its first process; None while it is stopped."""
        return None if self._process is None else self._process.pid

    def command(self) -> tuple[list[str], dict[str, str]]:
        """Its command line, and what its environment has besides."""
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self.database_url]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--workers", str(self._n_workers)]
        return command, {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}

    def start(self) -> None:
        """Start it and wait until it answers."""
        command, environment = self.command()
        log = self.folder / "server.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, env={**os.environ, **environment}, stdout=output, stderr=output, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise RuntimeError(f"the MLflow server did not start:\n{log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Kill it, as a crash would."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user of a server with accounts."""

    user: str
    password: str

    def environment(self) -> dict[str, str]:
        """That makes `sweeper` this user."""
        return {"MLFLOW_TRACKING_USERNAME": self.user, "MLFLOW_TRACKING_PASSWORD": self.password}


class AccountsServer(MlflowServer):
    """An MLflow server that asks for a password. An account may read all, and write to experiments that it has made."""

    def __init__(self, folder: Path, *, n_workers: int = 1, database_url: str | None = None) -> None:
        super().__init__(folder, n_workers=n_workers, database_url=database_url)
        self.admin = Account(user="admin", password=secrets.token_hex(16))

    def command(self) -> tuple[list[str], dict[str, str]]:
        settings = self.folder / "basic_auth.ini"
        settings.write_text(
            "[mlflow]\n"
            "default_permission = READ\n"
            f"database_uri = sqlite:///{self.folder / 'accounts.db'}\n"
            f"admin_username = {self.admin.user}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
            "auth_cache_ttl_seconds = 60\n"  # as in docker/basic_auth.ini
        )
        command, environment = super().command()
        return [*command, "--app-name", "basic-auth"], {
            **environment,
            "MLFLOW_AUTH_CONFIG_PATH": str(settings),
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.admin.password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
        }

    def start(self) -> None:
        super().start()
        self._hash_cheaply(self.admin)

    def _hash_cheaply(self, account: Account) -> None:
        """Have a hash of the password that is checked at once. MLflow's own is made to take long: 0.1 s of CPU time at
        each request."""
        cheap = generate_password_hash(account.password, "pbkdf2:sha256:1")
        with closing(sqlite3.connect(self.folder / "accounts.db", timeout=60)) as database, database:
            changed = database.execute("UPDATE users SET password_hash = ? WHERE username = ?", (cheap, account.user))
            assert changed.rowcount == 1

    def add_user(self, user: str) -> Account:
        """Make an account."""
        account = Account(user=user, password=secrets.token_hex(16))
        self.ask("POST", "users/create", {"username": user, "password": account.password})
        self._hash_cheaply(account)
        return account

    def change_password(self, account: Account) -> Account:
        """Give an account another password; returns it with that."""
        changed = replace(account, password=secrets.token_hex(16))
        self.ask("PATCH", "users/update-password", {"username": changed.user, "password": changed.password})
        self._hash_cheaply(changed)
        return changed

    def revoke(self, account: Account, experiment: str) -> None:
        """Leave an account that has made an experiment nothing but reading it."""
        body = {"username": account.user, **self._resource(experiment)}
        self.ask("POST", "users/permissions/revoke", body, version="3.0")

    def let_write(self, account: Account, experiment: str) -> None:
        """Let an account that may read an experiment write to it."""
        body = {"username": account.user, **self._resource(experiment), "permission": "EDIT"}
        self.ask("POST", "users/permissions/grant", body, version="3.0")

    def _resource(self, experiment: str) -> dict[str, str]:
        found = self.ask("GET", f"experiments/get-by-name?experiment_name={experiment}")["experiment"]
        return {"resource_type": "experiment", "resource_id": found["experiment_id"]}

    def ask(self, method: str, route: str, body: dict[str, Any] | None = None, *, version: str = "2.0") -> Any:
        """What the server answers its administrator."""
        request = urllib.request.Request(
            f"{self.url}/api/{version}/mlflow/{route}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={} if body is None else {"Content-Type": "application/json"},
        )
        pair = f"{self.admin.user}:{self.admin.password}".encode()
        request.add_header("Authorization", f"Basic {base64.b64encode(pair).decode()}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")
