"""What a driver carries whose two databases are in PostgreSQL: loads of simulated workers, up to where reports wait.

python -m benchmarks.driver_scale [--loads 1:1 16:1 64:1 256:1 256:0.5] [--seconds 20]
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from benchmarks.load import ScaleResult, measure_case
from benchmarks.scaling_page import cases_table
from tests.faults.postgres import PostgresServer

__all__ = ["load_of", "scale_parser"]

TITLE = "A driver with its databases in PostgreSQL"


def load_of(text: str) -> tuple[int, float]:
    """Workers and seconds between two reports of each, as in `256:0.5`.

    Raises:
        argparse.ArgumentTypeError: It is no such pair.
    """
    workers, _, seconds = text.partition(":")
    try:
        load = int(workers), float(seconds or 1)
    except ValueError:
        load = 0, 0.0
    if load[0] <= 0 or not 0 < load[1] < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not workers:seconds, such as 256:0.5")
    return load


def scale_parser(doc: str | None, *, loads: str) -> argparse.ArgumentParser:
    """The parser of a script that measures loads."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--loads",
        nargs="+",
        type=load_of,
        default=[load_of(load) for load in loads.split()],
        metavar="WORKERS:SECONDS",
        help=f"workers, and seconds between two reports of each; default: {loads}",
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="that are measured of each load")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    return parser


def main() -> None:
    """Run the benchmark."""
    options = scale_parser(__doc__, loads="1:1 16:1 64:1 256:1 256:0.5").parse_args()
    postgres = PostgresServer()
    cases = []
    try:
        for n_workers, epoch_seconds in options.loads:
            case = measure_case(
                "PostgreSQL",
                postgres.create_databases().environment(),
                {"PostgreSQL": postgres.pid},
                n_workers=n_workers,
                epoch_seconds=epoch_seconds,
                seconds=options.seconds,
            )
            print(case, file=sys.stderr)
            cases.append(case)
            if options.json is not None:  # each time: a load that breaks off loses no other
                ScaleResult(title=TITLE, cases=tuple(cases)).write(options.json)
    finally:
        postgres.remove()
    print(cases_table(cases))


if __name__ == "__main__":
    main()
