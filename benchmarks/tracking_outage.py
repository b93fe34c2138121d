"""What a slow MLflow server costs training: the same sweep tracked to SQLite and to a server that answers in 500 ms.

Claim: at most 2 % more training time. An epoch of a tiny network waits, as one on a GPU would, so that what is measured
is what a trial waits for and not who else is on the machine. Runs alternate (A B A B ...); printed are the medians of
the seconds that the worker had trials.

    python -m benchmarks.tracking_outage [--rounds 3] [--trials 2] [--epochs 60] [--epoch-seconds 0.1]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.faults.proxy import FaultyProxy
from tests.sweep.studies import write_study
from tests.tracking.mlflow_server import MlflowServer


def train(folder: Path, cache: Path, tracking_uri: str | None, options: argparse.Namespace) -> float:
    """Run one sweep; returns the seconds that its trials were trained."""
    folder.mkdir()
    study = write_study(folder, folder.name, trials=options.trials, epochs=options.epochs, batch_size=512)
    environment = {**os.environ, "SWEEPER_CACHE": str(cache)}
    environment["SWEEPER_FAILPOINTS"] = f"attempt.epoch_sent=sleep:{options.epoch_seconds}@*"
    environment.pop("MLFLOW_TRACKING_URI", None)
    if tracking_uri:
        environment["MLFLOW_TRACKING_URI"] = tracking_uri
    command = [sys.executable, "-m", "sweeper", "start", str(study), "--workers", "1", "--quiet"]
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    progress = json.loads((folder / ".sweeper" / folder.name / "progress.json").read_text())
    assert progress["n_timed"] == options.trials
    return float(progress["seconds_of_ended"])


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--epoch-seconds", type=float, default=0.1, help="least time of an epoch")
    parser.add_argument("--delay", type=float, default=0.5, help="seconds before each answer of the server")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {"sqlite": [], "late server": []}
    with tempfile.TemporaryDirectory(prefix="sweeper-benchmark-") as name:
        folder = Path(name)
        (folder / "server").mkdir()
        server = MlflowServer(folder / "server")
        server.start()
        proxy = FaultyProxy(server.port)
        proxy.delay_seconds = options.delay
        try:
            train(folder / "warm-up", folder / "cache", None, options)
            for round_ in range(options.rounds):
                for place, uri in (("sqlite", None), ("late server", proxy.url)):
                    study = f"{place.split()[0]}-{round_}"
                    took = train(folder / study, folder / "cache", uri, options)
                    seconds[place].append(took)
                    print(f"round {round_}, {place}: {took:.2f} s", flush=True)
        finally:
            proxy.close()
            server.stop()
    medians = {place: statistics.median(values) for place, values in seconds.items()}
    slower = medians["late server"] / medians["sqlite"] - 1
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"medians of {options.rounds}: {medians}; tracked to a late server {slower:+.1%}")


if __name__ == "__main__":
    main()
