"""What asking and telling cost in a study of 5,000 trials, by TPE: sweeper's optimizer, which decides in memory and
writes behind to SQLite, and plain Optuna over SQLite with the same sampler.

Both go on with the same study of 17 parameters, some of which depend on others. Seconds are those that the caller
waits; sweeper's next trial is asked for when the last one is stored, as its driver does.

    python -m benchmarks.optimizer_cost [--trials 1000 5000] [--asks 20] [--rounds 1]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TypeVar

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage
from sqlalchemy import create_engine

from benchmarks.results import Result, Row, benchmark_parser, timed
from benchmarks.stores import insert_trials, make_study, make_trials
from sweeper.search.optimizer import Optimizer
from sweeper.search.storage import StudyStore
from sweeper.study.study import Study

T = TypeVar("T")

NAME = "many"
N_EPOCHS = 10
"""Of the trials that are there."""


def searched(n_trials: int) -> Study:
    """The space of `make_study`, searched by TPE."""
    study = make_study(NAME, n_trials=n_trials).to_json_dict()
    return Study.model_validate({**study, "sampler": {"name": "tpe", "seed": 1}})


def fill(path: Path, study: Study, n_trials: int) -> None:
    """A database with a study of so many trials."""
    store = StudyStore(f"sqlite:///{path}")
    store.create(study, n_trials=10 * n_trials)
    study_id = store.storage.get_study_id_from_name(NAME)
    made = list(make_trials(study, "0" * 32, n_trials=n_trials, n_epochs=N_EPOCHS, tags={}))
    with create_engine(store.url).begin() as connection:
        insert_trials(connection, made, study_id)


class Clock:
    """Seconds that calls took, by the wall and of CPU of this thread."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def __call__(self, call: Callable[[], T]) -> T:
        begun, cpu_begun = time.perf_counter(), time.thread_time()
        result = call()
        self.wall.append(time.perf_counter() - begun)
        self.cpu.append(time.thread_time() - cpu_begun)
        return result


def measure_sweeper(url: str, n_asks: int) -> tuple[Clock, Clock]:
    """Asking and telling through sweeper's optimizer."""
    ask, tell = Clock(), Clock()
    optimizer = Optimizer(StudyStore(url), NAME)
    for _ in range(n_asks):
        proposal = ask(optimizer.ask)
        proposal.pending.done.wait()
        tell(lambda number=proposal.number: optimizer.tell(number, "COMPLETE", 0.5))  # type: ignore[misc]
    optimizer.close()
    return ask, tell


def measure_optuna(url: str, study: Study, n_asks: int) -> tuple[Clock, Clock]:
    """The same through Optuna alone."""
    ask, tell = Clock(), Clock()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=1)
    search = optuna.load_study(study_name=NAME, storage=RDBStorage(url), sampler=sampler)

    def draw() -> optuna.Trial:
        trial = search.ask()
        study.trial.draw(trial)
        return trial

    for _ in range(n_asks):
        trial = ask(draw)
        tell(lambda trial=trial: search.tell(trial, 0.5))  # type: ignore[misc]
    return ask, tell


def main() -> None:
    """Run the benchmark."""
    parser = benchmark_parser(__doc__, rounds=1)
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--asks", type=int, default=20, help="trials asked for and told in each round")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows = [row for n_trials in options.trials for row in measure(n_trials, options)]
    Result(title="Asking and telling by TPE in a large study", rows=tuple(rows)).publish(options.json)


def measure(n_trials: int, options: argparse.Namespace) -> list[Row]:
    """Rows for a study of so many trials."""
    study = searched(n_trials)
    clocks: dict[tuple[str, str], list[Clock]] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        full = Path(folder) / "full.db"
        fill(full, study, n_trials)
        for _ in range(options.rounds):
            for tool in ("sweeper", "Optuna"):
                copy = Path(folder) / "copy.db"
                shutil.copyfile(full, copy)
                url = f"sqlite:///{copy}"
                measured = (
                    measure_sweeper(url, options.asks)
                    if tool == "sweeper"
                    else measure_optuna(url, study, options.asks)
                )
                for what, clock in zip(("asking", "telling"), measured, strict=True):
                    clocks.setdefault((what, tool), []).append(clock)
    rows = []
    for what in ("asking", "telling"):
        waits = {t: [wait for clock in clocks[what, t] for wait in clock.wall] for t in ("sweeper", "Optuna")}
        cpu = {t: median(wait for clock in clocks[what, t] for wait in clock.cpu) for t in ("sweeper", "Optuna")}
        theirs = median(waits["Optuna"])
        rows += [
            timed(
                f"{what} with {n_trials:,} trials, sweeper",
                waits["sweeper"],
                cpu_s=cpu["sweeper"],
                ratio=median(waits["sweeper"]) / theirs,
                against="plain Optuna",
                target="median <= 0.2",
            ),
            timed(f"{what} with {n_trials:,} trials, plain Optuna over SQLite", waits["Optuna"], cpu_s=cpu["Optuna"]),
        ]
    return rows


if __name__ == "__main__":
    main()
