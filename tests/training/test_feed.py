"""Feeds: which pictures come in which order, and what is to be learnt of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from sweeper.data.dataset import Dataset, Split
from sweeper.errors import DataError
from sweeper.study.config import TrialConfig
from sweeper.training.feed import PictureFeed, n_steps

CPU = torch.device("cpu")
MakeConfig = Callable[..., TrialConfig]


def make_dataset(labels: list[int], *, n_classes: int | None = None) -> Dataset:
    """Pictures of one pixel, which is the picture's number; all of them are the training part."""
    n = len(labels)
    images_NCHW = torch.arange(n, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    split = Split(images_NCHW=images_NCHW, labels_N=torch.tensor(labels), indices_M=torch.arange(n))
    return Dataset(
        name="numbers",
        class_names=tuple(map(str, range(n_classes or max(labels) + 1))),
        train=split,
        validation=split,
        test=split,
        mean_C=torch.tensor([0.25]),
        deviation_C=torch.tensor([0.5]),
        fingerprint="numbers",
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
def test_every_picture_once_and_none_alone(
    make_config: MakeConfig, n_pictures: int, batch_size: int, sizes: list[int]
) -> None:
    config = make_config(batch_size=batch_size, data={"normalize": False})
    feed = PictureFeed(config, make_dataset(list(range(n_pictures))), CPU)
    drawn = list(feed.train(1))
    assert [len(labels_B) for _, labels_B in drawn] == sizes
    assert n_steps(n_pictures, batch_size) == len(sizes)
    labels_N = torch.cat([labels_B for _, labels_B in drawn])
    images_NCHW = torch.cat([images_BCHW for images_BCHW, _ in drawn])
    assert sorted(labels_N.tolist()) == list(range(n_pictures))
    torch.testing.assert_close(images_NCHW.flatten() * 255, labels_N.float())
    assert torch.equal(feed.order(1), labels_N)


def test_seed_and_epoch_decide_the_order(make_config: MakeConfig) -> None:
    dataset = make_dataset(list(range(50)))

    def order(seed: int, epoch: int) -> list[int]:
        drawn = PictureFeed(make_config(seed=seed, batch_size=8), dataset, CPU).train(epoch)
        return torch.cat([labels_B for _, labels_B in drawn]).tolist()

    assert order(1, 1) == order(1, 1)
    assert order(1, 1) != order(2, 1)
    assert order(1, 1) != order(1, 2)


def test_evaluation_goes_through_any_part_in_order(make_config: MakeConfig) -> None:
    dataset = make_dataset([0, 1, 2, 3, 4] * 100)
    feed = PictureFeed(make_config(data={"augment": ["horizontal_flip"], "normalize": False}), dataset, CPU)
    some = replace(dataset.test, indices_M=torch.arange(0, 500, 3))
    for split in (dataset.train, dataset.validation, some):
        labels_M = torch.cat([labels_B for _, labels_B in feed.evaluation(split)])
        assert torch.equal(labels_M, split.labels_N[split.indices_M])


@pytest.mark.parametrize("balance", ["sampler", "both"])
def test_the_sampler_draws_each_class_as_often(make_config: MakeConfig, balance: str) -> None:
    labels = [0] * 200 + [1] * 30 + [2] * 20
    dataset = make_dataset(labels)
    feed = PictureFeed(make_config(batch_size=16, balance=balance), dataset, CPU)
    drawn = torch.zeros(3)
    for epoch in range(1, 21):
        order_M = feed.order(epoch)
        assert len(order_M) == 250
        labels_M = torch.cat([labels_B for _, labels_B in feed.train(epoch)])
        assert torch.equal(labels_M, torch.tensor(labels)[order_M])
        drawn += torch.bincount(labels_M, minlength=3)
    # 5,000 draws: one deviation of a share is below 0.007.
    torch.testing.assert_close(drawn / 5000, torch.full((3,), 1 / 3), atol=0.03, rtol=0)
    assert not torch.equal(feed.order(1), feed.order(2))
    again = PictureFeed(make_config(batch_size=16, balance=balance), dataset, CPU)
    assert torch.equal(feed.order(7), again.order(7))


def test_a_class_that_cannot_be_drawn_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(DataError, match="balance: sampler needs training pictures of every class; there are none of 2"):
        PictureFeed(make_config(balance="sampler"), make_dataset([0, 1, 1], n_classes=3), CPU)


@pytest.mark.parametrize("normalize", [True, False])
def test_a_reconstruction_gives_the_augmented_picture_back(make_config: MakeConfig, normalize: bool) -> None:
    config = make_config(
        model={"name": "autoencoder", "hidden": [4]},
        loss="mse",
        data={"normalize": normalize, "augment": [{"name": "rotation", "degrees": 30.0}]},
    )
    images_NCHW = torch.randint(0, 256, (12, 1, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    dataset = make_dataset([0, 1] * 6)
    split = replace(dataset.train, images_NCHW=images_NCHW)
    feed = PictureFeed(config, replace(dataset, train=split, validation=split), CPU)
    ((_, pixels_NCHW),) = feed.evaluation(split)
    torch.testing.assert_close(pixels_NCHW, images_NCHW / 255)
    ((inputs_NCHW, pixels_NCHW),) = feed.train(1)
    assert inputs_NCHW.shape == pixels_NCHW.shape == (12, 1, 6, 6)
    assert not torch.allclose(pixels_NCHW, images_NCHW[feed.order(1)] / 255)
    mean, deviation = (0.25, 0.5) if normalize else (0.0, 1.0)
    torch.testing.assert_close(inputs_NCHW, (pixels_NCHW - mean) / deviation)
