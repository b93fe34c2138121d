"""As tutorials have it: Optuna, a DataLoader with torchvision's transforms, MLflow's log_metric each epoch.

Processes share Optuna's SQLite database. Pictures are read by torchvision's MNIST; those of the CNN lie in memory, and
each becomes a PIL image when it is drawn, as in torchvision's CIFAR10.

    python -m benchmarks.peers.tutorial --task mlp --data DIR [--epochs 3] [--workers 2]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import mlflow
import numpy as np
import torch
from optuna.trial import Trial
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import datasets, transforms

from benchmarks.peers.shared_study import run_workers
from benchmarks.peers.task import LEARNING_RATE, Task
from benchmarks.peers.training import build_model


class Pictures(Dataset[tuple[torch.Tensor, int]]):
    """Pictures in memory, laid out as torchvision's CIFAR10 has them."""

    def __init__(self, path: str, transform: Callable[[Image.Image], torch.Tensor]) -> None:
        with np.load(path) as arrays:
            self.data = np.ascontiguousarray(arrays["pixels"].transpose(0, 2, 3, 1))
            self.targets = arrays["labels"].tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.data[index])), self.targets[index]


def build_datasets(
    task: Task, root: str
) -> tuple[Dataset[tuple[torch.Tensor, int]], Dataset[tuple[torch.Tensor, int]]]:
    n_channels = task.shape[0]
    to_tensor = [
        transforms.ToTensor(),
        transforms.Normalize((task.mean,) * n_channels, (task.deviation,) * n_channels),
    ]
    changes = [
        *([transforms.RandomHorizontalFlip()] if task.flips else []),
        *([transforms.RandomRotation(task.degrees)] if task.degrees else []),
    ]
    train_transform = transforms.Compose([*changes, *to_tensor])
    validation_transform = transforms.Compose(to_tensor)
    if task.name == "mlp":
        train_set = datasets.MNIST(root, train=True, transform=train_transform)
        validation_set = datasets.MNIST(root, train=True, transform=validation_transform)
    else:
        train_set = Pictures(f"{root}/pictures.npz", train_transform)
        validation_set = Pictures(f"{root}/pictures.npz", validation_transform)
    n = task.n_train
    return Subset(train_set, range(n)), Subset(validation_set, range(n, n + task.n_validation))


def build_objective(options: argparse.Namespace) -> Callable[[Trial], float]:
    task = options.task
    train_set, validation_set = build_datasets(task, str(options.data))

    def objective(trial: Trial) -> float:
        width = trial.suggest_categorical("width", task.widths)
        batch_size = trial.suggest_categorical("batch_size", task.batch_sizes)
        train_loader = DataLoader(train_set, batch_size=batch_size, shuffle=True)
        validation_loader = DataLoader(validation_set, batch_size=1000)
        model = build_model(task, width)
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
                accuracy = correct / task.n_validation
                mlflow.log_metric("train_loss", total / task.n_train, step=epoch)
                mlflow.log_metric("val_loss", validation_loss / task.n_validation, step=epoch)
                mlflow.log_metric("val_accuracy", accuracy, step=epoch)
        return accuracy

    return objective


if __name__ == "__main__":
    run_workers(__doc__, build_objective)
