"""The options that all of them have."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.peers.task import TASKS, Task


def parse_options(description: str | None) -> argparse.Namespace:
    """`task` is a `Task`; `epochs` and `trials` are the task's where they are not given."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=TASKS, default="mlp")
    where = "; ".join(f"{task.name}: {task.data}" for task in TASKS.values())
    parser.add_argument("--data", type=Path, default=Path(), help=where)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    task: Task = TASKS[options.task]
    options.task = task
    options.epochs = options.epochs or task.epochs
    options.trials = options.trials or len(task.grid)
    return options
