"""What training sees of a data set: memory-mapped pictures and the indices of each part."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Dataset", "Split"]


@dataclass(frozen=True, kw_only=True)
class Split:
    """One part of a data set. The pictures are not copied: several parts index one memory-mapped file."""

    images_NCHW: torch.Tensor
    """uint8, (N, C, H, W): all pictures of the file, of which this part has some."""
    labels_N: torch.Tensor
    """int64, (N,): class of each picture of the file, as given: what is trained on."""
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
    """Hash of all decoded pictures and labels and of the split: equal means the same data."""

    content: str = ""
    """Hash of all decoded pictures alone, whatever their labels and the split."""
    output_names: tuple[str, ...] = ()
    """Names of the numbers to be predicted, for a regression; else empty."""

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        _, channels, height, width = self.train.images_NCHW.shape
        return channels, height, width
