"""`sweeper ui`: loopback only, requests under another name refused, nothing of MLflow's that runs code."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.sweep.conftest import CommandLine
from tests.tracking.mlflow_server import free_port


@pytest.fixture
def servers(cli: CommandLine) -> Iterator[tuple[int, int, psutil.Process]]:
    """Both servers of `sweeper ui`, in an environment that asks for trouble."""
    cli.environment |= {
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",
        "MLFLOW_SERVER_ALLOWED_HOSTS": "*",
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "*",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "true",
        "MLFLOW_HOST": "0.0.0.0",
    }
    ports = free_port(), free_port()
    process = cli.begin("ui", "--port", str(ports[0]), "--dashboard-port", str(ports[1]))
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    assert lines[2] == "Ctrl-C ends both\n", lines
    yield (*ports, psutil.Process(process.pid))
    process.terminate()
    process.wait(timeout=60)


def ask(port: int, method: str, path: str, body: str | None = None, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    given = {name.capitalize(): value for name, value in headers.items()}
    connection.request(method, path, body, {"Content-Type": "application/json", **given})
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_servers_are_closed(servers: tuple[int, int, psutil.Process], cli: CommandLine) -> None:
    port, dashboard_port, process = servers
    search = "/api/2.0/mlflow/experiments/search"
    create = "/api/2.0/mlflow/experiments/create"
    body = json.dumps({"name": "planted"})
    # MLflow
    assert ask(port, "POST", search, '{"max_results": 1}') == 200
    assert ask(port, "POST", search, '{"max_results": 1}', host=f"localhost:{port}") == 200
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "192.168.0.1",
        "127.0.0.1.evil.example",
        f"127.0.0.1:{port + 1}",
    ):
        assert ask(port, "POST", search, '{"max_results": 1}', host=host) == 403
    assert ask(port, "POST", create, body, origin="http://evil.example") == 403
    assert ask(port, "GET", "/ajax-api/3.0/jobs/x") in (403, 404, 500, 501)
    # Optuna's dashboard
    studies = "/api/studies"
    planted = json.dumps({"study_name": "planted", "directions": ["minimize"]})
    assert ask(dashboard_port, "GET", studies) == 200
    assert ask(dashboard_port, "GET", studies, host=f"localhost:{dashboard_port}") == 200
    for host in ("evil.example", f"evil.example:{dashboard_port}", "127.0.0.1", f"127.0.0.1:{dashboard_port}.evil"):
        assert ask(dashboard_port, "GET", studies, host=host) == 403
    assert ask(dashboard_port, "POST", studies, planted, origin="http://evil.example") == 403
    assert b"planted" not in (cli.folder / "optuna.db").read_bytes() + (cli.folder / "mlflow.db").read_bytes()
    # what they were started with
    children = process.children(recursive=True)
    assert {c.laddr.ip for child in children for c in child.net_connections("inet") if c.status == "LISTEN"} == {
        "127.0.0.1"
    }
    mlflow = [child for child in children if "mlflow" in " ".join(child.cmdline())]
    assert mlflow
    for child in mlflow:
        environment = child.environ()
        assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
        assert environment["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
        assert environment["MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE"] == "false"


def test_mlflow_knows_the_settings() -> None:
    """They are MLflow's own names: a name that it no longer reads would protect nothing."""
    from mlflow import environment_variables

    from sweeper.sweep.ui import _mlflow_command
    from sweeper.tracking.workspace import Workspace

    _, environment = _mlflow_command(Workspace.from_environment(Path("/nowhere"), {}), 5000)
    for name in environment:
        if name not in ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_DEFAULT_ARTIFACT_ROOT"):  # options of its command line
            assert hasattr(environment_variables, name), name


def test_no_other_host_can_be_served(cli: CommandLine) -> None:
    output = cli.call("ui", "--host", "0.0.0.0", exit_code=2)
    assert "No such option: --host" in output
