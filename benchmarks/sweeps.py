"""Whole sweeps with sweeper and with its peers: the same grid, the same numbers of epochs and pictures."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.commands import Command, Timing, median_ratio, run_once, time_in_turns
from benchmarks.peers.task import LEARNING_RATE, Task
from benchmarks.results import Result, Row, timed
from benchmarks.tracked import TrackedRun, read_runs

__all__ = ["Sweep", "Work", "add_sweep_options", "check_work", "peer_command", "race", "sweeper_command", "warm_cache"]

N_WORKERS = 2
OURS = ("sweeper", "sweeper_first")
LABELS = {"sweeper_first": "sweeper, nothing cached"}


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What is swept, and how much of it."""

    task: Task
    trial: Mapping[str, Any]
    """`data` and `model` of the study file."""
    n_trials: int
    n_epochs: int

    def study(self, *, n_trials: int, n_epochs: int) -> dict[str, Any]:
        """The study as plain data."""
        return {
            "name": self.task.name,
            "objective": {"metric": "val/accuracy"},
            "sampler": "grid",
            "budget": {"trials": n_trials},
            "trial": {
                **self.trial,
                "training": {
                    "epochs": n_epochs,
                    "batch_size": {"choice": list(self.task.batch_sizes)},
                    "optimizer": {"name": "adam", "lr": LEARNING_RATE},
                },
            },
        }


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a command has done."""

    n_trials: int
    n_epochs: int
    """Of all trials together."""
    best_accuracy: float
    """On the validation part."""
    runs: Sequence[TrackedRun] = ()
    """As they are tracked; none for a bare loop."""
    training_s: float | None = None
    """Seconds of training alone, of the process that trained longest; measured by a bare loop."""


def sweeper_command(name: str, sweep: Sweep, *, data: Path | None, cache: Path | None = None) -> Command:
    """`sweeper start` with two workers.

    Args:
        name: Its name in the table.
        sweep: What is swept.
        data: The folder with data sets.
        cache: What earlier sweeps have kept; default: nothing.
    """

    def write_study(folder: Path) -> None:
        study = sweep.study(n_trials=sweep.n_trials, n_epochs=sweep.n_epochs)
        (folder / "study.yaml").write_text(json.dumps(study))

    return Command(
        name=name,
        arguments=["-m", "sweeper", "start", "study.yaml", "--workers", str(N_WORKERS)],
        environment={
            **({} if data is None else {"SWEEPER_DATA": str(data)}),
            **({} if cache is None else {"SWEEPER_CACHE": str(cache)}),
        },
        prepare=write_study,
        collect=_collect,
    )


def warm_cache(sweep: Sweep, *, data: Path | None, cache: Path) -> None:
    """Have `cache` hold what a user's first sweep leaves there: decoded pictures and an empty MLflow database."""
    first = Sweep(task=sweep.task, trial=sweep.trial, n_trials=1, n_epochs=1)
    run_once(sweeper_command("first sweep", first, data=data, cache=cache))


def peer_command(name: str, sweep: Sweep, *, data: Path | None) -> Command:
    """One of the modules in `benchmarks.peers`."""
    return Command(
        name=name,
        arguments=[
            *("-m", f"benchmarks.peers.{name}", "--task", sweep.task.name, "--workers", str(N_WORKERS)),
            *("--epochs", str(sweep.n_epochs), "--trials", str(sweep.n_trials)),
            *(() if data is None else ("--data", str(data))),
        ],
        environment={"OMP_NUM_THREADS": "1"},
        collect=_collect,
    )


def _collect(folder: Path, output: str) -> Work:
    database = folder / "mlflow.db"
    if not database.exists():  # a bare loop says it
        return Work(**json.loads(output.splitlines()[-1]))
    runs = read_runs(database)
    return Work(
        n_trials=len(runs),
        n_epochs=sum(run.n_epochs for run in runs),
        best_accuracy=max((run.best_accuracy for run in runs), default=0.0),
        runs=runs,
    )


def check_work(timings: Mapping[str, Sequence[Timing]], sweeps: Mapping[str, Sweep]) -> str:
    """See that each command has done the work of its sweep; says how accurate the best trial of each was.

    Raises:
        SystemExit: One has not.
    """
    said = []
    for name, runs in timings.items():
        sweep, done = sweeps[name], [timing.collected for timing in runs]
        wanted = (sweep.n_trials, sweep.n_trials * sweep.n_epochs)
        for work in done:
            if (work.n_trials, work.n_epochs) != wanted:
                sys.exit(f"{name}: {work.n_trials} trials with {work.n_epochs} epochs in all; wanted: {wanted}")
        said.append(f"{label(name)} {median(work.best_accuracy for work in done):.3f}")
    return f"Best accuracy on the validation part: {', '.join(said)}."


def timed_rows(timings: Mapping[str, Sequence[Timing]], targets: Mapping[str, tuple[str, str]]) -> list[Row]:
    """One row for each command; `targets` has the one that it is compared with, and what is wanted of the ratio."""
    rows = []
    for name, runs in timings.items():
        against, target = targets.get(name, ("", ""))
        compared = against in timings
        rows.append(
            timed(
                label(name),
                [run.seconds for run in runs],
                cpu_s=median(run.cpu_seconds for run in runs),
                ratio=median_ratio(runs, timings[against]) if compared else None,
                against=label(against) if compared else "",
                target=target if compared else "",
            )
        )
    return rows


def label(name: str) -> str:
    """The name of a command as the table has it."""
    return LABELS.get(name, name.replace("_", " "))


def add_sweep_options(parser: argparse.ArgumentParser, task: Task, peers: Sequence[str]) -> None:
    """The size of a sweep, and who takes part."""
    parser.add_argument("--epochs", type=int, default=task.epochs)
    parser.add_argument("--trials", type=int, default=len(task.grid))
    parser.add_argument("--only", default=",".join((*OURS, *peers)), help="comma-separated; default: %(default)s")


def race(
    sweep: Sweep,
    options: argparse.Namespace,
    *,
    title: str,
    peers: Sequence[str],
    targets: Mapping[str, tuple[str, str]],
    data: Path,
    peer_data: Path,
) -> Result:
    """Time the whole commands of sweeper and its peers in turns.

    Args:
        sweep: What is swept.
        options: From `add_sweep_options`, and `rounds`.
        title: Of the result.
        peers: Modules in `benchmarks.peers`.
        targets: As for `timed_rows`.
        data: The folder with data sets, for sweeper.
        peer_data: The same for the peers.
    """
    chosen = options.only.split(",")
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        commands = [
            sweeper_command("sweeper", sweep, data=data, cache=cache),
            sweeper_command("sweeper_first", sweep, data=data),
            *(peer_command(name, sweep, data=peer_data) for name in peers),
        ]
        commands = [command for command in commands if command.name in chosen]
        if "sweeper" in chosen:
            warm_cache(sweep, data=data, cache=cache)
        timings = time_in_turns(commands, rounds=options.rounds)
    notes = [check_work(timings, dict.fromkeys(timings, sweep))]
    rows = timed_rows(timings, targets)
    alone = [timing.collected.training_s for timing in timings.get("bare_loop", [])]
    if alone:
        rows.append(timed("bare loop, training alone", alone))
    return Result(title=title, rows=tuple(rows), notes=tuple(notes))
