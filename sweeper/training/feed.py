"""What a training is fed: batches of the pictures of an epoch, and of a part that is measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeAlias

import torch

from sweeper.data.augmentation import build_augmentation
from sweeper.data.batches import DeviceSplit, batches, build_normalization, place_split
from sweeper.data.dataset import Dataset, Split
from sweeper.errors import DataError
from sweeper.study.config import TrialConfig
from sweeper.training.seeding import derive_seed

__all__ = ["EVALUATION_BATCH_SIZE", "Batch", "Feed", "PictureFeed", "TrainingOrder", "join_lone_picture", "n_steps"]

EVALUATION_BATCH_SIZE = 256

Batch: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""What the learner gets, float32 (B, *input_shape), and what it has to learn of it: labels, int64 (B,); for a
regression numbers, float32 (B, T); for a reconstruction the pictures themselves with pixels from 0 to 1."""


class Feed(Protocol):
    """Where batches come from. They appear on the device of the training, each in new memory."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of what the learner gets, without the batch."""
        ...

    def prepare(self, splits: Iterable[Split]) -> Iterator[tuple[int, int]]:
        """What is to be done once, before the first epoch, to feed the training part and `splits`. Yields how much of
        it is done, and how much there is in all; the caller may leave off, and what was done stays done."""
        ...

    def order(self, epoch: int) -> torch.Tensor:
        """int64, (M,), on the CPU: the pictures that `train(epoch)` gives, as positions in the training part."""
        ...

    def train(self, epoch: int) -> Iterator[Batch]:
        """The training batches of an epoch, counted from 1: all draws come from the seed and the epoch.

        There are `n_steps` of them; the last may be smaller, but holds one picture only if all do.
        """
        ...

    def evaluation(self, split: Split) -> Iterator[Batch]:
        """A part of the data set in its order, without augmentation."""
        ...


class TrainingOrder:
    """Which training pictures come in which order, epoch by epoch.

    With `training.balance: sampler` or `both`, as many pictures as the part has are drawn with replacement, such that
    each class, by the given labels, is as frequent as the others.

    Raises:
        DataError: A class without training pictures is to be balanced.
    """

    def __init__(self, config: TrialConfig, dataset: Dataset) -> None:
        self._seed = config.seed
        self._n_pictures = len(dataset.train)
        self._weights_M: torch.Tensor | None = None
        if config.training.balance in ("sampler", "both"):
            counts = dataset.train.class_counts(dataset.n_classes)
            empty = [name for name, count in zip(dataset.class_names, counts, strict=True) if count == 0]
            if empty:
                raise DataError(
                    f"training.balance: {config.training.balance} needs training pictures of every class; there are "
                    f"none of {', '.join(empty)}"
                )
            labels_M = dataset.train.labels_N[dataset.train.indices_M]
            self._weights_M = torch.tensor(counts, dtype=torch.float64).reciprocal()[labels_M]

    def draw(self, epoch: int) -> tuple[torch.Tensor, torch.Generator]:
        """Positions in the training part, int64 (M,), and the CPU generator that all other draws of the epoch's
        batches come from."""
        generator = torch.Generator().manual_seed(derive_seed(self._seed, epoch, 1))
        if self._weights_M is None:
            return torch.randperm(self._n_pictures, generator=generator), generator
        return self._weights_M.multinomial(self._n_pictures, replacement=True, generator=generator), generator


class PictureFeed:
    """Normalized pictures, (C, H, W), augmented for training. Implements `Feed`.

    Raises:
        DataError: A class without training pictures is to be balanced, or ImageNet's statistics do not fit.
    """

    def __init__(self, config: TrialConfig, dataset: Dataset, device: torch.device) -> None:
        self._dataset = dataset
        self._device = device
        self._order = TrainingOrder(config, dataset)
        self._batch_size = config.training.batch_size
        self._normalization = build_normalization(dataset, normalize=config.data.normalize)
        self._train_split = place_split(dataset.train, self._normalization, device)
        self._validation_split = place_split(dataset.validation, self._normalization, device)
        self._augmentation = build_augmentation(config.data.augment)
        self._gives_pictures_back = config.task == "reconstruction"

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return self._dataset.input_shape

    def prepare(self, splits: Iterable[Split]) -> Iterator[tuple[int, int]]:
        return iter(())

    def order(self, epoch: int) -> torch.Tensor:
        return self._order.draw(epoch)[0]

    def train(self, epoch: int) -> Iterator[Batch]:
        order_M, generator = self._order.draw(epoch)
        drawn = batches(
            self._train_split, self._batch_size, generator=generator, order_M=order_M, augmentation=self._augmentation
        )
        return self._finish(join_lone_picture(drawn, n_pictures=len(order_M), batch_size=self._batch_size))

    def evaluation(self, split: Split) -> Iterator[Batch]:
        return self._finish(batches(self._placed(split), EVALUATION_BATCH_SIZE))

    def _placed(self, split: Split) -> DeviceSplit:
        if split is self._dataset.train:
            return self._train_split
        if split is self._dataset.validation:
            return self._validation_split
        return place_split(split, self._normalization, self._device)

    def _finish(self, drawn: Iterator[Batch]) -> Iterator[Batch]:
        if not self._gives_pictures_back:
            return drawn
        # What is normalized here was augmented before, so that the pictures are asked for as the model sees them.
        normalization = self._train_split.normalization
        factor_C11 = 1.0 / (255.0 * normalization.scale_C11)
        return ((x_BCHW, (x_BCHW - normalization.shift_C11).mul_(factor_C11)) for x_BCHW, _ in drawn)


def n_steps(n_pictures: int, batch_size: int) -> int:
    """Number of training batches of an epoch."""
    return -(-n_pictures // batch_size) - _leaves_one(n_pictures, batch_size)


def join_lone_picture(drawn: Iterator[Batch], *, n_pictures: int, batch_size: int) -> Iterator[Batch]:
    """Training batches as they are, but a last one of a single picture joins the one before: batch norm needs two."""
    return _join_last_two(drawn) if _leaves_one(n_pictures, batch_size) else drawn


def _leaves_one(n_pictures: int, batch_size: int) -> bool:
    return n_pictures > batch_size > 1 and n_pictures % batch_size == 1


def _join_last_two(drawn: Iterator[Batch]) -> Iterator[Batch]:
    inputs_BX, learnt_B = next(drawn)
    for next_inputs_BX, next_learnt_B in drawn:
        if len(next_learnt_B) == 1:
            inputs_BX = torch.cat((inputs_BX, next_inputs_BX))
            learnt_B = torch.cat((learnt_B, next_learnt_B))
            continue
        yield inputs_BX, learnt_B
        inputs_BX, learnt_B = next_inputs_BX, next_learnt_B
    yield inputs_BX, learnt_B
