"""How those train that have the data in memory, as one would write it by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.task import Task


def read_pixels(task: Task, root: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures, uint8 (N, C, H, W), first those to train on, then those for validation; and labels, int64 (N,)."""
    n = task.n_train + task.n_validation
    if task.name == "mlp":
        raw = root / "MNIST" / "raw"
        pixels = np.fromfile(raw / "train-images-idx3-ubyte", np.uint8, offset=16, count=n * 28 * 28)
        labels = np.fromfile(raw / "train-labels-idx1-ubyte", np.uint8, offset=8, count=n)
    elif task.name == "cnn":
        with np.load(root / "pictures.npz") as arrays:
            pixels, labels = arrays["pixels"][:n], arrays["labels"][:n]
    else:
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        pixels, labels = np.rint(pixels[:n] * (255 / 16)).astype(np.uint8), labels[:n]
    return torch.from_numpy(pixels).view(n, *task.shape), torch.from_numpy(labels).long()


def read_pictures(task: Task, root: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The same with pixels as normalized floats."""
    pixels, labels = read_pixels(task, root)
    return (pixels.float() / 255 - task.mean) / task.deviation, labels


def build_model(task: Task, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels, height, side = task.shape
    for more in task.channels:
        layers += [nn.Conv2d(channels, more, 3, padding=1), nn.BatchNorm2d(more), nn.ReLU(), nn.MaxPool2d(2)]
        channels, height, side = more, height // 2, side // 2
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(channels * height * side, width),
        nn.ReLU(),
        nn.Linear(width, task.n_classes),
    )


def train_epoch(
    task: Task,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
    batch_size: int,
) -> float:
    """One epoch over pictures in memory; the mean loss."""
    model.train()
    total = torch.zeros(())
    for indices in torch.randperm(len(images)).split(batch_size):
        batch = augment(task, images[indices])
        loss = functional.cross_entropy(model(batch), labels[indices])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(indices)
    return float(total) / len(images)


def augment(task: Task, batch: torch.Tensor) -> torch.Tensor:
    """A whole batch at once, each picture by draws of its own."""
    if task.flips:
        batch = torch.where(torch.rand(len(batch), 1, 1, 1) < 0.5, batch.flip(3), batch)
    if task.degrees:
        angles = (2 * torch.rand(len(batch)) - 1) * math.radians(task.degrees)
        cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
        maps = torch.stack((cos, -sin, zero, sin, cos, zero), dim=1).view(-1, 2, 3)
        grid = functional.affine_grid(maps, list(batch.shape), align_corners=False)
        batch = functional.grid_sample(batch, grid, align_corners=False)
    return batch


@torch.inference_mode()
def evaluate(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """Loss and accuracy."""
    model.eval()
    outputs = torch.cat([model(batch) for batch in images.split(1000)])
    loss = functional.cross_entropy(outputs, labels)
    return float(loss), float((outputs.argmax(1) == labels).float().mean())
