"""Optuna and MLflow by hand, by one who knows both: data in memory, fused Adam, one call of MLflow an epoch.

Processes share Optuna's SQLite database.

    python -m benchmarks.peers.optuna_mlflow --data DIR [--epochs 3] [--workers 2]
"""

from __future__ import annotations

import argparse

import mlflow
import torch
from optuna.trial import Trial

from benchmarks.peers.grid import BATCH_SIZES, LEARNING_RATE, WIDTHS
from benchmarks.peers.shared_study import open_study, run_workers
from benchmarks.peers.tasks import N_TRAIN, build_mlp, evaluate, read_mnist, train_epoch


def work(options: argparse.Namespace) -> None:
    study = open_study()
    images, labels = read_mnist(options.data)

    def objective(trial: Trial) -> float:
        model = build_mlp(trial.suggest_categorical("width", WIDTHS))
        batch_size = trial.suggest_categorical("batch_size", BATCH_SIZES)
        optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
        accuracy = 0.0
        with mlflow.start_run():
            mlflow.log_params(trial.params)
            for epoch in range(options.epochs):
                train_loss = train_epoch(model, optimizer, images[:N_TRAIN], labels[:N_TRAIN], batch_size)
                loss, accuracy = evaluate(model, images[N_TRAIN:], labels[N_TRAIN:])
                metrics = {"train_loss": train_loss, "val_loss": loss, "val_accuracy": accuracy}
                mlflow.log_metrics(metrics, step=epoch)
        return accuracy

    study.optimize(objective, n_trials=options.trials // options.workers)


if __name__ == "__main__":
    run_workers(__doc__, work)
