"""MLflow's UI and Optuna's dashboard as child processes, on loopback unless asked otherwise."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from sweeper.errors import InputError, NotFoundError, SweeperError
from sweeper.masking import without_passwords
from sweeper.sweep.access import LOOPBACK, Access, sign_in_environment
from sweeper.sweep.store import open_store
from sweeper.tracking.paths import refuse_link
from sweeper.tracking.reading import open_reader
from sweeper.tracking.view import runs_path
from sweeper.tracking.workspace import Workspace, read_json

__all__ = ["Servers", "serve"]

START_SECONDS = 150.0  # MLflow imports for 5 s, and for a minute where others are at work


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Servers that run."""

    processes: tuple[subprocess.Popen[bytes], ...]
    addresses: tuple[tuple[str, str], ...]
    """Pairs of title and address; the runs of each study after MLflow's UI."""

    def wait(self) -> None:
        """Wait until one of them ends.

        Raises:
            SweeperError: One has ended by itself.
        """
        while True:
            for process in self.processes:
                if process.poll() is not None:
                    raise SweeperError(f"a server ended with exit code {process.returncode}")
            time.sleep(0.2)


@contextmanager
def serve(workspace: Workspace, *, port: int, dashboard_port: int, access: Access | None = None) -> Iterator[Servers]:
    """Run both servers for the length of a block; it begins when they answer.

    With a server in `MLFLOW_TRACKING_URI`, only its address is given and no second UI is started. `access` is that of
    MLflow's UI, by default loopback; Optuna's dashboard can ask for no password and listens on loopback only.

    Raises:
        InputError: A port is taken, or Optuna's database cannot be opened.
        TrackingError: MLflow's database is out of reach.
        SweeperError: A server did not start.
    """
    access = access or Access()
    open_store(workspace, create=True)  # a database that is out of reach is said to be, before servers wait for it
    commands: list[tuple[str, str, list[str], dict[str, str]]] = []
    addresses: list[tuple[str, str]] = []
    if workspace.tracking_uri.startswith(("http://", "https://")):
        if access.password is not None:
            raise InputError(f"--host {access.host}: runs are on a server already, {_public(workspace.tracking_uri)}")
        addresses.append(("MLflow UI", _public(workspace.tracking_uri)))
    else:
        _check_port(access.host, port, "--port")
        try:
            open_reader(workspace.tracking_uri).list_studies()
        except NotFoundError:
            from sweeper.tracking.mlflow import create_database  # takes seconds

            create_database(workspace.tracking_uri, cache_dir=workspace.cache_dir)
        commands.append(("MLflow UI", f"http://{access.address}:{port}", *_mlflow_command(workspace, port, access)))
    _check_port(LOOPBACK, dashboard_port, "--dashboard-port")
    commands.append(
        ("Optuna dashboard", f"http://{LOOPBACK}:{dashboard_port}", *_dashboard_command(workspace, dashboard_port))
    )
    log_path = workspace.root / ".sweeper" / ".ui.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    refuse_link(log_path)
    processes: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        stack.callback(_end_all, processes)
        if access.password is not None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sweeper-ui-")))
            commands[0][3].update(sign_in_environment(access, folder))
        with log_path.open("wb") as log:
            for _, _, command, environment in commands:
                processes.append(
                    subprocess.Popen(  # noqa: S603  # fixed programs
                        command,
                        cwd=workspace.root,
                        env={**os.environ, **environment},
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
        for process, (title, address, _, _) in zip(processes, commands, strict=True):
            _wait_until_up(process, title, address, log_path)
            addresses.append((title, address))
        of_mlflow = next(i for i, (title, _) in enumerate(addresses) if title == "MLflow UI")
        root = addresses[of_mlflow][1].rstrip("/")
        addresses[of_mlflow + 1 : of_mlflow + 1] = [
            (f"  {name}", f"{root}/{path}") for name, path in _study_paths(workspace)
        ]
        yield Servers(processes=tuple(processes), addresses=tuple(addresses))


def _public(uri: str) -> str:
    """A server's address without user and password, for the browser, which asks for them itself."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _study_paths(workspace: Workspace) -> list[tuple[str, str]]:
    """Names of the tracked studies, and the paths of their runs."""
    paths: list[tuple[str, str]] = []
    store = open_store(workspace)
    for name in store.names():
        tracked = read_json(workspace.study_files(name, store.read(name).uuid).tracked)
        if tracked is not None:
            paths.append((name, runs_path(tracked["experiment_id"])))
    return paths


def _mlflow_command(workspace: Workspace, port: int, access: Access) -> tuple[list[str], dict[str, str]]:
    # The database's URL goes through the environment: it may hold a password, and arguments are public.
    command = [sys.executable, "-m", "mlflow", "server", "--host", access.host, "--port", str(port), "--workers", "1"]
    command += ["--app-name", "basic-auth"] if access.password is not None else []
    hosts = [f"{name}:{port}" for name in access.names]
    environment = {
        "MLFLOW_BACKEND_STORE_URI": workspace.tracking_uri,
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(hosts),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(f"http://{host}" for host in hosts),
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "false",
        "MLFLOW_SERVER_X_FRAME_OPTIONS": "DENY",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    if workspace.own_tracking:
        environment["MLFLOW_DEFAULT_ARTIFACT_ROOT"] = workspace.artifact_root.as_uri()
    return command, environment


def _dashboard_command(workspace: Workspace, port: int) -> tuple[list[str], dict[str, str]]:
    command = [sys.executable, "-m", "sweeper.search.dashboard", str(port)]
    return command, {"SWEEPER_STORAGE": workspace.storage_url}


def _check_port(host: str, port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise InputError(f"{option}: port {port} is taken; give another, such as {option} {port + 1}") from None


def _wait_until_up(process: subprocess.Popen[bytes], title: str, address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=5):  # noqa: S310  # our own loopback address
                return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.1)
    said = without_passwords(log.read_text(errors="replace"))[-1500:]
    raise SweeperError(f"{title} did not start; its log is {log}:\n{said}")


def _end_all(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server with the workers that it started, which are in its process group."""
    for signum in (15, 9):
        try:
            os.killpg(process.pid, signum)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            continue
