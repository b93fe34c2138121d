"""The chaos table: `make chaos`, or `python -m tests.chaos --random 20 --rounds 2 --seed 1`.

Every failpoint in several rounds, kills at random moments, and the faults of `tests.faults`; after each, the accounts
of both databases are held against each other. Prints a row for each kind of fault. With `--launcher ray` workers are on
a Ray cluster of this machine, and the faults of `tests.faults`, most of which are of databases, are left out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.chaos.scenarios import DRIVER_FAILPOINTS, WORKER_FAILPOINTS, Outcome, kill_at, kill_at_random
from tests.faults.postgres import PostgresServer
from tests.faults.table import fault_rows
from tests.launch.conftest import RayNode
from tests.sweep.conftest import CommandLine


def _scenario(run: Callable[[CommandLine], Outcome | int], cache_dir: Path) -> Outcome | int | str:
    with tempfile.TemporaryDirectory(prefix="sweeper-chaos-") as folder:
        cli = CommandLine(Path(folder), cache_dir)
        try:
            return run(cli)
        except Exception as error:  # noqa: BLE001  # the table goes on
            return f"{type(error).__name__}: {error}"
        finally:
            cli.end()


def print_row(row: Sequence[object]) -> None:
    """A line of the table, as soon as it is known."""
    title, n_sweeps, n_workers, n_drivers, n_faults, n_failed, seconds = row
    if isinstance(seconds, float):
        seconds = round(seconds)
    print(
        f"\r{title:<48} {n_sweeps:>6} {n_workers:>7} {n_drivers:>7} {n_faults:>6} {n_failed:>6} {seconds:>7}",
        flush=True,
    )


@contextmanager
def _ray_node() -> Iterator[RayNode]:
    """A Ray cluster with room for the two workers of a sweep."""
    from tests.ray_cluster import ray_cluster

    with ray_cluster() as cluster:
        yield RayNode(cluster, cluster.add_node(n_cpus=2))


def main() -> None:
    """Run the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=3, help="times that each failpoint is met before it kills, from 1 up"
    )
    parser.add_argument("--only", default="", help="only rows whose title has this in it")
    parser.add_argument("--random", type=int, default=60, help="sweeps with kills at random moments")
    parser.add_argument("--launcher", choices=("local", "ray"), default="local", help="where workers run")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random moments")
    options = parser.parse_args()
    rows: list[tuple[str, int, int, int, int, int, float]] = []
    failures: list[str] = []
    print_row(("fault", "sweeps", "workers", "drivers", "others", "broken", "seconds"))
    with tempfile.TemporaryDirectory(prefix="sweeper-chaos-cache-") as cache, ExitStack() as stack:
        on = stack.enter_context(_ray_node()) if options.launcher == "ray" else None

        def add(title: str, scenarios: Sequence[tuple[str, Callable[[CommandLine], Outcome | int]]]) -> None:
            if options.only not in title:
                return
            start, n_workers, n_drivers, n_faults, n_failed = time.monotonic(), 0, 0, 0, 0
            for name, run in scenarios:
                outcome = _scenario(run, Path(cache))
                if isinstance(outcome, str):
                    n_failed += 1
                    failures.append(f"{name}: {outcome}")
                    print(f"\r{failures[-1]}", flush=True)
                elif isinstance(outcome, int):
                    n_faults += outcome
                else:
                    n_workers += outcome.n_worker_deaths
                    n_drivers += outcome.n_driver_deaths
                sys.stderr.write("F" if isinstance(outcome, str) else ".")
                sys.stderr.flush()
            seconds = time.monotonic() - start
            rows.append((title, len(scenarios), n_workers, n_drivers, n_faults, n_failed, seconds))
            print_row(rows[-1])

        for title, names in (
            ("worker killed at a failpoint", WORKER_FAILPOINTS),
            ("driver killed at a failpoint", DRIVER_FAILPOINTS),
        ):
            add(
                title,
                [
                    (f"{name}@{nth}", lambda cli, name=name, nth=nth: kill_at(cli, name, nth=nth, on=on))  # type: ignore[misc]
                    for name in names
                    for nth in range(1, 1 + (1 if name in ONCE else options.rounds))
                ],
            )
        add(
            f"killed at random moments, seeds {options.seed} to {options.seed + options.random - 1}",
            [
                (f"seed {seed}", lambda cli, seed=seed: kill_at_random(cli, seed, n_kills=5, on=on))  # type: ignore[misc]
                for seed in range(options.seed, options.seed + options.random)
            ],
        )
        if on is None:
            postgres = PostgresServer()
            stack.callback(postgres.remove)
            for row in fault_rows(postgres, options.seed):
                add(row.title, row.scenarios)
    print_row(("all", *(sum(row[i] for row in rows) for i in range(1, 7))))
    for failure in failures:
        print(f"\n{failure}")
    sys.exit(1 if failures else 0)


ONCE = ("recorder.study_opened",)
"""Failpoints that a sweep of one study passes once."""

if __name__ == "__main__":
    main()
