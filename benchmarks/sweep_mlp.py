"""A whole sweep against the same work by hand and with other tools: 20 trials of an MNIST MLP (12,000 training and
2,000 validation pictures, 3 epochs, a grid of 5 widths and 4 batch sizes), two processes of one thread each.

    python -m benchmarks.sweep_mlp --data DIR [--rounds 3] [--only sweeper,bare_loop,...]

The peers need Ray: pip install -e ".[bench]".
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.commands import Command, medians_table, time_in_turns
from benchmarks.machine import describe_machine
from benchmarks.peers.grid import BATCH_SIZES, LEARNING_RATE, WIDTHS

PEERS = ("bare_loop", "optuna_mlflow", "tutorial", "ray_tune")


def write_study(folder: Path, epochs: int, trials: int) -> None:
    """The same sweep as a study file."""
    study = {
        "name": "mlp",
        "objective": {"metric": "val/accuracy"},
        "sampler": "grid",
        "budget": {"trials": trials},
        "trial": {
            "data": {"name": "mnist", "subset": 14_000, "validation": 2_000},
            "model": {"name": "mlp", "hidden": [{"choice": WIDTHS}]},
            "training": {
                "epochs": epochs,
                "batch_size": {"choice": BATCH_SIZES},
                "optimizer": {"name": "adam", "lr": LEARNING_RATE},
            },
        },
    }
    (folder / "mlp.yaml").write_text(json.dumps(study))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with torchvision's MNIST/raw")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--only", default=",".join(("sweeper", *PEERS)), help="comma-separated")
    options = parser.parse_args()
    data = options.data.resolve()
    size = ["--epochs", str(options.epochs), "--trials", str(options.trials)]
    commands = [
        Command(
            name="sweeper",
            arguments=["-m", "sweeper", "start", "mlp.yaml", "--workers", "2"],
            environment={"SWEEPER_DATA": str(data)},
            prepare=lambda folder: write_study(folder, options.epochs, options.trials),
        ),
        *(Command(name=p, arguments=["-m", f"benchmarks.peers.{p}", "--data", str(data), *size]) for p in PEERS),
    ]
    chosen = options.only.split(",")
    timings = time_in_turns([command for command in commands if command.name in chosen], rounds=options.rounds)
    print(describe_machine(), end="\n\n")
    print(medians_table(timings, against="bare_loop" if "bare_loop" in chosen else chosen[0]))
    for timing in timings.get("bare_loop", []):
        print(f"\nbare_loop, {timing.output.strip()}", end="")
    print()


if __name__ == "__main__":
    main()
