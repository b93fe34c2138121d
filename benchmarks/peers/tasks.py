"""What those train that have the data in memory: MLPs on a part of MNIST."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

N_TRAIN, N_VALIDATION = 12_000, 2_000
MEAN, DEVIATION = 0.1307, 0.3081


def read_mnist(root: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The first 14,000 training pictures as normalized floats of shape (N, 784), and their labels."""
    n = N_TRAIN + N_VALIDATION
    raw = root / "MNIST" / "raw"
    pixels = np.fromfile(raw / "train-images-idx3-ubyte", np.uint8, offset=16, count=n * 784).reshape(n, 784)
    labels = np.fromfile(raw / "train-labels-idx1-ubyte", np.uint8, offset=8, count=n)
    return (torch.from_numpy(pixels).float() / 255 - MEAN) / DEVIATION, torch.from_numpy(labels).long()


def build_mlp(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10))


def train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor, batch_size: int
) -> float:
    """One epoch over pictures in memory; the mean loss."""
    total = torch.zeros(())
    for indices in torch.randperm(len(images)).split(batch_size):
        loss = nn.functional.cross_entropy(model(images[indices]), labels[indices])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(indices)
    return float(total) / len(images)


@torch.inference_mode()
def evaluate(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """Loss and accuracy."""
    outputs = model(images)
    loss = nn.functional.cross_entropy(outputs, labels)
    return float(loss), float((outputs.argmax(1) == labels).float().mean())
