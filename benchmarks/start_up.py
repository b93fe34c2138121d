"""How long are commands that only say something? `sweeper --help`, `status` and `best` in a workspace with a finished
study of 200 runs, beside the `--help` of tools that do similar work. Whole commands, each from the start of its process
to its end, in turns (A B C A B C ...), after a round that does not count.

    python -m benchmarks.start_up [--rounds 9] [--runs 200]
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.commands import Command, time_in_turns
from benchmarks.results import Result, Row, benchmark_parser, timed
from benchmarks.stores import fill_store, make_study
from sweeper.tracking.workspace import Workspace

NAME = "made"
OURS = {
    "sweeper --help": ("--help", 0.25),
    "sweeper status": ("status", 0.6),
    "sweeper best": (f"best {NAME}", 1.0),
}
"""Arguments, and most seconds."""
PEERS = ("mlflow", "optuna", "wandb")


def script_of(tool: str) -> str | None:
    """The command of a tool that is installed beside this Python."""
    return shutil.which(tool, path=str(Path(sys.executable).parent))


def main() -> None:
    """Run the benchmark."""
    parser = benchmark_parser(__doc__, rounds=9)
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    peers = {f"{tool} --help": script for tool in PEERS if (script := script_of(tool)) is not None}
    missing = [tool for tool in PEERS if f"{tool} --help" not in peers]
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        template = Path(folder) / "workspace"
        template.mkdir()
        environment = {"SWEEPER_CACHE": f"{folder}/cache"}
        fill_store(Workspace.from_environment(template, environment), make_study(NAME, n_trials=options.runs))
        prepare = partial(shutil.copytree, template, dirs_exist_ok=True)
        commands = [
            *(
                Command(name=name, arguments=["-m", "sweeper", *arguments.split()], prepare=prepare)
                for name, (arguments, _) in OURS.items()
            ),
            *(Command(name=name, arguments=[script, "--help"]) for name, script in peers.items()),
        ]
        time_in_turns(commands, rounds=1)  # what is compiled and read from disk for the first time
        timings = time_in_turns(commands, rounds=options.rounds)
    rows: list[Row] = []
    for name, runs in timings.items():
        row = timed(
            name,
            [run.seconds for run in runs],
            cpu_s=median(run.cpu_seconds for run in runs),
            ratio=median(run.seconds / ours.seconds for run, ours in zip(runs, timings["sweeper --help"], strict=True)),
            against="sweeper --help",
            target=f"median <= {OURS[name][1]}" if name in OURS else "",
        )
        rows.append(row)
    Result(
        title="Commands that only say something",
        rows=tuple(rows),
        notes=tuple(f"{tool} is not installed here, and was not measured." for tool in missing),
    ).publish(options.json)


if __name__ == "__main__":
    main()
