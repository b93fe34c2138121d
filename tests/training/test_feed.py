"""Training batches: every picture once, none alone."""

from __future__ import annotations

import pytest
import torch

from sweeper.data.batches import DeviceSplit, Normalization
from sweeper.training.feed import n_steps, train_batches


def make_split(n_pictures: int) -> DeviceSplit:
    one = torch.ones(1, 1, 1)
    return DeviceSplit(
        device=torch.device("cpu"),
        images_NCHW=torch.arange(n_pictures, dtype=torch.uint8).reshape(-1, 1, 1, 1),
        rows_M=torch.arange(n_pictures),
        labels_M=torch.arange(n_pictures),
        normalization=Normalization(scale_C11=one, shift_C11=0 * one),
    )


@pytest.mark.parametrize(
    ("n_pictures", "batch_size", "sizes"),
    [
        (8, 4, [4, 4]),
        (10, 4, [4, 4, 2]),
        (9, 4, [4, 5]),
        (5, 4, [5]),
        (1, 4, [1]),
        (3, 4, [3]),
        (3, 1, [1, 1, 1]),
        (4, 4, [4]),
    ],
)
def test_every_picture_once_and_none_alone(n_pictures: int, batch_size: int, sizes: list[int]) -> None:
    drawn = list(train_batches(make_split(n_pictures), batch_size, seed=0, augmentation=None))
    assert [len(labels_B) for _, labels_B in drawn] == sizes
    assert n_steps(n_pictures, batch_size) == len(sizes)
    labels_N = torch.cat([labels_B for _, labels_B in drawn])
    images_NCHW = torch.cat([images_BCHW for images_BCHW, _ in drawn])
    assert sorted(labels_N.tolist()) == list(range(n_pictures))
    assert torch.equal(images_NCHW.flatten(), labels_N.float())


def test_the_seed_decides_the_order() -> None:
    def order(seed: int) -> list[int]:
        return torch.cat([y for _, y in train_batches(make_split(50), 8, seed=seed, augmentation=None)]).tolist()

    assert order(1) == order(1)
    assert order(1) != order(2)
