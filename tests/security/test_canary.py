"""A password in the URLs of both databases is found nowhere: not in output, files, databases or command lines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.sweep.accounts import check_accounts
from tests.sweep.conftest import GUARD_SECONDS, CommandLine, wait_until
from tests.sweep.studies import write_study
from tests.tracking.mlflow_server import MlflowServer, free_port

QUOTED = "Canary%2B7f3a%2Fpass"
SIGNS = ("Canary+7f3a", "Canary%2B7f3a")
POSTGRESQL = f"postgresql+psycopg://user:{QUOTED}@127.0.0.1:1/db"
HTTP = f"http://user:{QUOTED}@127.0.0.1:1"

ALL = """
import sys, traceback
from sweeper.cli.main import main
for line in sys.argv[1:]:
    print("$", line, flush=True)
    sys.argv = ["sweeper", *line.split()]
    try:
        main()
    except SystemExit as ended:
        print("exit code", ended.code, flush=True)
"""
COMMANDS = (
    "check tiny.yaml",
    "preview tiny.yaml",
    "start tiny.yaml --workers 1 --launcher inline",
    "start tiny.yaml --detach --workers 1",
    "resume tiny",
    "stop tiny",
    "status",
    "status tiny --json",
    "watch tiny",
    "runs tiny",
    "runs tiny --json",
    "best tiny",
    "report tiny --attach",
    "register tiny model",
    "reproduce tiny/0 --launcher inline",
    "promote tiny --epochs 2 --launcher inline",
    "sync",
    "sync tiny",
    "doctor",
    "doctor --json",
    "doctor --fix",
    "ui --port {port} --dashboard-port {dashboard_port}",
    "delete tiny --yes",
)


def run_all(cli: CommandLine, *lines: str) -> str:
    """Run commands in one new process, which has imports done once; returns everything that it printed."""
    ports = {"port": free_port(), "dashboard_port": free_port()}
    done = subprocess.run(
        [sys.executable, "-c", ALL, *(line.format(**ports) for line in lines)],
        cwd=cli.folder,
        env=cli.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=GUARD_SECONDS,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("\nexit code") == len(lines), done.stdout
    return done.stdout


def assert_silent(text: str, where: str) -> None:
    for sign in SIGNS:
        at = text.find(sign)
        assert at < 0, f"{where}: ...{text[max(at - 200, 0) : at + 100]}..."


def assert_nothing_in_files(folder: Path) -> int:
    """Look into every file, databases included; returns how many there are."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        assert_silent(path.read_bytes().decode("latin-1"), str(path.relative_to(folder)))
    return len(files)


def test_optuna_out_of_reach(cli: CommandLine) -> None:
    write_study(cli.folder, trials=1, epochs=1)
    cli.environment["SWEEPER_STORAGE"] = POSTGRESQL
    output = run_all(cli, *COMMANDS)
    assert "user:***@127.0.0.1:1" in output
    assert "Traceback" not in output
    assert_silent(output, "output")
    assert_nothing_in_files(cli.folder)


@pytest.mark.parametrize("uri", [HTTP, POSTGRESQL], ids=["http", "postgresql"])
def test_mlflow_out_of_reach(cli: CommandLine, uri: str) -> None:
    write_study(cli.folder, trials=1, epochs=1)
    cli.environment["MLFLOW_TRACKING_URI"] = uri
    left_out = ("start tiny.yaml --detach", "resume", "delete") + (("ui",) if uri == HTTP else ())  # it would stay
    output = run_all(cli, *(line for line in COMMANDS if not line.startswith(left_out)))
    assert "1 done" in output
    assert "Traceback" not in output
    assert "***@127.0.0.1:1" in output
    assert assert_nothing_in_files(cli.folder) > 20
    output += run_all(cli, "delete tiny --yes")
    assert_silent(output, "output")


@pytest.mark.parametrize(
    "url", ["postgresql://user:Canary+7f3a", "postgresql://user:Canary+7f3a@[/db", "x://Canary+7f3a:p"]
)
def test_malformed_urls(cli: CommandLine, url: str) -> None:
    write_study(cli.folder)
    for name in ("SWEEPER_STORAGE", "MLFLOW_TRACKING_URI"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(cli.environment, name, url)
            for command in ("status", "runs tiny", "report tiny", "doctor", "sync tiny"):
                if (name, command) != ("MLFLOW_TRACKING_URI", "status") or url.startswith("x://"):
                    assert_silent(cli.call(*command.split(), exit_code=None), command)


def everything_of(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:  # nobody in a container may wait for it
            return []
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def test_a_sweep_against_a_server_with_a_password(cli: CommandLine, own_server: MlflowServer) -> None:
    own_server.start()
    cli.environment["MLFLOW_TRACKING_URI"] = own_server.url.replace("://", f"://user:{QUOTED}@")
    write_study(cli.folder, trials=2, epochs=4, keep_models=1)
    output = cli.run("start", "tiny.yaml", "--workers", "1", "--detach")
    (home,) = (cli.folder / ".sweeper").glob("tiny")
    pid = json.loads((home / "driver.json").read_text())["pid"]
    wait_until(lambda: len(everything_of(pid)) > 2, "a worker")
    family = everything_of(pid)
    for process in family:
        assert_silent(" ".join(process.cmdline()) + process.name(), "a command line")
    children = family[1:]  # the process that imports torch, and the worker that it forked
    assert all("sweeper.launch.nursery" in " ".join(child.cmdline()) for child in children)
    for child in children:
        assert_silent(json.dumps(child.environ()), "the environment of a worker")
    lines = ("status", "runs tiny", "best tiny --json", "doctor", "doctor --json")
    wait_until(lambda: not everything_of(pid), "its end")
    output += run_all(cli, *lines, "report tiny", "sync")
    assert "no faults" in output, output
    assert_silent(output, "output")
    check_accounts(cli.folder, n_trials=2, mlflow_db=own_server.folder / "mlflow.db")
    assert assert_nothing_in_files(cli.folder) > 20
    (own_server.folder / "server.log").unlink()  # what the server itself logs is not ours
    assert assert_nothing_in_files(own_server.folder) > 10
    shown = cli.begin("ui", "--dashboard-port", str(free_port()))
    assert shown.stdout is not None
    first = shown.stdout.readline()
    assert first.split() == ["MLflow", "UI", own_server.url]
    shown.terminate()
    assert_silent(shown.communicate(timeout=GUARD_SECONDS)[0], "ui")
