"""What one driver bears: a sweep of 256 workers that each report once a second, with TPE, Hyperband and 8 parameters,
Optuna's and MLflow's databases in PostgreSQL.

All of the driver is real, the workers are simulated (`benchmarks.simulation`). Measured are how long reports wait for
their answer, from the first on, how long workers wait for their next trial, and the CPU seconds of the driver's process
while workers report. On a machine with few cores, PostgreSQL and the simulation take theirs from the driver.

    python -m benchmarks.driver_load [--workers 256] [--seconds 60] [--epochs 100] [--rounds 1]
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.results import Result, benchmark_parser, timed
from benchmarks.simulation import Load, Simulated, simulate
from tests.faults.postgres import PostgresServer


def quantiles(waits: Sequence[Sequence[float]], share: float) -> list[float]:
    """Of what workers waited, in each round."""
    return [float(np.quantile(seen, share)) for seen in waits]


def main() -> None:
    """Run the benchmark."""
    parser = benchmark_parser(__doc__, rounds=1)
    parser.add_argument("--workers", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=60.0, help="that workers report before the sweep is stopped")
    parser.add_argument("--epochs", type=int, default=100, help="of a trial that is not pruned")
    parser.add_argument("--epoch-seconds", type=float, default=1.0)
    parser.add_argument("--profile", type=Path, help="write a profile of the driver's main thread there (cProfile)")
    options = parser.parse_args()
    simulated = Simulated(
        n_workers=options.workers,
        seconds=options.seconds,
        epochs=options.epochs,
        epoch_seconds=options.epoch_seconds,
    )
    server = PostgresServer()
    try:
        rounds = [simulate(server, simulated, profile=options.profile) for _ in range(options.rounds)]
    finally:
        server.remove()
    if not all(load.waits for load in rounds):
        raise SystemExit(f"no report was answered within {options.seconds:g} s; give --seconds more")
    publish(rounds, simulated, options.json)


def publish(rounds: Sequence[Load], simulated: Simulated, path: Path | None) -> None:
    """Print what was measured, and write it."""
    waits, gaps = [load.waits for load in rounds], [load.gaps for load in rounds]
    n_reports, n_ended = sum(map(len, waits)), sum(load.n_trials for load in rounds)
    threads = sorted(rounds[0].threads.items(), key=lambda item: -item[1])
    by_thread = ", ".join(f"{name} {cores:.2f}" for name, cores in threads)
    Result(
        title=f"Driver with {simulated.n_workers} workers that report each second, PostgreSQL",
        rows=(
            timed("a report waits, 99th percentile", quantiles(waits, 0.99), target="median <= 0.1"),
            timed("a report waits, median", quantiles(waits, 0.5)),
            timed("a report waits, longest", quantiles(waits, 1.0)),
            *(
                timed(f"a worker waits for its next trial, {name}", quantiles(gaps, share))
                for name, share in (("median", 0.5), ("99th percentile", 0.99))
                if all(gaps)
            ),
            timed("the driver's CPU", [load.cores["driver"] for load in rounds], unit="cores", target="median <= 1"),
        ),
        notes=(
            f"{n_reports:,} reports, and {n_ended:,} trials that ended, in {simulated.seconds:g} s a round.",
            f"Cores of the driver by thread: {by_thread}.",
        ),
    ).publish(path)


if __name__ == "__main__":
    main()
