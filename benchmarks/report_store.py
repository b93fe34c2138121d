"""How long do `sweeper report`, `best` and `runs` take on a large store, and how much memory?

A study of 1,000 runs, each of 50 epochs of 20 metrics, in MLflow's SQLite database, in PostgreSQL (from the package
`pgserver`), and behind an MLflow server on loopback with MLflow's default of four workers, artifacts included. Measured
are whole commands, from the start of the process to its end: wall clock, CPU seconds of the command (and of the
server), peak resident memory. Each round runs all commands in all places one after another, A B C A B C ..., after one
that is thrown away; printed are medians. All places must give the same report, byte for byte.

    python -m benchmarks.report_store [--runs 1000] [--rounds 5] [--places sqlite postgresql server]
    python -m benchmarks.report_store --runs 10000 --rounds 3 --places sqlite postgresql
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.results import Result, Row, benchmark_parser, timed
from benchmarks.stores import fill_store, make_study
from sweeper.tracking.workspace import Workspace
from tests.faults.postgres import PostgresServer
from tests.tracking.mlflow_server import MlflowServer

NAME = "made"
COMMANDS = {"report": ("--out", "report"), "best": (), "runs": ()}
BUDGETS = {
    ("report", 1000, "sqlite"): (10.0, 1024),
    ("report", 1000, "postgresql"): (10.0, 1024),
    ("report", 1000, "server"): (30.0, None),
    ("report", 10000, "sqlite"): (90.0, None),
    ("report", 10000, "postgresql"): (90.0, None),
    ("best", 1000, "sqlite"): (1.0, None),
    ("best", 1000, "postgresql"): (1.0, None),
    ("runs", 1000, "sqlite"): (1.0, None),
    ("runs", 1000, "postgresql"): (1.0, None),
}
"""By command, runs and place: most seconds, most MiB."""


@dataclass(frozen=True, kw_only=True)
class Store:
    """A study in one place."""

    folder: Path
    environment: dict[str, str]
    server: MlflowServer | None = None

    def server_seconds(self) -> float:
        """CPU seconds of the server so far."""
        if self.server is None or self.server.pid is None:
            return 0.0
        process = psutil.Process(self.server.pid)
        return sum(sum(p.cpu_times()[:2]) for p in (process, *process.children(recursive=True)))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One command."""

    seconds: float
    cpu_seconds: float
    server_cpu_seconds: float
    peak_mib: float


@contextmanager
def made(place: str, folder: Path, n_runs: int) -> Iterator[Store]:
    """A store of a study with so many runs."""
    folder.mkdir()
    study = make_study(NAME, n_trials=n_runs)
    with ExitStack() as stack:
        environment, database_url, artifacts, server = {}, None, None, None
        if place == "postgresql":
            postgres = PostgresServer()
            stack.callback(postgres.remove)
            environment = {"MLFLOW_TRACKING_URI": postgres.create_database("mlflow")}
        elif place == "server":
            (folder / "server").mkdir()
            server = MlflowServer(folder / "server", n_workers=4)
            stack.callback(server.stop)
            server.start()
            environment = {"MLFLOW_TRACKING_URI": server.url}
            database_url, artifacts = server.database_url, folder / "server" / "artifacts"
        begun = time.perf_counter()
        workspace = Workspace.from_environment(folder, environment)
        fill_store(workspace, study, database_url=database_url, artifacts=artifacts, with_optuna=n_runs <= 1000)
        print(f"{place}: {n_runs:,} runs made in {time.perf_counter() - begun:.0f} s", flush=True)
        yield Store(folder=folder, environment=environment, server=server)


def measure(command: str, store: Store) -> Measured:
    """Run a command to its end."""
    drop = ("MLFLOW_TRACKING_URI", "SWEEPER_STORAGE")
    environment = {key: value for key, value in os.environ.items() if key not in drop} | store.environment
    server_before, begun = store.server_seconds(), time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "sweeper", command, NAME, *COMMANDS[command]],
        cwd=store.folder,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"`sweeper {command}` ended with {process.returncode}"
    return Measured(
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        server_cpu_seconds=store.server_seconds() - server_before,
        peak_mib=usage.ru_maxrss / 1024,
    )


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a report."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows_of(results: dict[tuple[str, str], list[Measured]], n_runs: int) -> list[Row]:
    """What each command took in each place; of those that keep to a bound of memory, that too."""
    rows = []
    for (command, place), rounds in results.items():
        name = f"`sweeper {command}`, {place}"
        most, most_mib = BUDGETS.get((command, n_runs, place), (None, None))
        cpu_s = statistics.median(measured.cpu_seconds + measured.server_cpu_seconds for measured in rounds)
        target = "" if most is None else f"median <= {most}"
        rows.append(timed(name, [measured.seconds for measured in rounds], cpu_s=cpu_s, target=target))
        peaks = [measured.peak_mib for measured in rounds]
        target = "" if most_mib is None else f"median <= {most_mib}"
        rows.append(timed(f"{name}: peak memory", peaks, unit="MiB", target=target))
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = benchmark_parser(__doc__, rounds=5)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--places", nargs="+", default=["sqlite", "postgresql", "server"], metavar="PLACE")
    options = parser.parse_args()
    results: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="sweeper-benchmark-") as name, ExitStack() as stack:
        stores = {p: stack.enter_context(made(p, Path(name) / p, options.runs)) for p in options.places}
        for round_ in range(1 + options.rounds):
            for command in COMMANDS:
                for place, store in stores.items():
                    measured = measure(command, store)
                    print(f"round {round_}, {command}, {place}: {measured.seconds:.2f} s", flush=True)
                    if round_:
                        results[command, place].append(measured)
        reports = [contents(store.folder / "report") for store in stores.values()]
        assert all(report == reports[0] for report in reports), "the places give different reports"
    n_files, n_bytes = len(reports[0]), sum(map(len, reports[0].values()))
    Result(
        title=f"Reports of a study of {options.runs:,} runs, each of 50 epochs of 20 metrics",
        rows=tuple(rows_of(results, options.runs)),
        notes=(
            f"The reports have the same bytes from all places: {n_files} files, {n_bytes / 2**20:.1f} MiB.",
            "CPU seconds are of the command, and of the server where there is one.",
        ),
    ).publish(options.json)


if __name__ == "__main__":
    main()
