"""A head on a frozen MobileNetV2 by hand: the backbone runs on each batch of each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torchvision.models import mobilenet_v2

SIDE = 224
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)

Pictures = tuple[torch.Tensor, torch.Tensor]
"""uint8 (N, 3, H, W) and int64 (N,)."""


def load_backbone(weights: Path) -> nn.Module:
    backbone = mobilenet_v2()
    backbone.load_state_dict(torch.load(weights, weights_only=True))
    return backbone.eval().requires_grad_(False)


def train(
    backbone: nn.Module,
    train_set: Pictures,
    validation_set: Pictures,
    *,
    n_classes: int,
    hidden: Sequence[int],
    batch_size: int,
) -> Iterator[float]:
    """Yields the validation accuracy after each epoch."""
    layers: list[nn.Module] = []
    width = 1000
    for more in hidden:
        layers += [nn.Linear(width, more), nn.ReLU()]
        width = more
    head = nn.Sequential(*layers, nn.Linear(width, n_classes))
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3, fused=True)

    def features(pixels: torch.Tensor) -> torch.Tensor:
        images = functional.interpolate(pixels.float() / 255, size=(SIDE, SIDE), mode="bilinear")
        with torch.no_grad():
            return backbone((images - MEAN) / DEVIATION)

    images, labels = train_set
    while True:
        for indices in torch.randperm(len(images)).split(batch_size):
            loss = functional.cross_entropy(head(features(images[indices])), labels[indices])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        n_right = 0
        with torch.no_grad():
            for batch, truth in zip(validation_set[0].split(64), validation_set[1].split(64), strict=True):
                n_right += int((head(features(batch)).argmax(1) == truth).sum())
        yield n_right / len(validation_set[1])
