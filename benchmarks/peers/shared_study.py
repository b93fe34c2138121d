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
from optuna.samplers import PartialFixedSampler, RandomSampler
from optuna.trial import Trial

from benchmarks.peers.options import parse_options

STORAGE, TRACKING = "sqlite:///optuna.db", "sqlite:///mlflow.db"
NAME = "study"


def run_workers(
    description: str | None, build_objective: Callable[[argparse.Namespace], Callable[[Trial], float]]
) -> None:
    """Make a study of the grid, and let processes of one thread each do their share of its trials."""
    options = parse_options(description)
    mlflow.set_tracking_uri(TRACKING)
    worker = os.environ.get("WORKER")
    if worker is not None:
        torch.set_num_threads(1)
        mlflow.set_experiment(NAME)
        study = optuna.load_study(study_name=NAME, storage=STORAGE)
        objective = build_objective(options)
        # Not enqueued: two processes may both take a waiting trial from SQLite, of which the slower one then fails.
        for config in options.task.grid[int(worker) : options.trials : options.workers]:
            study.sampler = PartialFixedSampler(config, RandomSampler())
            study.optimize(objective, n_trials=1)
        return
    optuna.create_study(study_name=NAME, storage=STORAGE, direction="maximize")
    mlflow.set_experiment(NAME)
    processes = []
    for number in range(options.workers):
        os.environ["WORKER"] = str(number)  # a copy of os.environ may fail: a thread of MLflow's changes it
        processes.append(subprocess.Popen(sys.orig_argv))
    exit_codes = [process.wait() for process in processes]
    if any(exit_codes):
        sys.exit(1)
