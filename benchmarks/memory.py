"""How often do the pictures lie in memory when several workers train on them? Once.

A real sweep of an MLP on all of MNIST (70,000 pictures, 52 MiB decoded) with 1, 2 and 4 workers, one after the other.
While all of them train, the kernel is asked for the proportional set size (PSS) of each of their mappings
(/proc/PID/smaps): a page that n processes map counts as an n-th in each, so that the sum over processes is what lies in
memory. Of the sums that were seen, the largest counts. Linux only.

    python -m benchmarks.memory --data DIR [--workers 1 2 4] [--rounds 1] [--epochs 3]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import psutil

from benchmarks.results import Result, Row, benchmark_parser, timed

MIB = 2**20
SAMPLE_SECONDS = 0.2


def write_study(folder: Path, *, trials: int, epochs: int, n_pictures: int | None) -> None:
    """A search over widths; with all training pictures unless told otherwise."""
    study = {
        "name": "memory",
        "sampler": "random",
        "budget": {"trials": trials},
        "trial": {
            "data": {"name": "mnist", "validation": 0.1, "subset": n_pictures},
            "model": {"name": "mlp", "hidden": [{"int": [64, 256]}]},
            "training": {"epochs": epochs, "batch_size": 128, "optimizer": {"name": "adam", "lr": 1e-3}},
        },
    }
    (folder / "memory.yaml").write_text(json.dumps(study))


def pss_bytes(smaps: str, folder: Path) -> tuple[int, int]:
    """From the text of a `smaps` file: bytes of the mappings of files below a folder, and of all mappings."""
    below = total = 0
    is_below = False
    for line in smaps.splitlines():
        field, *rest = line.split(maxsplit=5)
        if not field.endswith(":"):  # the head of a mapping: addresses, permissions, offset, device, inode, path
            is_below = len(rest) == 5 and Path(rest[4]).is_relative_to(folder)
        elif field == "Pss:":
            size = int(rest[0]) * 1024
            total += size
            below += size * is_below
    return below, total


def sample(processes: Iterable[psutil.Process], folder: Path) -> tuple[int, int, int]:
    """PSS of a folder's files and of everything, summed over processes; and how many of these map such a file."""
    below = total = n_mapping = 0
    for process in processes:
        try:
            of_data, of_all = pss_bytes(Path(f"/proc/{process.pid}/smaps").read_text(), folder)
        except (FileNotFoundError, ProcessLookupError):
            continue
        below, total, n_mapping = below + of_data, total + of_all, n_mapping + bool(of_data)
    return below, total, n_mapping


def measure(n_workers: int, folder: Path, environment: dict[str, str], options: argparse.Namespace) -> tuple[int, int]:
    """Run a sweep; the most bytes of decoded pictures, and of all that its workers have, while all had pictures."""
    folder.mkdir()
    n_trials = n_workers * options.trials
    write_study(folder, trials=n_trials, epochs=options.epochs, n_pictures=options.pictures)
    command = [sys.executable, "-m", "sweeper", "start", "memory.yaml", "--workers", str(n_workers), "--quiet"]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    cache = Path(environment["SWEEPER_CACHE"])
    of_data = of_all = 0
    while process.poll() is None:
        try:
            children = psutil.Process(process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            break
        below, total, n_mapping = sample(children, cache)
        if n_mapping == n_workers:
            of_data, of_all = max(of_data, below), max(of_all, total)
        time.sleep(SAMPLE_SECONDS)
    if process.wait():
        raise SystemExit(f"the sweep with {n_workers} workers failed")
    if not of_data:
        raise SystemExit(f"{n_workers} workers never had their pictures at once; give --epochs more")
    return of_data, of_all


def main() -> None:
    """Run the benchmark."""
    parser = benchmark_parser(__doc__, rounds=1)
    parser.add_argument("--data", type=Path, help="folder with torchvision's MNIST/raw; default: SWEEPER_DATA")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--trials", type=int, default=2, help="of each worker")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--pictures", type=int, help="of the training part; default: all 60,000")
    options = parser.parse_args()
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    if options.data is not None:
        environment["SWEEPER_DATA"] = str(options.data.resolve())
    seen: dict[int, list[tuple[int, int]]] = {n_workers: [] for n_workers in options.workers}
    with tempfile.TemporaryDirectory(prefix="sweeper-benchmark-") as name:
        environment["SWEEPER_CACHE"] = f"{name}/cache"
        measure(1, Path(name) / "first", environment, options)  # decodes the pictures, which takes memory of its own
        for round_ in range(options.rounds):
            for n_workers in options.workers:
                measured = measure(n_workers, Path(name) / f"{n_workers}-{round_}", environment, options)
                seen[n_workers].append(measured)
                print(f"{n_workers} workers: {measured[0] / MIB:.1f} MiB of pictures", file=sys.stderr)
    rows: list[Row] = []
    first = options.workers[0]
    base = median(of_data for of_data, _ in seen[first])
    for n_workers, rounds in seen.items():
        workers = f"{n_workers} worker{'s' * (n_workers > 1)}"
        of_data = [of_data / MIB for of_data, _ in rounds]
        is_base = n_workers == first
        rows.append(
            timed(
                f"pictures of {workers}",
                of_data,
                unit="MiB",
                ratio=None if is_base else median(of_data) * MIB / base,
                against="" if is_base else f"pictures of {first}",
                target="" if is_base else "ratio <= 1.05",
            )
        )
    rows += [
        timed(f"everything of {n_workers} worker{'s' * (n_workers > 1)}", [total / MIB for _, total in r], unit="MiB")
        for n_workers, r in seen.items()
    ]
    Result(
        title="Memory of several workers on one data set (PSS)",
        rows=tuple(rows),
        notes=("Everything is what the workers and the process that they are forked from have, torch included.",),
    ).publish(options.json)


if __name__ == "__main__":
    main()
