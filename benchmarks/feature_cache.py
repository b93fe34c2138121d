"""How much time does the feature cache save a study with a frozen backbone?

20 trials of study B4: a head of two hidden layers on the 1000 outputs of MobileNetV2, STL-10 scaled to 224×224, real
weights, one thread. With the cache: all trials one after another, the backbone's only pass over the pictures included.
Without: `model.views: 0`, which runs the backbone on each batch of each epoch. That would take days, so one epoch of it
is measured and multiplied by the number of epochs of all trials; with `--pictures`, on a part of the pictures, and then
multiplied by their number too. With `--subset`, all is done on so many pictures. The output says what was measured and
what was multiplied.

Seconds are of CPU time, which equals the wall clock on an idle machine and suffers less on a shared one.

    SWEEPER_DATA=... python benchmarks/feature_cache.py [--trials 20] [--epochs 30] [--pictures 256] [--subset 400]
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from sweeper.data.dataset import Dataset, Split
from sweeper.data.store import open_dataset
from sweeper.places import Places
from sweeper.study.config import TrialConfig
from sweeper.training.loop import Training

CPU = torch.device("cpu")


def make_config(trial: int, *, epochs: int, views: int, subset: int | None) -> TrialConfig:
    """Trial by trial other widths, dropouts, batch sizes and rates, as a search would draw them."""
    return TrialConfig.model_validate(
        {
            "data": {
                "name": "stl10",
                "path": "stl10",
                "normalize": "imagenet",
                "validation": 0.15,
                "subset": subset,
            },
            "model": {
                "name": "torchvision",
                "network": "mobilenet_v2",
                "head_on": "outputs",
                "input_size": 224,
                "hidden": [100 + 15 * trial, 50 + 7 * trial],
                "dropout": [0.02 * (trial % 10), 0.03],
                "views": views,
            },
            "training": {
                "epochs": epochs,
                "batch_size": [512, 256, 128, 64][trial % 4],
                "optimizer": {"name": "adam", "lr": 1e-3, "weight_decay": 1e-3},
            },
            "seed": trial,
        }
    )


def part_of(dataset: Dataset, n_pictures: int) -> tuple[Dataset, float]:
    """A part of the training and validation pictures, and by how much all of them are more."""
    n_all = len(dataset.train) + len(dataset.validation)
    share = min(1.0, n_pictures / n_all)

    def some(split: Split) -> Split:
        kept = torch.linspace(0, len(split) - 1, max(2, round(len(split) * share))).long()
        return replace(split, indices_M=split.indices_M[kept])

    part = replace(dataset, train=some(dataset.train), validation=some(dataset.validation))
    return part, n_all / (len(part.train) + len(part.validation))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--pictures", type=int, default=10**9, help="of which the epoch without the cache is measured")
    parser.add_argument("--subset", type=int, help="pictures of STL-10 for training and validation; default: all")
    arguments = parser.parse_args()
    data = os.environ.get("SWEEPER_DATA")
    if data is None:
        parser.error("SWEEPER_DATA is not set: STL-10 (stl10/) and weights/mobilenet_v2.pth are read from there")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        places = Places(cache_dir=Path(folder), data_dir=Path(data))
        first = make_config(0, epochs=arguments.epochs, views=4, subset=arguments.subset)
        dataset = open_dataset(first.data, cache_dir=places.cache_dir, data_dir=places.data_dir)
        n_train, n_validation = len(dataset.train), len(dataset.validation)
        print(
            f"{platform.processor() or platform.machine()}, 1 thread, torch {torch.__version__}; "
            f"{n_train:,} + {n_validation:,} pictures, {arguments.trials} trials of {arguments.epochs} epochs"
        )

        part, factor = part_of(dataset, arguments.pictures)
        plain = Training(
            config=make_config(0, epochs=1, views=0, subset=arguments.subset), dataset=part, device=CPU, places=places
        )
        begun = time.process_time()
        for _ in plain.epochs():
            pass
        epoch_seconds = (time.process_time() - begun) * factor
        n_epochs = arguments.trials * arguments.epochs
        without = epoch_seconds * n_epochs
        measured = len(part.train) + len(part.validation)
        print(
            f"without the cache: {epoch_seconds:,.1f} s an epoch (on {measured:,} pictures, times {factor:.3g})"
            f", times {n_epochs} epochs: {without:,.0f} s (extrapolated, not run)"
        )

        begun = time.process_time()
        best = 0.0
        for trial in range(arguments.trials):
            training = Training(
                config=make_config(trial, epochs=arguments.epochs, views=4, subset=arguments.subset),
                dataset=dataset,
                device=CPU,
                places=places,
            )
            for done, total in training.prepare():
                if done == total or done % 1024 < 64:
                    print(f"  backbone {done:,}/{total:,}: {time.process_time() - begun:,.1f} s", flush=True)
            if trial == 0:
                prepared = time.process_time() - begun
            accuracy = max(metrics.values["val/accuracy"] for metrics in training.epochs())
            best = max(best, accuracy)
        with_cache = time.process_time() - begun
        print(
            f"with the cache: {with_cache:,.1f} s, all measured: {prepared:,.1f} s for the backbone's only pass, "
            f"{(with_cache - prepared) / arguments.trials:,.2f} s for each trial; best val/accuracy {best:.4f}"
        )
        print(f"1 / {without / with_cache:,.0f} of the time")


if __name__ == "__main__":
    main()
