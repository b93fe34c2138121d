"""What all of them do: a grid of configurations, so that all have the same work. Without torch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

__all__ = ["TASKS", "Task"]

LEARNING_RATE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Task:
    """A grid over the width of the hidden layer and the batch size, trained by Adam."""

    name: str
    data: str
    """What `--data` is."""
    shape: tuple[int, int, int]
    """Of a picture: channels, height, width."""
    n_classes: int
    n_train: int
    n_validation: int
    mean: float
    """Pixels, from 0 to 1, are normalized by this and by `deviation`."""
    deviation: float
    widths: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    epochs: int
    channels: tuple[int, ...] = ()
    """Of the convolutions of 3×3 below the hidden layer, each with batch norm, ReLU and 2×2 pooling."""
    flips: bool = False
    """Whether training pictures are mirrored left to right, every other one."""
    degrees: float = 0.0
    """Training pictures are rotated by up to so many degrees."""

    @property
    def grid(self) -> list[dict[str, Any]]:
        """The configurations, in the order in which they are tried."""
        return [
            {"width": width, "batch_size": batch_size} for width, batch_size in product(self.widths, self.batch_sizes)
        ]


TASKS = {
    task.name: task
    for task in (
        Task(
            name="mlp",
            data="folder with torchvision's MNIST/raw",
            shape=(1, 28, 28),
            n_classes=10,
            n_train=12_000,
            n_validation=2_000,
            mean=0.1307,
            deviation=0.3081,
            widths=(64, 96, 128, 192, 256),
            batch_sizes=(32, 64, 96, 128),
            epochs=3,
        ),
        Task(
            name="cnn",
            data="folder with pictures.npz: uint8 (N, 3, 32, 32) `pixels` in random order, int64 (N,) `labels`",
            shape=(3, 32, 32),
            n_classes=3,
            n_train=8_000,
            n_validation=2_000,
            mean=0.48,
            deviation=0.26,
            widths=(32, 64, 96, 128, 192),
            batch_sizes=(64, 128),
            epochs=3,
            channels=(16, 32, 64),
            flips=True,
            degrees=10.0,
        ),
        Task(
            name="digits",
            data="nothing: scikit-learn has them",
            shape=(1, 8, 8),
            n_classes=10,
            n_train=1_150,
            n_validation=287,
            mean=0.305,
            deviation=0.376,
            widths=tuple(range(32, 232, 8)),
            batch_sizes=(48, 64, 80, 96, 112, 128, 160, 192),
            epochs=10,
        ),
    )
}
