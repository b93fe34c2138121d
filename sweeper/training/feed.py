"""The training batches of one epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import torch

from sweeper.data.augmentation import Augmentation
from sweeper.data.batches import DeviceSplit, batches

__all__ = ["Batch", "n_steps", "train_batches"]

Batch: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Normalized pictures, float32 (B, C, H, W), and their labels, int64 (B,)."""


def n_steps(n_pictures: int, batch_size: int) -> int:
    """Number of batches that `train_batches` gives."""
    return -(-n_pictures // batch_size) - _leaves_one(n_pictures, batch_size)


def train_batches(
    split: DeviceSplit, batch_size: int, *, seed: int, augmentation: Augmentation | None
) -> Iterator[Batch]:
    """All pictures of a part in an order, and with augmentations, drawn from `seed`.

    The last batch may be smaller; one of a single picture joins the batch before it, since batch norm needs two.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = batches(split, batch_size, generator=generator, augmentation=augmentation)
    return _join_last_two(drawn) if _leaves_one(len(split), batch_size) else drawn


def _leaves_one(n_pictures: int, batch_size: int) -> bool:
    return n_pictures > batch_size > 1 and n_pictures % batch_size == 1


def _join_last_two(drawn: Iterator[Batch]) -> Iterator[Batch]:
    images_BCHW, labels_B = next(drawn)
    for next_images_BCHW, next_labels_B in drawn:
        if len(next_labels_B) == 1:
            images_BCHW = torch.cat((images_BCHW, next_images_BCHW))
            labels_B = torch.cat((labels_B, next_labels_B))
            continue
        yield images_BCHW, labels_B
        images_BCHW, labels_B = next_images_BCHW, next_labels_B
    yield images_BCHW, labels_B
