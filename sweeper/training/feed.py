"""Batches on the device from the memory-mapped pictures of a data set."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from sweeper.data.dataset import Dataset, Split

__all__ = ["EvaluationBatches", "TrainBatches"]


class TrainBatches:
    """The training pictures in a new order each epoch. A last batch of one picture joins the one before it, since batch
    norm needs two."""

    def __init__(self, dataset: Dataset, *, batch_size: int, device: torch.device) -> None:
        self._pictures = _Pictures(dataset, dataset.train, device)
        self._batch_size = batch_size
        n = len(dataset.train)
        self._starts = list(range(0, n, batch_size))
        if len(self._starts) > 1 and n - self._starts[-1] == 1:
            self._starts.pop()

    def __len__(self) -> int:
        return len(self._starts)

    def epoch(self, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """float32 (B, C, H, W) and int64 (B,) batches in the order drawn from `seed`."""
        n = len(self._pictures)
        order_N = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        ends = [*self._starts[1:], n]
        for start, end in zip(self._starts, ends, strict=True):
            yield self._pictures.take(order_N[start:end])


class EvaluationBatches:
    """All pictures of one part, in order, in big batches."""

    def __init__(self, dataset: Dataset, split: Split, *, device: torch.device, batch_size: int = 1024) -> None:
        self._pictures = _Pictures(dataset, split, device)
        self._batch_size = batch_size

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for places_B in torch.split(torch.arange(len(self._pictures)), self._batch_size):
            yield self._pictures.take(places_B)


class _Pictures:
    def __init__(self, dataset: Dataset, split: Split, device: torch.device) -> None:
        self._split = split
        self._device = device
        self._labels_M = split.labels_N[split.indices_M].to(device)
        self._shift_C11 = (dataset.mean_C * 255.0)[:, None, None].to(device)
        self._scale_C11 = (1.0 / (dataset.deviation_C * 255.0))[:, None, None].to(device)

    def __len__(self) -> int:
        return len(self._split)

    def take(self, places_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        images_BCHW = self._split.images_NCHW[self._split.indices_M[places_B]].to(self._device, torch.float32)
        return images_BCHW.sub_(self._shift_C11).mul_(self._scale_C11), self._labels_M[places_B.to(self._device)]
