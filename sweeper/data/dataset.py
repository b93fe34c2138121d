"""What training sees of a data set: memory-mapped pictures and the indices of each part."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

__all__ = ["Dataset", "Split"]


@dataclass(frozen=True, kw_only=True)
class Split:
    """One part of a data set. The pictures are not copied: several parts index one memory-mapped file."""

    images_NCHW: torch.Tensor
    """uint8, (N, C, H, W): all pictures of the file, of which this part has some."""
    labels_N: torch.Tensor
    """int64, (N,): class of each picture of the file, as given: what is trained on. Below 0 for pictures of no part,
    whose class is not kept."""
    indices_M: torch.Tensor
    """int64, (M,), ascending: the pictures of this part."""
    true_labels_N: torch.Tensor | None = None
    """int64, (N,): true class of each picture, where labels were made wrong on purpose; None where all are as given."""
    targets_NT: torch.Tensor | None = None
    """float32, (N, T): numbers to be predicted, for a regression; `labels_N` is then 0 throughout."""

    def __len__(self) -> int:
        return len(self.indices_M)

    def class_counts(self, n_classes: int) -> list[int]:
        """Number of pictures of each class in this part."""
        return torch.bincount(self.labels_N[self.indices_M], minlength=n_classes).tolist()

    def true_class_counts(self, n_classes: int) -> list[int] | None:
        """Number of pictures of each true class in this part; None where all labels are as given."""
        if self.true_labels_N is None:
            return None
        return torch.bincount(self.true_labels_N[self.indices_M], minlength=n_classes).tolist()


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set, decoded and split."""

    name: str
    class_names: tuple[str, ...]
    """In the order of their labels; empty for a regression."""
    train: Split
    validation: Split
    test: Split
    mean_C: torch.Tensor
    """float32, (C,): mean of the training pictures, in units of 0 to 1."""
    deviation_C: torch.Tensor
    """float32, (C,): standard deviation of the training pictures, in units of 0 to 1; above 0."""
    fingerprint: str
    """Hash of all decoded pictures, the parts, and the labels in them, given and true: equal means the same data."""

    content: str = ""
    """Hash of all decoded pictures alone, whatever their labels and the split."""
    output_names: tuple[str, ...] = ()
    """Names of the numbers to be predicted, for a regression; else empty."""
    ids_file: Path | None = None
    """JSON list of what each picture of the file is called; None where that is its index."""

    @cached_property
    def picture_ids(self) -> tuple[str, ...]:
        """What each picture of the file is called, (N,): its path below the folder that it lies in, with `/`, or its
        index where pictures come in one file. It stays the same whatever is chosen, split or relabelled, and wherever
        the folder lies; `data.relabel` names pictures by it. Read when it is first asked for."""
        if self.ids_file is None:
            return tuple(map(str, range(len(self.train.images_NCHW))))
        return tuple(json.loads(self.ids_file.read_text(encoding="utf-8")))

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        _, channels, height, width = self.train.images_NCHW.shape
        return channels, height, width
