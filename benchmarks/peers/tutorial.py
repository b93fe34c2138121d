"""As tutorials have it: Optuna, a DataLoader with torchvision's transforms, MLflow's log_metric each epoch.

Processes share Optuna's SQLite database.

    python -m benchmarks.peers.tutorial --data DIR [--epochs 3] [--workers 2]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import mlflow
import torch
from optuna.trial import Trial
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from benchmarks.peers.grid import BATCH_SIZES, LEARNING_RATE, WIDTHS
from benchmarks.peers.shared_study import open_study, run_workers
from benchmarks.peers.tasks import DEVIATION, MEAN, N_TRAIN, N_VALIDATION


def build_objective(options: argparse.Namespace) -> Callable[[Trial], float]:
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (DEVIATION,))])
    dataset = datasets.MNIST(str(options.data), train=True, transform=transform)
    train_set = Subset(dataset, range(N_TRAIN))
    validation_set = Subset(dataset, range(N_TRAIN, N_TRAIN + N_VALIDATION))

    def objective(trial: Trial) -> float:
        width = trial.suggest_categorical("width", WIDTHS)
        batch_size = trial.suggest_categorical("batch_size", BATCH_SIZES)
        train_loader = DataLoader(train_set, batch_size=batch_size, shuffle=True)
        validation_loader = DataLoader(validation_set, batch_size=1000)
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10))
        optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
        criterion = nn.CrossEntropyLoss()
        accuracy = 0.0
        with mlflow.start_run():
            mlflow.log_params(trial.params)
            for epoch in range(options.epochs):
                model.train()
                total = 0.0
                for images, labels in train_loader:
                    optimizer.zero_grad()
                    loss = criterion(model(images), labels)
                    loss.backward()
                    optimizer.step()
                    total += loss.item() * len(labels)
                model.eval()
                correct, validation_loss = 0, 0.0
                with torch.no_grad():
                    for images, labels in validation_loader:
                        outputs = model(images)
                        validation_loss += criterion(outputs, labels).item() * len(labels)
                        correct += (outputs.argmax(1) == labels).sum().item()
                accuracy = correct / N_VALIDATION
                mlflow.log_metric("train_loss", total / N_TRAIN, step=epoch)
                mlflow.log_metric("val_loss", validation_loss / N_VALIDATION, step=epoch)
                mlflow.log_metric("val_accuracy", accuracy, step=epoch)
        return accuracy

    return objective


def work(options: argparse.Namespace) -> None:
    study = open_study()
    study.optimize(build_objective(options), n_trials=options.trials // options.workers)


if __name__ == "__main__":
    run_workers(__doc__, work)
