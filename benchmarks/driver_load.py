"""What one driver bears: a sweep of 256 workers that each report once a second, with TPE, Hyperband and 8 parameters,
Optuna's and MLflow's databases in PostgreSQL.

All of the driver is real: its loop, its optimizer, its recorder, its sockets. The workers train nothing; one process
speaks for all of them and keeps their files. Measured are how long reports wait for their answer, from the first on,
how long workers wait for their next trial, and the CPU seconds of the driver's process while workers report. On a
machine with few cores, PostgreSQL and the simulation take theirs from the driver.

    python -m benchmarks.driver_load [--workers 256] [--seconds 60] [--epochs 100] [--rounds 1]
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeAlias
from unittest.mock import patch

import numpy as np

from benchmarks.results import Result, benchmark_parser, timed
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

CHECKPOINT_SECONDS = 10.0
Measured: TypeAlias = tuple[dict[str, list[float]], "CpuClock", int]
"""What the workers saw, what the driver took, and how many trials ended."""


class SimulatedLauncher(LocalLauncher):
    """The launcher of local processes, with one process behind all of its sockets."""

    def __init__(self, slots: Sequence[WorkerSlot], *, folder: Path, epoch_seconds: float) -> None:
        super().__init__(slots, places=Places(cache_dir=folder, data_dir=None), log_dir=folder / "workers", fork=False)
        self.measured = folder / "measured.json"
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
        for fd in fds:
            os.close(fd)


class _Handle:
    """The process of all workers, for each of them."""

    popen: subprocess.Popen[bytes]

    def wait(self, timeout: float | None = None) -> int | None:
        return self.popen.wait(timeout)

    def kill(self) -> None:
        self.popen.kill()


@dataclass
class CpuClock:
    """CPU seconds of this process and of its threads by name, between two moments."""

    begun: float = 0.0
    cpu_begun: float = 0.0
    cores: float = 0.0
    threads: dict[str, float] = field(default_factory=dict)
    """Cores by thread."""
    _before: dict[str, float] = field(default_factory=dict)

    def start(self) -> None:
        self.begun, self.cpu_begun, self._before = time.monotonic(), time.process_time(), _thread_seconds()

    def stop(self) -> None:
        seconds = time.monotonic() - self.begun
        self.cores = (time.process_time() - self.cpu_begun) / seconds
        self.threads = {name: (cpu - self._before.get(name, 0.0)) / seconds for name, cpu in _thread_seconds().items()}


def _thread_seconds() -> dict[str, float]:
    seconds = {}
    for thread in threading.enumerate():
        stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rpartition(")")[2].split()
        seconds[thread.name] = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


class StopAfter:
    """A view that shows nothing, and ends the sweep after so many seconds with workers."""

    def __init__(self, seconds: float, clock: CpuClock) -> None:
        self.driver: Driver | None = None
        self._seconds = seconds
        self._clock = clock
        self.n_ended = 0
        self.messages: list[str] = []

    def update(self, progress: Progress) -> None:
        if not self._clock.begun and any(worker.state == "training" for worker in progress.workers):
            self._clock.start()
        elif self._clock.begun and not self._clock.cores and time.monotonic() - self._clock.begun >= self._seconds:
            self._clock.stop()
            self.n_ended = progress.n_ended
            assert self.driver is not None
            self.driver.request_stop("drain")

    def trial_ended(self, trial: TrialEnded) -> None:
        pass

    def message(self, text: str) -> None:
        print(text, file=sys.stderr)
        self.messages.append(text)


def searched(n_epochs: int) -> Study:
    """A search by TPE and Hyperband."""
    study = make_study("load", n_trials=1_000_000).to_json_dict()
    study["sampler"] = {"name": "tpe", "seed": 1}
    study["pruner"] = {"name": "hyperband", "min_epochs": 5}
    study["trial"]["training"]["epochs"] = n_epochs
    return Study.model_validate(study)


def measure(server: PostgresServer, options: argparse.Namespace) -> Measured:
    """One sweep."""
    with tempfile.TemporaryDirectory(prefix="sweeper-benchmark-") as name:
        folder = Path(name)
        workspace = Workspace.from_environment(folder, server.create_databases().environment())
        slots = [WorkerSlot(index=index, device="cpu", n_threads=1) for index in range(options.workers)]
        launcher = SimulatedLauncher(slots, folder=folder, epoch_seconds=options.epoch_seconds)
        clock = CpuClock()
        view = StopAfter(options.seconds, clock)
        study = start.prepare(workspace, searched(options.epochs))
        profile = cProfile.Profile()
        begin = profile.enable if options.profile else lambda: None
        try:
            with patch.object(start, "_build_launcher", lambda *_: launcher):
                start.drive(
                    workspace,
                    study,
                    options=start.SweepOptions(slots=tuple(slots), checkpoint_seconds=CHECKPOINT_SECONDS),
                    view=view,
                    on_driver=lambda driver: (setattr(view, "driver", driver), begin()),
                )
        except SweeperError as error:  # of the stop, after all was measured
            view.message(str(error))
        finally:
            if options.profile:
                profile.disable()
                profile.dump_stats(options.profile)
        return json.loads(launcher.measured.read_text()), clock, view.n_ended


def quantiles(rounds: Sequence[Measured], what: str, share: float) -> list[float]:
    """Of the seconds that workers waited for something, in each round."""
    return [float(np.quantile(seen[what], share)) for seen, _, _ in rounds]


def main() -> None:
    """Run the benchmark."""
    parser = benchmark_parser(__doc__, rounds=1)
    parser.add_argument("--workers", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=60.0, help="that workers report before the sweep is stopped")
    parser.add_argument("--epochs", type=int, default=100, help="of a trial that is not pruned")
    parser.add_argument("--epoch-seconds", type=float, default=1.0)
    parser.add_argument("--profile", type=Path, help="write a profile of the driver's main thread there (cProfile)")
    options = parser.parse_args()
    server = PostgresServer()
    try:
        rounds = [measure(server, options) for _ in range(options.rounds)]
    finally:
        server.remove()
    if not all(seen["waits"] for seen, _, _ in rounds):
        raise SystemExit(f"no report was answered within {options.seconds:g} s; give --seconds more")
    n_reports, n_ended = sum(len(seen["waits"]) for seen, _, _ in rounds), sum(n for *_, n in rounds)
    threads = rounds[0][1].threads
    by_thread = ", ".join(f"{name} {cores:.2f}" for name, cores in sorted(threads.items(), key=lambda item: -item[1]))
    Result(
        title=f"Driver with {options.workers} workers that report each second, PostgreSQL",
        rows=(
            timed("a report waits, 99th percentile", quantiles(rounds, "waits", 0.99), target="median <= 0.1"),
            timed("a report waits, median", quantiles(rounds, "waits", 0.5)),
            timed("a report waits, longest", quantiles(rounds, "waits", 1.0)),
            *(
                timed(f"a worker waits for its next trial, {name}", quantiles(rounds, "gaps", share))
                for name, share in (("median", 0.5), ("99th percentile", 0.99))
                if all(seen["gaps"] for seen, _, _ in rounds)
            ),
            timed("the driver's CPU", [clock.cores for _, clock, _ in rounds], unit="cores", target="median <= 1"),
        ),
        notes=(
            f"{n_reports:,} reports, and {n_ended:,} trials that ended, in {options.seconds:g} s a round.",
            f"Cores of the driver by thread: {by_thread}.",
        ),
    ).publish(options.json)


if __name__ == "__main__":
    main()
