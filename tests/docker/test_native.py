"""Every service of the compose file, run on loopback with its own command, and a sweep through them."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.docker.compose import DOCKER, Native, read_compose
from tests.faults.postgres import PostgresServer
from tests.ray_cluster import OBJECT_STORE_BYTES, SETTINGS
from tests.sweep.conftest import wait_until
from tests.sweep.studies import write_study
from tests.tracking.mlflow_server import free_port

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.timeout(600)]

RAY_HOST = "127.0.0.2"
"""Loopback too. Ray's command line takes 127.0.0.1 to mean the machine's address in its network."""
SECRETS = ("postgres_password", "mlflow_password", "mlflow_secret_key", "ray_token")


@pytest.fixture
def native(tmp_path: Path) -> Iterator[Native]:
    """PostgreSQL, MLflow, Ray's head and two workers."""
    folder = tmp_path / "workspace"
    for name in ("secrets", "artifacts", "workspace", "cache"):
        (tmp_path / name).mkdir()
    for name in SECRETS:
        (tmp_path / "secrets" / name).write_text(secrets.token_hex(16))
    password = (tmp_path / "secrets" / "postgres_password").read_text()
    postgres = PostgresServer(user="sweeper", password=password)
    mlflow, ray = f"127.0.0.1:{free_port()}", f"{RAY_HOST}:{free_port()}"
    accounts = tmp_path / "basic_auth.ini"
    places = {
        "@postgres/": f"@127.0.0.1:{postgres.port}/",
        "--allowed-hosts=mlflow:5000,127.0.0.1:5000,localhost:5000": f"--allowed-hosts={mlflow}",
        "mlflow:5000": mlflow,
        "127.0.0.1:5000": mlflow,
        "--host=0.0.0.0": "--host=127.0.0.1",
        "--port=5000": f"--port={mlflow.rpartition(':')[2]}",
        "ray-head:6379": ray,
        "127.0.0.1:6379": ray,
        "--port=6379": f"--port={ray.rpartition(':')[2]}",
        "--destination=/artifacts": f"--destination={tmp_path / 'artifacts'}",
        "/run/secrets": str(tmp_path / "secrets"),
        "/artifacts": str(tmp_path / "artifacts"),
        "/etc/sweeper/basic_auth.ini": str(accounts),
    }
    composed = read_compose({f"{name.upper()}_FILE": str(tmp_path / "secrets" / name) for name in SECRETS})
    environment = {
        **SETTINGS,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",  # else `ray start` adds no node to a head
        "SECRETS_DIR": str(tmp_path / "secrets"),
        "SWEEPER_CACHE": str(tmp_path / "cache"),
    }
    services = Native(composed, places=places, environment=environment, folder=folder)
    accounts.write_text(services.placed((DOCKER / "basic_auth.ini").read_text()))
    try:
        with psycopg.connect(
            host="127.0.0.1", port=postgres.port, user="sweeper", password=password, dbname="postgres", autocommit=True
        ) as connection:
            for statement in (DOCKER / "databases.sql").read_text().split("\n"):
                if statement and not statement.startswith("--"):
                    connection.execute(statement.encode())
        yield services
    finally:
        services.close()
        postgres.remove()
        shutil.rmtree(tmp_path / "artifacts")


def status_of(url: str, *, user: str | None = None, password: str = "", host: str | None = None) -> int:
    request = urllib.request.Request(f"{url}/api/2.0/mlflow/experiments/search?max_results=1")
    if user is not None:
        request.add_header("Authorization", f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}")
    if host is not None:
        request.add_header("Host", host)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_sweep_through_all_services(native: Native, tmp_path: Path) -> None:
    server = native.start("mlflow")
    on_loopback = (f"--node-ip-address={RAY_HOST}", f"--object-store-memory={OBJECT_STORE_BYTES}")
    head = native.start("ray-head", *on_loopback)

    def is_healthy(service: str) -> bool:
        assert server.poll() is None, native.log("mlflow")
        assert head.poll() is None, native.log("ray-head")
        return native.is_healthy(service)

    def has_joined(n_workers: int) -> bool:
        assert all(worker.poll() is None for worker in workers), native.log("ray-worker")
        return native.log("ray-worker").count("Ray runtime started") == n_workers

    wait_until(lambda: is_healthy("ray-head"), "Ray's head")
    workers = []
    for n_workers in (1, 2):  # one after the other: here they share the folder in which they look for free ports
        workers.append(native.start("ray-worker", *on_loopback))
        wait_until(lambda n=n_workers: has_joined(n), "a worker of Ray's")
    assert is_healthy("ray-worker")
    wait_until(lambda: is_healthy("mlflow"), "the MLflow server")

    write_study(tmp_path / "workspace", trials=4, epochs=2)
    started = native.run("sweeper", "start", "tiny.yaml", "--launcher", "ray", "--workers", "2")
    assert started.returncode == 0, started.stdout + started.stderr
    assert all(worker.poll() is None for worker in workers), native.log("ray-worker")
    best = native.run("sweeper", "best", "tiny", "--json")
    assert best.returncode == 0, best.stderr
    assert len(json.loads(best.stdout)) > 0
    status = native.run("sweeper", "status", "--json")
    assert '"tiny"' in status.stdout, status.stdout + status.stderr
    assert any((tmp_path / "artifacts").rglob("*.json")), "artifacts do not go through the server"

    url = native.environment("sweeper")["MLFLOW_TRACKING_URI"]
    password = (tmp_path / "secrets" / "mlflow_password").read_text()
    assert status_of(url, user="admin", password=password) == 200
    assert status_of(url) == 401
    assert status_of(url, user="admin", password="another") == 401
    assert status_of(url, user="admin", password=password, host="evil.example") == 403
    (tmp_path / "secrets" / "ray_token").write_text(secrets.token_hex(16))
    stranger = native.run("sweeper", "start", "tiny.yaml", "--launcher", "ray", "--trials", "1")
    assert stranger.returncode != 0
    for service in ("mlflow", "ray-head", "ray-worker"):
        assert password not in native.log(service)
