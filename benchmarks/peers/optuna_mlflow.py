"""Optuna and MLflow by hand, by one who knows both: data in memory, fused Adam, one call of MLflow an epoch.

Processes share Optuna's SQLite database.

    python -m benchmarks.peers.optuna_mlflow --task mlp --data DIR [--epochs 3] [--workers 2]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import mlflow
import torch
from optuna.trial import Trial

from benchmarks.peers.shared_study import run_workers
from benchmarks.peers.task import LEARNING_RATE
from benchmarks.peers.training import build_model, evaluate, read_pictures, train_epoch


def build_objective(options: argparse.Namespace) -> Callable[[Trial], float]:
    task = options.task
    images, labels = read_pictures(task, options.data)
    n = task.n_train

    def objective(trial: Trial) -> float:
        model = build_model(task, trial.suggest_categorical("width", task.widths))
        batch_size = trial.suggest_categorical("batch_size", task.batch_sizes)
        optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
        accuracy = 0.0
        with mlflow.start_run():
            mlflow.log_params(trial.params)
            for epoch in range(options.epochs):
                train_loss = train_epoch(task, model, optimizer, images[:n], labels[:n], batch_size)
                loss, accuracy = evaluate(model, images[n:], labels[n:])
                metrics = {"train_loss": train_loss, "val_loss": loss, "val_accuracy": accuracy}
                mlflow.log_metrics(metrics, step=epoch)
        return accuracy

    return objective


if __name__ == "__main__":
    run_workers(__doc__, build_objective)
