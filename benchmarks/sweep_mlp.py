"""A whole sweep against the same work by hand and with other tools: 20 trials of an MNIST MLP (12,000 training and
2,000 validation pictures, 3 epochs, a grid of 5 widths and 4 batch sizes), two processes of one thread each.

    python -m benchmarks.sweep_mlp --data DIR [--rounds 3] [--only sweeper,bare_loop,...]

"sweeper" finds in its cache what a user's first sweep leaves there; with "nothing cached" it finds nothing. The peers
need Ray: pip install -e ".[bench]".
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.peers.task import TASKS
from benchmarks.results import Result, benchmark_parser
from benchmarks.sweeps import Sweep, add_sweep_options, race

TASK = TASKS["mlp"]
PEERS = ("bare_loop", "optuna_mlflow", "tutorial", "ray_tune")
TARGETS = {
    "sweeper": ("bare_loop", "ratio <= 1.1"),
    "sweeper_first": ("bare_loop", ""),
    "optuna_mlflow": ("sweeper", ""),
    "tutorial": ("sweeper", "ratio >= 3.5"),
    "ray_tune": ("sweeper", "ratio >= 3.5"),
}


def measure(options: argparse.Namespace) -> Result:
    sweep = Sweep(
        task=TASK,
        trial={
            "data": {"name": "mnist", "subset": TASK.n_train + TASK.n_validation, "validation": TASK.n_validation},
            "model": {"name": "mlp", "hidden": [{"choice": list(TASK.widths)}]},
        },
        n_trials=options.trials,
        n_epochs=options.epochs,
    )
    data = options.data.resolve()
    title = f"{sweep.n_trials} trials of an MNIST MLP, whole commands"
    return race(sweep, options, title=title, peers=PEERS, targets=TARGETS, data=data, peer_data=data)


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=3)
    parser.add_argument("--data", type=Path, required=True, help=TASK.data)
    add_sweep_options(parser, TASK, PEERS)
    options = parser.parse_args()
    measure(options).publish(options.json)


if __name__ == "__main__":
    main()
