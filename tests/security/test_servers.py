"""`sweeper ui`: loopback only or with a password, other names refused, nothing of MLflow's that runs code."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import psutil
import pytest

from tests.sweep.conftest import GUARD_SECONDS, CommandLine, wait_until
from tests.tracking.mlflow_server import free_port


@pytest.fixture
def servers(cli: CommandLine) -> Iterator[tuple[int, int, Popen[str]]]:
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
    yield (*ports, process)
    process.terminate()
    process.wait(timeout=60)


def ask(port: int, method: str, path: str, body: str | None = None, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    given = {name.capitalize(): value for name, value in headers.items()}
    connection.request(method, path, body, {"Content-Type": "application/json", **given})
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_servers_are_closed_and_end_on_sigterm(servers: tuple[int, int, Popen[str]], cli: CommandLine) -> None:
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
    children = psutil.Process(process.pid).children(recursive=True)
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
    # how they end; on Ctrl-C: tests/sweep/test_ui.py
    process.terminate()
    output, _ = process.communicate(timeout=GUARD_SECONDS)
    assert "Traceback" not in output
    assert process.returncode == 0, output
    wait_until(lambda: not any(child.is_running() for child in children), "the servers' end")


def test_mlflow_knows_the_settings(tmp_path: Path) -> None:
    """They are MLflow's own names: a name that it no longer reads would protect nothing."""
    from mlflow import environment_variables

    from sweeper.sweep.access import Access, sign_in_environment
    from sweeper.sweep.ui import _mlflow_command
    from sweeper.tracking.workspace import Workspace

    _, environment = _mlflow_command(Workspace.from_environment(Path("/nowhere"), {}), 5000, Access())
    environment |= sign_in_environment(Access(password="correct-horse-battery"), tmp_path)
    for name in environment:
        if name not in ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_DEFAULT_ARTIFACT_ROOT"):  # options of its command line
            assert hasattr(environment_variables, name), name


@pytest.mark.parametrize("password", ["", "short"])
def test_other_machines_reach_nothing_without_a_password(cli: CommandLine, password: str) -> None:
    cli.environment["SWEEPER_UI_PASSWORD"] = password
    output = cli.call("ui", "--host", "0.0.0.0", exit_code=2)
    assert "SWEEPER_UI_PASSWORD" in output
    assert "12 characters" in output


def test_a_host_that_is_no_address(cli: CommandLine) -> None:
    assert "--host: given 'example.org'; allowed: an IPv4 address" in cli.call(
        "ui", "--host", "example.org", exit_code=2
    )


def test_other_machines_have_to_sign_in(cli: CommandLine) -> None:
    password = "correct-horse-battery"
    cli.environment |= {"SWEEPER_UI_PASSWORD": password, "MLFLOW_AUTH_ADMIN_PASSWORD": "another-password"}
    port, dashboard_port = free_port(), free_port()
    process = cli.begin(
        *("ui", "--host", "0.0.0.0", "--allow-name", "gpu1.lab"),
        *("--port", str(port), "--dashboard-port", str(dashboard_port)),
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    assert lines[2] == "Ctrl-C ends both\n", lines
    try:
        search = ("POST", "/api/2.0/mlflow/experiments/search", '{"max_results": 1}')
        signed = "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()
        wrong = "Basic " + base64.b64encode(b"admin:another-password").decode()
        assert ask(port, *search) == 401
        assert ask(port, *search, authorization=wrong) == 401
        assert ask(port, "GET", "/") == 401
        assert ask(port, *search, authorization=signed) == 200
        assert ask(port, *search, authorization=signed, host=f"gpu1.lab:{port}") == 200
        assert ask(port, *search, authorization=signed, host=f"evil.example:{port}") == 403
        children = psutil.Process(process.pid).children(recursive=True)
        listening = {c.laddr for child in children for c in child.net_connections("inet") if c.status == "LISTEN"}
        assert ("0.0.0.0", port) in listening
        assert ("127.0.0.1", dashboard_port) in listening, "the dashboard knows no passwords"
        for child in [psutil.Process(process.pid), *children]:
            assert password not in " ".join(child.cmdline())
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=60)
    assert password not in output + (cli.folder / ".sweeper" / ".ui.log").read_text()
