"""What an MLflow server of one and of several processes carries, its database in PostgreSQL, recorded in by a driver of
simulated workers.

    python -m benchmarks.server_scale [--processes 1 2] [--loads 1:1 16:1 64:1 256:1] [--seconds 20]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.driver_scale import scale_parser
from benchmarks.load import ScaleResult, measure_case
from benchmarks.scaling_page import cases_table
from tests.faults.postgres import PostgresServer
from tests.tracking.mlflow_server import MlflowServer

TITLE = "An MLflow server with its database in PostgreSQL"


def main() -> None:
    """Run the benchmark."""
    parser = scale_parser(__doc__, loads="1:1 16:1 64:1 256:1")
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2], help="of the MLflow server")
    options = parser.parse_args()
    postgres = PostgresServer()
    cases = []
    try:
        for n_processes in options.processes:
            for n_workers, epoch_seconds in options.loads:
                databases = postgres.create_databases()
                with tempfile.TemporaryDirectory(prefix="sweeper-benchmark-") as folder:
                    server = MlflowServer(Path(folder), n_workers=n_processes, database_url=databases.mlflow)
                    try:
                        server.start()
                        assert server.pid is not None
                        case = measure_case(
                            f"MLflow server, {n_processes} process{'es' if n_processes > 1 else ''}",
                            databases.environment() | {"MLFLOW_TRACKING_URI": server.url},
                            {"PostgreSQL": postgres.pid, "MLflow": server.pid},
                            n_workers=n_workers,
                            epoch_seconds=epoch_seconds,
                            seconds=options.seconds,
                        )
                    finally:
                        server.stop()
                print(case, file=sys.stderr)
                cases.append(case)
                if options.json is not None:  # each time: a load that breaks off loses no other
                    ScaleResult(title=TITLE, cases=tuple(cases)).write(options.json)
    finally:
        postgres.remove()
    print(cases_table(cases))


if __name__ == "__main__":
    main()
