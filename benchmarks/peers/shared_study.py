"""Processes that share an Optuna study in SQLite and track to MLflow in SQLite."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable

import mlflow
import optuna
import torch

from benchmarks.peers.grid import GRID
from benchmarks.peers.options import parse_options

STORAGE, TRACKING = "sqlite:///optuna.db", "sqlite:///mlflow.db"
NAME = "mlp"


def open_study() -> optuna.Study:
    """In a worker: the study, with MLflow set up."""
    torch.set_num_threads(1)
    mlflow.set_tracking_uri(TRACKING)
    mlflow.set_experiment(NAME)
    return optuna.load_study(study_name=NAME, storage=STORAGE)


def run_workers(description: str | None, work: Callable[[argparse.Namespace], None]) -> None:
    """Make a study of the grid, and let processes of one thread each do their share of its trials."""
    options = parse_options(description)
    if os.environ.get("WORKER"):
        work(options)
        return
    study = optuna.create_study(study_name=NAME, storage=STORAGE, direction="maximize")
    for config in GRID[: options.trials]:
        study.enqueue_trial(config)
    mlflow.set_tracking_uri(TRACKING)
    mlflow.set_experiment(NAME)
    processes = [
        subprocess.Popen(sys.orig_argv, env={**os.environ, "WORKER": "1", "OMP_NUM_THREADS": "1"})
        for _ in range(options.workers)
    ]
    exit_codes = [process.wait() for process in processes]
    if any(exit_codes):
        sys.exit(1)
