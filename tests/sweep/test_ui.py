"""`sweeper ui`: both pages answer, on loopback only, and nothing is left of it."""

from __future__ import annotations

import socket
import urllib.request

import psutil

from tests.sweep.conftest import GUARD_SECONDS, CommandLine, interrupt, wait_until
from tests.tracking.mlflow_server import free_port


def listening(processes: list[psutil.Process]) -> set[tuple[str, int]]:
    """Addresses on which any of the processes listens."""
    return {
        (connection.laddr.ip, connection.laddr.port)
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_both_pages_on_loopback_only_until_ctrl_c(cli: CommandLine) -> None:
    ports = (free_port(), free_port())
    process = cli.begin("ui", "--port", str(ports[0]), "--dashboard-port", str(ports[1]))
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    assert lines[2] == "Ctrl-C ends both\n", lines
    for port, title, line in zip(ports, ("MLflow UI", "Optuna dashboard"), lines, strict=False):
        assert line.split() == [*title.split(), f"http://127.0.0.1:{port}"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=GUARD_SECONDS) as answer:
            assert answer.status == 200
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    addresses = listening(children)
    assert {("127.0.0.1", port) for port in ports} <= addresses
    assert {ip for ip, _ in addresses} == {"127.0.0.1"}
    interrupt(process)
    output, _ = process.communicate(timeout=GUARD_SECONDS)
    assert "Traceback" not in output
    assert process.returncode == 0, output
    wait_until(lambda: not any(child.is_running() for child in children), "the servers' end")


def test_a_port_that_is_taken(cli: CommandLine) -> None:

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        output = cli.call("ui", "--port", str(port), exit_code=2)
    assert f"--port: port {port} is taken; give another, such as --port {port + 1}" in output
