"""A sweep with a real driver and simulated workers: what reports wait, and which process takes the CPU meanwhile.

All of the driver is real: its loop, its optimizer, its recorder, its sockets. The workers train nothing; one process
speaks for all of them and keeps their files.

    server = PostgresServer()
    load = simulate(server, Simulated(n_workers=64, seconds=30))
    np.quantile(load.waits, 0.99), load.cores["driver"]
"""

from __future__ import annotations

import cProfile
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from unittest.mock import patch

import psutil

from benchmarks.stores import make_study
from sweeper.errors import SweeperError
from sweeper.launch.launcher import WorkerSlot
from sweeper.launch.local import LocalLauncher, _Worker
from sweeper.places import Places
from sweeper.study.study import Study
from sweeper.sweep import start
from sweeper.sweep.driver import Driver
from sweeper.sweep.progress import Progress, TrialEnded
from sweeper.tracking.workspace import Workspace
from tests.faults.postgres import PostgresServer

__all__ = ["Load", "Simulated", "searched", "simulate"]

CHECKPOINT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What is simulated."""

    n_workers: int
    seconds: float
    """That are measured."""
    warm_up: float = 0.0
    """Seconds with workers before them."""
    epochs: int = 100
    """Of a trial that is not pruned."""
    epoch_seconds: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """What was seen in the seconds that were measured."""

    waits: Sequence[float]
    """Seconds from each report of an epoch to its answer."""
    gaps: Sequence[float]
    """Seconds that workers were without a trial, from the end of one to the order for the next; of the whole sweep."""
    n_trials: int
    """That ended."""
    n_tracked: float
    """Rows of epochs that came into MLflow's database."""
    cores: Mapping[str, float]
    """CPU seconds a second of `driver`, `workers`, `postgresql` and, where there is one, `mlflow`."""
    threads: Mapping[str, float]
    """Those of the driver, by thread."""
    seconds: float


class SimulatedLauncher(LocalLauncher):
    """The launcher of local processes, with one process behind all of its sockets."""

    def __init__(self, slots: Sequence[WorkerSlot], *, folder: Path, epoch_seconds: float) -> None:
        super().__init__(slots, places=Places(cache_dir=folder, data_dir=None), log_dir=folder / "workers", fork=False)
        self.measured = folder / "measured.json"
        self.pid = 0
        self._arguments = [str(self.measured), str(epoch_seconds), str(CHECKPOINT_SECONDS)]

    def start(self) -> None:
        fds: list[int] = []
        handle = _Handle()

        def keep(fd: int, output: BinaryIO) -> _Handle:
            fds.append(os.dup(fd))
            return handle

        for slot in self.slots:
            self._add(_Worker(slot, keep, self._log_dir / f"{slot.index}.log"))
        command = [sys.executable, "-m", "benchmarks.simulated_workers", *self._arguments, *map(str, fds)]
        handle.popen = subprocess.Popen(command, pass_fds=fds)
        self.pid = handle.popen.pid
        for fd in fds:
            os.close(fd)


class _Handle:
    """The process of all workers, for each of them."""

    popen: subprocess.Popen[bytes]

    def wait(self, timeout: float | None = None) -> int | None:
        return self.popen.wait(timeout)

    def kill(self) -> None:
        self.popen.kill()


class Window:
    """A view that shows nothing, measures between two moments, and then ends the sweep.

    Args:
        simulated: How long.
        processes: By name, the processes whose CPU time counts, each with its children.
        count_rows: How many rows of epochs MLflow's database has.
    """

    def __init__(
        self, simulated: Simulated, processes: Callable[[], Mapping[str, int]], count_rows: Callable[[], float]
    ) -> None:
        self.driver: Driver | None = None
        self.messages: list[str] = []
        self.first: Moment | None = None
        self.last: Moment | None = None
        self._simulated = simulated
        self._processes = processes
        self._count_rows = count_rows
        self._trained_at: float | None = None

    def update(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._trained_at is None:
            if any(worker.state == "training" for worker in progress.workers):
                self._trained_at = now
        elif self.first is None:
            if now - self._trained_at >= self._simulated.warm_up:
                self.first = self._look(progress)
        elif self.last is None and now - self.first.time >= self._simulated.seconds:
            self.last = self._look(progress)
            assert self.driver is not None
            self.driver.request_stop("drain")

    def _look(self, progress: Progress) -> Moment:
        return Moment(
            n_ended=progress.n_ended,
            n_rows=self._count_rows(),
            cpu={name: _tree_seconds(pid) for name, pid in self._processes().items()},
            driver=time.process_time(),
            threads=_thread_seconds(),
        )

    def trial_ended(self, trial: TrialEnded) -> None:
        pass

    def message(self, text: str) -> None:
        print(text, file=sys.stderr)
        self.messages.append(text)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Where everything was at one time."""

    time: float = field(default_factory=time.monotonic)
    n_ended: int
    n_rows: float
    cpu: Mapping[str, float]
    """CPU seconds by process."""
    driver: float
    """CPU seconds of this process."""
    threads: Mapping[str, float]


def _tree_seconds(pid: int) -> float:
    """CPU seconds of a process, of its children, and of those that have ended."""
    root = psutil.Process(pid)
    seconds = 0.0
    for process in (root, *root.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def _thread_seconds() -> dict[str, float]:
    seconds = {}
    for thread in threading.enumerate():
        stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rpartition(")")[2].split()
        seconds[thread.name] = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


def searched(n_epochs: int) -> Study:
    """A search by TPE and Hyperband."""
    study = make_study("load", n_trials=1_000_000).to_json_dict()
    study["sampler"] = {"name": "tpe", "seed": 1}
    study["pruner"] = {"name": "hyperband", "min_epochs": 5}
    study["trial"]["training"]["epochs"] = n_epochs
    return Study.model_validate(study)


def simulate(
    server: PostgresServer,
    simulated: Simulated,
    *,
    mlflow: Callable[[str], tuple[str, int]] | None = None,
    profile: Path | None = None,
) -> Load:
    """One sweep, with databases of its own in `server`.

    Args:
        server: PostgreSQL.
        simulated: How many workers, and how long.
        mlflow: Starts an MLflow server on a database; returns its address and process id. Default: the driver tracks
            straight to the database.
        profile: Write a profile of the driver's main thread there.
    """
    with tempfile.TemporaryDirectory(prefix="sweeper-benchmark-") as name:
        folder = Path(name)
        databases = server.create_databases()
        environment = databases.environment()
        pids = {"postgresql": server.pid}
        if mlflow is not None:
            environment["MLFLOW_TRACKING_URI"], pids["mlflow"] = mlflow(databases.mlflow)
        workspace = Workspace.from_environment(folder, environment)
        slots = [WorkerSlot(index=index, device="cpu", n_threads=1) for index in range(simulated.n_workers)]
        launcher = SimulatedLauncher(slots, folder=folder, epoch_seconds=simulated.epoch_seconds)
        database = databases.mlflow.rpartition("/")[2]

        def count_rows() -> float:
            sql = "SELECT count(*) FROM metrics WHERE key = 'objective'"
            return float(server.execute(sql, database)[0][0])

        window = Window(simulated, lambda: {**pids, "workers": launcher.pid}, count_rows)
        study = start.prepare(workspace, searched(simulated.epochs))
        profiler = cProfile.Profile()
        begin = profiler.enable if profile else lambda: None
        try:
            with patch.object(start, "_build_launcher", lambda *_: launcher):
                start.drive(
                    workspace,
                    study,
                    options=start.SweepOptions(slots=tuple(slots), checkpoint_seconds=CHECKPOINT_SECONDS),
                    view=window,
                    on_driver=lambda driver: (setattr(window, "driver", driver), begin()),
                )
        except SweeperError as error:  # of the stop, after all was measured
            window.message(str(error))
        finally:
            if profile:
                profiler.disable()
                profiler.dump_stats(profile)
        return _load(json.loads(launcher.measured.read_text()), window)


def _load(measured: Mapping[str, list[float]], window: Window) -> Load:
    first, last = window.first, window.last
    assert first is not None, "the sweep ended before it was measured"
    assert last is not None, "the sweep ended before it was measured"
    seconds = last.time - first.time
    cores = {name: (last.cpu[name] - first.cpu[name]) / seconds for name in last.cpu}
    answers = zip(measured["waits"], measured["answered_at"], strict=True)
    return Load(
        waits=[wait for wait, moment in answers if first.time <= moment <= last.time],
        gaps=measured["gaps"],
        n_trials=last.n_ended - first.n_ended,
        n_tracked=last.n_rows - first.n_rows,
        cores={"driver": (last.driver - first.driver) / seconds, **cores},
        threads={name: (cpu - first.threads.get(name, 0.0)) / seconds for name, cpu in last.threads.items()},
        seconds=seconds,
    )
