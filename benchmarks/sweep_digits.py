"""What a sweep costs beside its training: 200 trials of about 0.1 s each, an MLP on scikit-learn's digits (1,150
training and 287 validation pictures, 10 epochs, a grid of 25 widths and 8 batch sizes), two processes of one thread
each.

    python -m benchmarks.sweep_digits [--rounds 3] [--only sweeper,ray_tune,optuna_mlflow]

All is read from the tracked runs. A trial takes the time from the start of the first to the end of the last, times the
workers, over their number; so the start of the command does not count. A worker is idle from the end of the last epoch
of one trial to the beginning of the first epoch of the next: the messages, the files of both trials, and making the
next model count. Ray Tune has fewer trials, which are slower. It needs: pip install -e ".[bench]".
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.commands import time_in_turns
from benchmarks.peers.task import TASKS
from benchmarks.results import Result, Row, benchmark_parser, timed
from benchmarks.sweeps import (
    N_WORKERS,
    Sweep,
    Work,
    check_work,
    label,
    peer_command,
    sweeper_command,
    warm_cache,
)
from benchmarks.tracked import idle_seconds, seconds_per_trial

TASK = TASKS["digits"]
TARGETS = {"ray_tune": "ratio >= 10", "optuna_mlflow": ""}


def measure(options: argparse.Namespace) -> Result:
    def sweep(n_trials: int) -> Sweep:
        return Sweep(
            task=TASK,
            trial={
                "data": {"name": "digits", "validation": TASK.n_validation},
                "model": {"name": "mlp", "hidden": [{"choice": list(TASK.widths)}]},
            },
            n_trials=n_trials,
            n_epochs=options.epochs,
        )

    all_trials, few_trials = sweep(options.trials), sweep(options.ray_trials)
    sweeps = {"sweeper": all_trials, "ray_tune": few_trials, "optuna_mlflow": all_trials}
    chosen = options.only.split(",")
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        commands = [
            sweeper_command("sweeper", all_trials, data=None, cache=cache),
            *(peer_command(name, sweeps[name], data=None) for name in TARGETS),
        ]
        warm_cache(all_trials, data=None, cache=cache)
        timings = time_in_turns([command for command in commands if command.name in chosen], rounds=options.rounds)
    works: dict[str, list[Work]] = {name: [run.collected for run in runs] for name, runs in timings.items()}
    seconds = {
        name: [seconds_per_trial(work.runs, n_workers=N_WORKERS) for work in done] for name, done in works.items()
    }
    rows: list[Row] = []
    for name, of_trial in seconds.items():
        n_trials = sweeps[name].n_trials
        compared = name != "sweeper" and "sweeper" in seconds
        ratios = [a / b for a, b in zip(of_trial, seconds.get("sweeper", of_trial), strict=True)]
        rows.append(
            timed(
                f"{label(name)}: a trial of {n_trials}",
                of_trial,
                ratio=median(ratios) if compared else None,
                against="sweeper" if compared else "",
                target=TARGETS.get(name, "") if compared else "",
            )
        )
        rows.append(timed(f"{label(name)}: whole command, {n_trials} trials", [run.seconds for run in timings[name]]))
    idle = [idle_seconds(work.runs, n_workers=N_WORKERS) for work in works.get("sweeper", [])]
    if idle:
        between = [pause for of_round in idle for pause in of_round]
        rows.append(
            Row(
                name="sweeper: a worker idle between trials",
                median=median(between),
                n=len(between),
                target="median <= 0.02",
            )
        )
    title = f"{options.trials} trials of an MLP on digits, {options.epochs} epochs each"
    return Result(title=title, rows=tuple(rows), notes=(check_work(timings, sweeps),))


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=3)
    parser.add_argument("--epochs", type=int, default=TASK.epochs)
    parser.add_argument("--trials", type=int, default=len(TASK.grid))
    parser.add_argument("--ray-trials", type=int, default=20)
    parser.add_argument("--only", default=",".join(("sweeper", *TARGETS)), help="comma-separated; default: %(default)s")
    options = parser.parse_args()
    measure(options).publish(options.json)


if __name__ == "__main__":
    main()
