"""A sweep under a steady load of simulated workers, and what it costs each process that has a part in it.

Measuring begins some time after the first worker has a trial, when workers have released rows, and lasts a fixed time.
CPU seconds are those of whole processes; of the driver's, parts are told apart by thread and by call.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, cast
from unittest.mock import patch

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.results import rounded
from benchmarks.simulation import CHECKPOINT_SECONDS, Simulated, SimulatedLauncher, Window, searched
from sweeper.errors import SweeperError
from sweeper.launch.launcher import WorkerSlot
from sweeper.search.optimizer import Optimizer, Proposal
from sweeper.sweep import start
from sweeper.sweep.driver import Driver
from sweeper.sweep.progress import Progress
from sweeper.sweep.record import connect_tracker
from sweeper.tracking.tracker import Tracker
from sweeper.tracking.workspace import Workspace

__all__ = ["Case", "ScaleResult", "measure_case"]

WARM_UP_SECONDS = 16.0
"""A worker releases rows at its checkpoints, the first one 10 s after it began, and hundreds do not begin together."""
STOP_SECONDS = 2.0
N_EPOCHS = 100
STUDY = "load"


@dataclass(frozen=True, kw_only=True)
class Case:
    """What was measured of one load."""

    place: str
    """What the driver records in."""
    n_workers: int
    epoch_seconds: float
    """Between two reports of a worker."""
    seconds: float
    """That were measured."""
    n_reports: int
    """That were answered meanwhile."""
    wait_median_s: float
    """Of these, from the report to its answer."""
    wait_p99_s: float
    n_trials: int
    """That ended."""
    n_asked: int
    """Trials that were asked for."""
    ask_cpu_s: float
    """CPU seconds of asking."""
    recorder_cpu_s: float
    """CPU seconds of the driver's recorder."""
    n_calls: int
    """Calls of the tracker."""
    n_row_calls: int
    """Of these, those that add rows."""
    n_rows: int
    """That they added: each has all metrics of an epoch."""
    call_wait_median_s: float
    """Seconds of such a call, by the clock."""
    cores: dict[str, float]
    """By process or service: driver, PostgreSQL, MLflow, simulation. A core that is computing all the time is 1."""

    @property
    def wanted(self) -> float:
        """Reports a second, were each answered at once."""
        return self.n_workers / self.epoch_seconds

    @property
    def reports_per_second(self) -> float:
        """Reports a second that were answered."""
        return self.n_reports / self.seconds

    @property
    def rows_per_second(self) -> float:
        """Rows a second that reached the tracker."""
        return self.n_rows / self.seconds


@dataclass(frozen=True, kw_only=True)
class ScaleResult:
    """All loads that a script measured, where and when."""

    title: str
    cases: tuple[Case, ...]
    machine: str = field(default_factory=describe_machine)
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())

    def write(self, path: Path) -> None:
        """As JSON."""
        data = asdict(self)
        for case in data["cases"]:
            case["cores"] = {name: rounded(cores) for name, cores in case["cores"].items()}
        data["cases"] = [{key: rounded(value) for key, value in case.items()} for case in data["cases"]]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**data, "cases": tuple(Case(**case) for case in data["cases"])})


class ShortWindow(Window):
    """A window that does not wait for the tracker after it: what is behind when a load is too much, stays behind."""

    def update(self, progress: Progress) -> None:
        super().update(progress)
        if self.last is not None and self.driver is not None and not self.driver.is_hurried:
            self.driver.request_stop("drain", within_seconds=STOP_SECONDS)


class CountedTracker:
    """A tracker, with its calls counted while the load is measured."""

    def __init__(self, tracker: Tracker, window: Window) -> None:
        self._tracker, self._window = tracker, window
        self.n_calls = self.n_rows = 0
        self.row_waits: list[float] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._tracker, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            begun = time.monotonic()
            result = call(*args, **kwargs)
            if self._window.first is not None and self._window.last is None:
                self.n_calls += 1
                if kwargs.get("rows"):
                    self.n_rows += len(kwargs["rows"])
                    self.row_waits.append(time.monotonic() - begun)
            return result

        return counted


class Asking:
    """A clock around the questions to the optimizer, by the CPU seconds of their thread."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self.n = 0
        self.cpu_seconds = 0.0

    def timed(self, ask: Callable[[Optimizer], Proposal]) -> Callable[[Optimizer], Proposal]:
        """The question, counted while the load is measured."""

        def timed(optimizer: Optimizer) -> Proposal:
            begun = time.thread_time()
            proposal = ask(optimizer)
            if self._window.first is not None and self._window.last is None:
                self.n += 1
                self.cpu_seconds += time.thread_time() - begun
            return proposal

        return timed


def measure_case(
    place: str,
    environment: Mapping[str, str],
    services: Mapping[str, int],
    *,
    n_workers: int,
    epoch_seconds: float,
    seconds: float,
) -> Case:
    """Drive a sweep in this process under one load.

    Args:
        place: The name of what the environment leads to.
        environment: With the two databases, empty, or with the MLflow server.
        services: The first process of each service that has a part in it, by its name.
        n_workers: Simulated.
        epoch_seconds: Between two reports of a worker.
        seconds: That are measured.

    Raises:
        SystemExit: Nothing was answered in that time.
    """
    with tempfile.TemporaryDirectory(prefix="sweeper-benchmark-") as name:
        folder = Path(name)
        workspace = Workspace.from_environment(folder, environment)
        slots = tuple(WorkerSlot(index=index, device="cpu", n_threads=1) for index in range(n_workers))
        launcher = SimulatedLauncher(slots, folder=folder, epoch_seconds=epoch_seconds)
        simulated = Simulated(
            n_workers=n_workers, seconds=seconds, warm_up=WARM_UP_SECONDS, epochs=N_EPOCHS, epoch_seconds=epoch_seconds
        )
        window = ShortWindow(simulated, lambda: {**services, "simulation": launcher.pid}, lambda: float(tracker.n_rows))
        tracker = CountedTracker(cast(Tracker, None), window)
        asking = Asking(window)

        def connect() -> Tracker:
            tracker._tracker = connect_tracker(workspace)
            return cast(Tracker, tracker)

        def keep(driver: Driver) -> None:
            window.driver = driver

        study = start.prepare(workspace, searched(N_EPOCHS))
        try:
            with (
                patch.object(start, "_build_launcher", lambda *_: launcher),
                patch.object(Optimizer, "ask", asking.timed(Optimizer.ask)),
            ):
                start.drive(
                    workspace,
                    study,
                    options=start.SweepOptions(slots=slots, checkpoint_seconds=CHECKPOINT_SECONDS),
                    view=window,
                    on_driver=keep,
                    connect=connect,
                )
        except SweeperError as error:  # of the stop, after all was measured
            window.message(str(error))
        seen = json.loads(launcher.measured.read_text())
    first, last = window.first, window.last
    if first is None or last is None:
        raise SystemExit(f"{place}, {n_workers} workers: the sweep ended before it was measured")
    answers = zip(seen["waits"], seen["answered_at"], strict=True)
    waits = [wait for wait, at in answers if first.time <= at <= last.time]
    if not waits:
        raise SystemExit(f"{place}, {n_workers} workers: no report was answered within {seconds:g} s")
    took = last.time - first.time
    cores = {name: (last.cpu[name] - first.cpu[name]) / took for name in last.cpu}
    return Case(
        place=place,
        n_workers=n_workers,
        epoch_seconds=epoch_seconds,
        seconds=took,
        n_reports=len(waits),
        wait_median_s=float(np.median(waits)),
        wait_p99_s=float(np.quantile(waits, 0.99)),
        n_trials=last.n_ended - first.n_ended,
        n_asked=asking.n,
        ask_cpu_s=asking.cpu_seconds,
        recorder_cpu_s=last.threads["recorder"] - first.threads["recorder"],
        n_calls=tracker.n_calls,
        n_row_calls=len(tracker.row_waits),
        n_rows=tracker.n_rows,
        call_wait_median_s=float(np.median(tracker.row_waits)) if tracker.row_waits else 0.0,
        cores={"driver": (last.driver - first.driver) / took, **cores},
    )
