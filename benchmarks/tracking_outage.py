"""What a faulty MLflow server costs training: the same sweep tracked to SQLite; to a server that answers in 500 ms; to
one that is away for a minute, from the middle of the first trial; and to one of which each tenth answer is lost.

Claim: at most 2 % more training time. An epoch of a tiny network waits, as one on a GPU would, so that what is measured
is what a trial waits for and not who else is on the machine. Runs alternate (A B C D A B ...); printed are the medians
and the least of the seconds that the worker had trials.

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
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.proxy import FaultyProxy, FirstAndSome
from tests.sweep.studies import write_study
from tests.tracking.mlflow_server import MlflowServer

PLACES = ("sqlite", "late server", "server away", "answers lost")


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


@contextmanager
def faulty(place: str, server: MlflowServer, options: argparse.Namespace) -> Iterator[str | None]:
    """Where the runs of a sweep go; None for SQLite."""
    if place == "sqlite":
        yield None
        return
    proxy = FaultyProxy(server.port)
    ended = threading.Event()

    def go_away() -> None:
        while not proxy.n_asked["POST runs/create"] and not ended.wait(0.1):
            pass
        ended.wait(options.epoch_seconds * options.epochs / 2)
        proxy.is_down = True
        ended.wait(options.away)
        proxy.is_down = False

    helper = threading.Thread(target=go_away)
    if place == "late server":
        proxy.delay_seconds = options.delay
    elif place == "answers lost":
        proxy.drops = FirstAndSome(share=0.1, seed=1)
    else:
        helper.start()
    try:
        yield proxy.url
    finally:
        ended.set()
        if helper.ident:
            helper.join()
        proxy.close()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--epoch-seconds", type=float, default=0.1, help="least time of an epoch")
    parser.add_argument("--delay", type=float, default=0.5, help="seconds before each answer of the server")
    parser.add_argument("--away", type=float, default=60.0, help="seconds for which the server is away")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {place: [] for place in PLACES}
    with tempfile.TemporaryDirectory(prefix="sweeper-benchmark-") as name:
        folder = Path(name)
        (folder / "server").mkdir()
        server = MlflowServer(folder / "server")
        server.start()
        try:
            train(folder / "warm-up", folder / "cache", None, options)
            for round_ in range(options.rounds):
                for place in PLACES:
                    with faulty(place, server, options) as uri:
                        study = f"{place.split()[0]}-{round_}"
                        took = train(folder / study, folder / "cache", uri, options)
                    seconds[place].append(took)
                    print(f"round {round_}, {place}: {took:.2f} s", flush=True)
        finally:
            server.stop()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    medians = {place: statistics.median(values) for place, values in seconds.items()}
    for place, median in medians.items():
        least, best = min(seconds[place]), min(seconds["sqlite"])
        print(
            f"{place}: median of {options.rounds} {median:.2f} s, {median / medians['sqlite'] - 1:+.1%}; "
            f"least {least:.2f} s, {least / best - 1:+.1%}"
        )


if __name__ == "__main__":
    main()
