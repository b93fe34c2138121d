"""Workspaces with empty databases, the command line in them, and one finished sweep for all who only read."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from filelock import FileLock

from sweeper.cli.main import main
from sweeper.tracking.workspace import Workspace
from tests.sweep.studies import LR, write_study
from tests.tracking.mlflow_server import MlflowServer
from tests.tracking.templates import copy_mlflow_db, shared_folder

GUARD_SECONDS = 180.0
INLINE = ("--launcher", "inline", "--devices", "cpu")
"""Options with which a sweep needs no process but that of the command."""


class CommandLine:
    """`sweeper` in a folder."""

    def __init__(self, folder: Path, cache_dir: Path) -> None:
        self.folder = folder
        drop = ("MLFLOW_TRACKING_URI", "SWEEPER_STORAGE", "SWEEPER_DATA")
        self.environment = {key: value for key, value in os.environ.items() if key not in drop}
        self.environment |= {"SWEEPER_CACHE": str(cache_dir), "PYTHONUNBUFFERED": "1"}
        self.prefix: tuple[str, ...] = ()
        """Words before the command of a process, such as those that give it another host name."""
        self._begun: list[subprocess.Popen[str]] = []

    def slow_down(self, seconds: float) -> None:
        """Have each epoch take so much longer: a sweep must not end before something is done to it."""
        self.environment["SWEEPER_FAILPOINTS"] = f"attempt.epoch_sent=sleep:{seconds}@*"

    def hold(self) -> None:
        """Have each worker wait in its second epoch until `release`: a sweep must not end before something is done to
        it, and need not take any longer."""
        self.environment["SWEEPER_FAILPOINTS"] = f"attempt.epoch_sent=until:{self._released}@2"

    def release(self) -> None:
        """Have workers go on, those too that begin later."""
        self._released.touch()

    @property
    def _released(self) -> Path:
        return self.folder / ".released"

    def begin(self, *arguments: str, log: Path | None = None) -> subprocess.Popen[str]:
        """Start a command in a session of its own, as from another terminal; its output goes to a pipe, or to a log."""
        with ExitStack() as stack:
            process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "sweeper", *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=stack.enter_context(log.open("ab")) if log else subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self._begun.append(process)
        return process

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        """Run a command to its end; returns what it printed."""
        process = self.begin(*arguments)
        output, _ = process.communicate(timeout=GUARD_SECONDS)
        assert process.returncode == exit_code, f"exit code {process.returncode}:\n{output}"
        return output

    def call(self, *arguments: str, exit_code: int | None = 0) -> str:
        """Run a command that starts no sweep, in this process, which has all imports done; returns what it printed.

        With `exit_code=None`, any code but 0 will do.
        """
        output = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(output):
            patch.chdir(self.folder)
            patch.setattr(os, "environ", self.environment)
            patch.setattr(sys, "argv", ["sweeper", *arguments])
            with pytest.raises(SystemExit) as ended:
                sys.exit(main())
        code = ended.value.code or 0
        assert code == exit_code or (exit_code is None and code != 0), (
            f"exit code {ended.value.code}:\n{output.getvalue()}"
        )
        return output.getvalue()

    def end(self) -> None:
        """End what is left."""
        for process in self._begun:
            if process.poll() is None:
                process.kill()
                process.wait()
        for process in psutil.process_iter(["cwd", "cmdline"]):  # drivers in the background
            if process.info["cwd"] == str(self.folder) and "sweeper" in " ".join(process.info["cmdline"] or ()):
                process.kill()


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for something that must happen; returns it."""
    deadline = time.monotonic() + GUARD_SECONDS
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"waited {GUARD_SECONDS:.0f} s for {what}")


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The worker processes of a driver."""
    try:
        children = psutil.Process(process.pid).children()
        nurseries = [child for child in children if "sweeper.launch.nursery" in " ".join(child.cmdline())]
        return [worker for nursery in nurseries for worker in nursery.children()]
    except psutil.NoSuchProcess:
        return []


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C."""
    process.send_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of several test processes would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where decoded data sets go."""
    folder = shared_folder(tmp_path_factory) / "cache"
    folder.mkdir(exist_ok=True)
    return folder


def prepare_folder(factory: pytest.TempPathFactory, folder: Path) -> None:
    """Put empty databases into a folder: migrations take seconds."""
    copy_mlflow_db(factory, folder)
    template = shared_folder(factory) / "template" / "optuna.db"
    template.parent.mkdir(exist_ok=True)
    with FileLock(template.with_suffix(".lock")):
        if not template.exists():
            from sweeper.search.storage import StudyStore

            StudyStore(f"sqlite:///{template.with_name('unfinished-optuna.db')}")
            template.with_name("unfinished-optuna.db").replace(template)
    shutil.copy(template, folder / "optuna.db")


@pytest.fixture
def folder(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace's folder, with a space in its name."""
    path = tmp_path / "my sweeps"
    path.mkdir()
    prepare_folder(tmp_path_factory, path)
    return path


@pytest.fixture
def cli(folder: Path, cache_dir: Path) -> Iterator[CommandLine]:
    """The command line in that folder."""
    command_line = CommandLine(folder, cache_dir)
    yield command_line
    command_line.end()


@pytest.fixture
def workspace(folder: Path, cache_dir: Path) -> Workspace:
    """That folder from Python."""
    return open_workspace(folder, cache_dir)


def open_workspace(folder: Path, cache_dir: Path, environ: Mapping[str, str] | None = None) -> Workspace:
    return Workspace.from_environment(folder, {"SWEEPER_CACHE": str(cache_dir), **(environ or {})})


@pytest.fixture
def own_server(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """An MLflow server that the test may stop and start; not yet started."""
    place = tmp_path / "server"
    place.mkdir()
    copy_mlflow_db(tmp_path_factory, place)
    server = MlflowServer(place)
    yield server
    server.stop()


FINISHED: dict[str, Any] = {
    "trials": 8,
    "epochs": 3,
    "batch_size": {"choice": [64, 128]},
    "keep_models": 2,
    "sampler": {"name": "tpe", "seed": 1, "n_startup_trials": 4},
    "description": "Bird's eye view",
    "training": {
        "optimizer": {
            "choice": [{"name": "adam", "lr": LR}, {"name": "sgd", "lr": LR, "momentum": {"float": [0.0, 0.9]}}]
        }
    },
}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> CommandLine:
    """A finished sweep of two workers, for tests that change nothing."""
    folder = tmp_path_factory.mktemp("finished")
    prepare_folder(tmp_path_factory, folder)
    command_line = CommandLine(folder, cache_dir)
    command_line.run("start", str(write_study(folder, **FINISHED)), "--workers", "2")
    return command_line
