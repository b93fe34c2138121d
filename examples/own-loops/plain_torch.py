"""A training script in plain PyTorch that keeps its loop."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

import sweeper


@sweeper.training_loop("plain-torch")
def train(trial: sweeper.Trial, *, lr: float, width: int = 32, epochs: int = 5) -> Iterator[dict[str, float]]:
    """Two layers on scikit-learn's digits.

    Args:
        lr: Learning rate of Adam.
        width: Units of the hidden layer.
        epochs: Passes over the training pictures.
    """
    digits = load_digits()
    images = torch.tensor(digits.data / 16, dtype=torch.float32, device=trial.device)
    labels = torch.tensor(digits.target, device=trial.device)
    model = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10)).to(trial.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    trial.keep(model=model, optimizer=optimizer)
    for _ in trial.epochs(epochs):
        for batch in torch.randperm(1400).split(64):
            loss = functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            right = (model(images).argmax(1) == labels).float()
        metrics = {"train/loss": loss.item(), "val/accuracy": right[1400:1600].mean().item()}
        if trial.is_final:  # in `sweeper finalize` alone: what the test pictures say must choose nothing
            metrics["test/accuracy"] = right[1600:].mean().item()
        yield metrics
