"""What tracking costs training: 50 epochs of 20 metrics, sent to a real MLflow server on loopback, and kept in memory.

Two measurements. (1) The same sweep with one worker, of an MLP on four digits of MNIST (12,000 training and 2,000
validation pictures), tracked by the server and by nobody, in turns: seconds that its trials took. Both keep the files
of their trials, since these are how a trial is continued; only the sending differs. (2) The code of a worker in this
process, with a clock around everything that it does for its rows: writing them, having them on disk, telling the
driver. What remains is training.

A trial takes some seconds. With two of them what comes once for a sweep, MLflow's import and the study's run, shows:
1.026 of the time without tracking (1.002 to 1.045, 3 rounds), and with six 1.003.

    python -m benchmarks.tracking --data DIR [--rounds 3] [--trials 6] [--epochs 50]
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.results import Result, Row, benchmark_parser, timed
from sweeper.data.store import open_dataset
from sweeper.launch import attempt as attempts
from sweeper.launch.control import Control
from sweeper.launch.launcher import WorkerSlot
from sweeper.launch.messages import Attempt, EpochDone, Event, to_json
from sweeper.places import Places
from sweeper.study.study import Study
from sweeper.study.suggesters import RandomSuggester
from sweeper.sweep.api import SilentView
from sweeper.sweep.start import SweepOptions, drive, prepare
from sweeper.tracking.memory import MemoryTracker
from sweeper.tracking.outbox import OutboxWriter
from sweeper.tracking.workspace import Workspace
from tests.tracking.mlflow_server import MlflowServer

NAME = "tracked"
N_METRICS = 20
"""Loss, accuracy, balanced accuracy and AUC of two parts, accuracy of four classes in both; beside these the objective,
the learning rate, seconds, and pictures a second."""


def make_study(*, trials: int, epochs: int) -> Study:
    """A search over the learning rate alone: each trial takes the same time."""
    return Study.model_validate(
        {
            "name": NAME,
            "sampler": {"name": "random", "seed": 1},
            "budget": {"trials": trials},
            "trial": {
                "data": {"name": "mnist", "classes": ["0", "1", "2", "3"], "subset": 14_000, "validation": 2_000},
                "model": {"name": "mlp", "hidden": [128]},
                "training": {
                    "epochs": epochs,
                    "batch_size": 64,
                    "optimizer": {"name": "adam", "lr": {"float": [1e-4, 1e-2], "log": True}},
                },
            },
        }
    )


class ProblemView(SilentView):
    """Shows problems alone."""

    def message(self, text: str) -> None:
        print(text, file=sys.stderr)


def sweep_here(*, trials: int, epochs: int, tracked: bool) -> None:
    """Run a sweep in the current folder; prints the seconds that its trials were trained."""
    workspace = Workspace.from_environment()
    study = make_study(trials=trials, epochs=epochs)
    name = prepare(workspace, study)
    slots = (WorkerSlot(index=0, device="cpu", n_threads=1),)
    connect = None if tracked else MemoryTracker
    drive(workspace, name, options=SweepOptions(slots=slots), view=ProblemView(), connect=connect)
    progress = json.loads((workspace.root / ".sweeper" / name / "progress.json").read_text())
    assert progress["n_timed"] == trials
    print(progress["seconds_of_ended"])


def sweep(folder: Path, environment: dict[str, str], server: MlflowServer | None, options: argparse.Namespace) -> float:
    """Run a sweep in a process and a folder of its own; the seconds that its trials were trained."""
    folder.mkdir()
    if server is not None:
        environment = {**environment, "MLFLOW_TRACKING_URI": server.url}
    size = ["--trials", str(options.trials), "--epochs", str(options.epochs)]
    command = [sys.executable, "-m", "benchmarks.tracking", "--here", "tracked" if server else "untracked", *size]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.splitlines()[-1])


class Blocked:
    """A clock around what a worker does for its rows."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, with its seconds counted."""

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            begun = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - begun

        return wrapper


def blocked_share(environment: dict[str, str], epochs: int) -> tuple[float, int]:
    """The share of one trial's time in which its worker is held up by its rows, and how many metrics an epoch has."""
    torch.set_num_threads(1)
    clock = Blocked()
    ours, theirs = (Connection(end.detach()) for end in socket.socketpair())
    threading.Thread(target=_read_all, args=(theirs,), daemon=True).start()
    send = clock.timed(ours.send_bytes)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        workspace = Workspace.from_environment(Path(folder), environment)
        attempt = attempt_of(make_study(trials=1, epochs=epochs), Path(folder) / "trial")
        with (
            patch.object(OutboxWriter, "append", clock.timed(OutboxWriter.append)),
            patch.object(OutboxWriter, "sync", clock.timed(OutboxWriter.sync)),
            patch.object(OutboxWriter, "release", clock.timed(OutboxWriter.release)),
        ):
            begun = time.perf_counter()
            for event in events_of(attempt, workspace.places):
                send(to_json(event))
            seconds = time.perf_counter() - begun
        first = json.loads((Path(folder) / "trial" / "outbox.jsonl").read_text().splitlines()[0])
    ours.close()
    return clock.seconds / seconds, len(first["values"])


def attempt_of(study: Study, folder: Path) -> Attempt:
    """The order to train one trial of a study."""
    return Attempt(
        number=1,
        attempt=1,
        config=study.trial.draw(RandomSuggester(seed=1)).tree,
        folder=str(folder),
        metric=study.objective.metric,
        maximize=True,
        at="best",
        keep_model=True,
        prunable=False,
        checkpoint_seconds=10.0,
    )


def events_of(attempt: Attempt, places: Places) -> Iterator[Event]:
    """Train a trial in this process, as a worker does."""
    for event in attempts.run_attempt(
        attempt,
        worker=0,
        device=torch.device("cpu"),
        open_data=lambda config: open_dataset(config, cache_dir=places.cache_dir, data_dir=places.data_dir),
        control=Control(),
        places=places,
    ):
        assert isinstance(event, EpochDone) or event.how == "outcome", event  # type: ignore[union-attr]
        yield event


def _read_all(connection: Connection) -> None:
    while True:
        try:
            connection.recv_bytes()
        except (EOFError, OSError):
            return


def main() -> None:
    """Run the benchmark."""
    parser = benchmark_parser(__doc__, rounds=3)
    parser.add_argument("--data", type=Path, help="folder with torchvision's MNIST/raw; default: SWEEPER_DATA")
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--here", choices=["tracked", "untracked"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        sweep_here(trials=options.trials, epochs=options.epochs, tracked=options.here == "tracked")
        return
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    if options.data is not None:
        environment["SWEEPER_DATA"] = str(options.data.resolve())
    seconds: dict[str, list[float]] = {"server": [], "nobody": []}
    shares: list[float] = []
    with tempfile.TemporaryDirectory(prefix="sweeper-benchmark-") as name:
        folder = Path(name)
        environment["SWEEPER_CACHE"] = f"{folder}/cache"
        (folder / "server").mkdir()
        server = MlflowServer(folder / "server", n_workers=4)
        server.start()
        try:
            blocked_share(environment, 1)  # decodes the pictures
            for round_ in range(options.rounds):
                for place, tracker in (("server", server), ("nobody", None)):
                    took = sweep(folder / f"{place}-{round_}", environment, tracker, options)
                    seconds[place].append(took)
                    print(f"round {round_ + 1}, tracked by {place}: {took:.2f} s", file=sys.stderr)
                share, n_metrics = blocked_share(environment, options.epochs)
                assert n_metrics == N_METRICS, n_metrics
                shares.append(100 * share)
        finally:
            server.stop()
    ratio = median(on / off for on, off in zip(seconds["server"], seconds["nobody"], strict=True))
    on_time = f"{options.trials} trials of {options.epochs} epochs"
    rows: tuple[Row, ...] = (
        timed(
            f"{on_time}, tracked by a server",
            seconds["server"],
            ratio=ratio,
            against="tracked by nobody",
            target="ratio <= 1.02",
        ),
        timed(f"{on_time}, tracked by nobody", seconds["nobody"]),
        timed("a worker's time blocked by its rows", shares, unit="%", target="median <= 1"),
    )
    Result(title=f"Tracking: {options.epochs} epochs of {N_METRICS} metrics, MLflow over HTTP", rows=rows).publish(
        options.json
    )


if __name__ == "__main__":
    main()
