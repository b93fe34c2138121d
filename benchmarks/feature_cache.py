"""How much time does the feature cache save a study with a frozen backbone?

20 trials of 20 epochs, as study B4 has them: a head of two hidden layers on the 1000 outputs of MobileNetV2, STL-10
scaled to 224×224, real weights, one thread. sweeper trains all of them one after another, from an empty cache: the
backbone's only pass over the pictures is included. A plain loop runs the backbone on each batch of each epoch, which
would take days. So one epoch of it is measured, on a part of the pictures, and multiplied by the number of pictures and
of epochs; the output says what was measured and what was multiplied. With --subset, all is done on so many pictures.

Seconds are of CPU time, which equals the wall clock on an idle machine and suffers less on a shared one.

    python -m benchmarks.feature_cache --data DIR [--trials 20] [--epochs 20] [--pictures 512] [--subset 400]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from benchmarks.peers.frozen_backbone import Pictures, load_backbone, train
from benchmarks.results import Result, benchmark_parser, timed
from sweeper.data.dataset import Dataset, Split
from sweeper.data.store import open_dataset
from sweeper.places import Places
from sweeper.study.config import TrialConfig
from sweeper.training.loop import Training

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Cached:
    """What sweeper took, in seconds of CPU time."""

    backbone: float
    """The backbone's only pass."""
    trials: float
    """All else."""
    best_accuracy: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.backbone + self.trials


def make_config(trial: int, options: argparse.Namespace) -> TrialConfig:
    """Trial by trial other widths, dropouts, batch sizes and rates, as a search would draw them."""
    return TrialConfig.model_validate(
        {
            "data": {
                "name": "stl10",
                "path": "stl10",
                "normalize": "imagenet",
                "validation": 0.15,
                "subset": options.subset,
            },
            "model": {
                "name": "torchvision",
                "network": "mobilenet_v2",
                "head_on": "outputs",
                "input_size": 224,
                "hidden": [100 + 15 * trial, 50 + 7 * trial],
                "dropout": [0.02 * (trial % 10), 0.03],
            },
            "training": {
                "epochs": options.epochs,
                "batch_size": [512, 256, 128, 64][trial % 4],
                "optimizer": {"name": "adam", "lr": 1e-3, "weight_decay": 1e-3},
            },
            "seed": trial,
        }
    )


def run_cached(options: argparse.Namespace) -> Cached:
    """All trials, from an empty cache of features."""
    with tempfile.TemporaryDirectory() as folder:
        places = Places(cache_dir=Path(folder), data_dir=options.data)
        dataset = open_data(options, Path(folder))
        backbone = trials = best = 0.0
        for trial in range(options.trials):
            begun = time.process_time()
            training = Training(config=make_config(trial, options), dataset=dataset, device=CPU, places=places)
            for done, total in training.prepare():
                if done == total or done % 1024 < 64:
                    print(f"  backbone {done:,}/{total:,}: {time.process_time() - begun:,.1f} s", file=sys.stderr)
            prepared = time.process_time()
            best = max(best, *(metrics.values["val/accuracy"] for metrics in training.epochs()))
            if trial == 0:
                backbone = prepared - begun
                begun = prepared
            trials += time.process_time() - begun
    return Cached(backbone=backbone, trials=trials, best_accuracy=best)


def run_plain_epoch(options: argparse.Namespace, dataset: Dataset) -> tuple[float, int]:
    """One epoch of a plain loop on a part of the pictures: its seconds of CPU time, and how many pictures."""
    n_all = len(dataset.train) + len(dataset.validation)
    share = min(1.0, options.pictures / n_all)
    parts = [part_of(split, share) for split in (dataset.train, dataset.validation)]
    config = make_config(0, options)
    epochs = train(
        load_backbone(options.data / "weights" / "mobilenet_v2.pth"),
        *parts,
        n_classes=dataset.n_classes,
        hidden=(100, 50),
        batch_size=config.training.batch_size,
    )
    begun = time.process_time()
    next(epochs)
    return time.process_time() - begun, sum(len(labels) for _, labels in parts)


def part_of(split: Split, share: float) -> Pictures:
    """Pictures and labels of a share of a part, from all over it."""
    kept = split.indices_M[torch.linspace(0, len(split) - 1, max(2, round(len(split) * share))).long()]
    return split.images_NCHW[kept], split.labels_N[kept]


def open_data(options: argparse.Namespace, cache: Path) -> Dataset:
    return open_dataset(make_config(0, options).data, cache_dir=cache, data_dir=options.data)


def measure(options: argparse.Namespace) -> Result:
    torch.set_num_threads(1)
    n_epochs = options.trials * options.epochs
    cached, plain = [], []
    n_measured = 0
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_data(options, Path(folder))
        n_all = len(dataset.train) + len(dataset.validation)
        for _ in range(options.rounds):
            cached.append(run_cached(options))
            seconds, n_measured = run_plain_epoch(options, dataset)
            plain.append(seconds * n_all / n_measured)
    ratios = [epoch * n_epochs / run.seconds for epoch, run in zip(plain, cached, strict=True)]
    work = f"{options.trials} trials of {options.epochs} epochs"
    rows = (
        timed(f"sweeper, {work}", [run.seconds for run in cached]),
        timed("sweeper, the backbone's only pass", [run.backbone for run in cached]),
        timed("sweeper, a trial after it", [run.trials / options.trials for run in cached]),
        timed("plain loop, an epoch", plain),
        timed(
            f"plain loop, {work}: not run",
            [epoch * n_epochs for epoch in plain],
            ratio=median(ratios),
            against="sweeper",
            target="ratio >= 100",
        ),
    )
    data = f"{len(dataset.train):,} training and {len(dataset.validation):,} validation pictures, one thread"
    plain_note = (
        f"Of the plain loop, one epoch over {n_measured:,} pictures was measured. An epoch over all is that times "
        f"{n_all / n_measured:.3g}; all trials are that times {n_epochs}, and were not run."
    )
    notes = (
        f"{data}, seconds of CPU time. sweeper was measured in full.",
        plain_note,
        f"Best accuracy on the validation part, sweeper: {max(run.best_accuracy for run in cached):.4f}.",
    )
    return Result(title=f"A head on a frozen MobileNetV2, {work}", rows=rows, notes=notes)


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=1)
    parser.add_argument("--data", type=Path, required=True, help="folder with stl10/ and weights/mobilenet_v2.pth")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--pictures", type=int, default=512, help="on which the epoch of the plain loop is measured")
    parser.add_argument("--subset", type=int, help="pictures of STL-10 for training and validation; default: all")
    options = parser.parse_args()
    measure(options).publish(options.json)


if __name__ == "__main__":
    main()
