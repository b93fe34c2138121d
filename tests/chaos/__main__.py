"""The chaos table: `make chaos`, or `python -m tests.chaos --random 20 --rounds 2 --seed 1`.

Every failpoint in several rounds, kills at random moments, and the faults of `tests.faults`; after each, the accounts
of both databases are held against each other. Prints a row for each kind of fault.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.chaos.scenarios import DRIVER_FAILPOINTS, WORKER_FAILPOINTS, Outcome, kill_at, kill_at_random
from tests.faults.postgres import PostgresServer
from tests.faults.table import fault_rows
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


def main() -> None:
    """Run the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=2, help="times that each failpoint is met before it kills, from 1 up"
    )
    parser.add_argument("--only", default="", help="only rows whose title has this in it")
    parser.add_argument("--random", type=int, default=20, help="sweeps with kills at random moments")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random moments")
    options = parser.parse_args()
    rows: list[tuple[str, int, int, int, float]] = []
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="sweeper-chaos-cache-") as cache:

        def add(title: str, scenarios: Sequence[tuple[str, Callable[[CommandLine], Outcome | int]]]) -> None:
            if options.only not in title:
                return
            start, n_kills, n_failed = time.monotonic(), 0, 0
            for name, run in scenarios:
                outcome = _scenario(run, Path(cache))
                if isinstance(outcome, str):
                    n_failed += 1
                    failures.append(f"{name}: {outcome}")
                elif isinstance(outcome, int):
                    n_kills += outcome
                else:
                    n_kills += outcome.n_driver_deaths + outcome.n_worker_deaths
                sys.stderr.write("F" if isinstance(outcome, str) else ".")
                sys.stderr.flush()
            rows.append((title, len(scenarios), n_kills, n_failed, time.monotonic() - start))

        for title, names in (
            ("worker killed at a failpoint", WORKER_FAILPOINTS),
            ("driver killed at a failpoint", DRIVER_FAILPOINTS),
        ):
            add(
                title,
                [
                    (f"{name}@{nth}", lambda cli, name=name, nth=nth: kill_at(cli, name, nth=nth))  # type: ignore[misc]
                    for name in names
                    for nth in range(1, 1 + (1 if name in ONCE else options.rounds))
                ],
            )
        add(
            f"killed at random moments, seeds {options.seed} to {options.seed + options.random - 1}",
            [
                (f"seed {seed}", lambda cli, seed=seed: kill_at_random(cli, seed, n_kills=5))  # type: ignore[misc]
                for seed in range(options.seed, options.seed + options.random)
            ],
        )
        postgres = PostgresServer()
        try:
            for row in fault_rows(postgres, options.seed):
                add(row.title, row.scenarios)
        finally:
            postgres.remove()
    sys.stderr.write("\n")
    print(f"{'fault':<48} {'sweeps':>6} {'faults':>6} {'broken':>6} {'seconds':>8}")
    for title, n_sweeps, n_kills, n_failed, seconds in rows:
        print(f"{title:<48} {n_sweeps:>6} {n_kills:>6} {n_failed:>6} {seconds:>8.0f}")
    for failure in failures:
        print(f"\n{failure}")
    sys.exit(1 if failures else 0)


ONCE = ("recorder.study_opened",)
"""Failpoints that a sweep of one study passes once."""

if __name__ == "__main__":
    main()
