"""How much slower is sweeper's training than a bare loop?

Both train the same MLP from the same weights with the same optimizer, on 12,000 pictures of MNIST's shape, with one
thread. The bare loop holds normalized floats in memory, and measures the validation accuracy once, at the end. sweeper
draws from uint8 pictures, and measures loss, accuracies, AUC and confusion of both parts each epoch. Pictures are
random: time does not depend on them. Runs alternate (A B A B ...), and the first pair is thrown away. Seconds are of
CPU time, which equals the wall clock on an idle machine and suffers less on a shared one.

    python benchmarks/training_loop.py [--rounds 7] [--epochs 3]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from sweeper.data.dataset import Dataset, Split
from sweeper.models.networks import build_model
from sweeper.study.config import TrialConfig
from sweeper.training.loop import Training
from sweeper.training.optimizers import build_optimizer

CPU = torch.device("cpu")
N_TRAIN, N_VALIDATION, N_CLASSES = 12_000, 2_000, 10


def make_dataset() -> Dataset:
    generator = torch.Generator().manual_seed(0)
    n = N_TRAIN + N_VALIDATION
    images_NCHW = torch.randint(0, 256, (n, 1, 28, 28), dtype=torch.uint8, generator=generator)
    labels_N = torch.randint(0, N_CLASSES, (n,), generator=generator)
    train, validation = (
        Split(images_NCHW=images_NCHW, labels_N=labels_N, indices_M=torch.arange(begin, end))
        for begin, end in ((0, N_TRAIN), (N_TRAIN, n))
    )
    return Dataset(
        name="random",
        class_names=tuple(map(str, range(N_CLASSES))),
        train=train,
        validation=validation,
        test=validation,
        mean_C=torch.tensor([0.5]),
        deviation_C=torch.tensor([0.289]),
        fingerprint="random",
    )


def make_config(*, optimizer: str, width: int, batch_size: int, epochs: int) -> TrialConfig:
    return TrialConfig.model_validate(
        {
            "data": {"name": "mnist"},
            "model": {"name": "mlp", "hidden": [width]},
            "training": {"epochs": epochs, "batch_size": batch_size, "optimizer": optimizer},
        }
    )


def run_bare(config: TrialConfig, floats_NCHW: torch.Tensor, labels_N: torch.Tensor) -> float:
    """The loop that one would write by hand; its validation accuracy."""
    torch.manual_seed(config.seed)
    batch_size = config.training.batch_size
    model = build_model(config.model, input_shape=(1, 28, 28), n_outputs=N_CLASSES, log_probabilities=False)
    optimizer = build_optimizer(config.training.optimizer, model.parameters())
    for _ in range(config.training.epochs):
        model.train()
        for rows_B in torch.randperm(N_TRAIN).split(batch_size):
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(model(floats_NCHW[rows_B]), labels_N[rows_B]).backward()
            optimizer.step()
    model.eval()
    with torch.inference_mode():
        return float((model(floats_NCHW[N_TRAIN:]).argmax(1) == labels_N[N_TRAIN:]).float().mean())


def run_sweeper(config: TrialConfig, dataset: Dataset) -> float:
    metrics = list(Training(config=config, dataset=dataset, device=CPU).epochs())
    return metrics[-1].values["val/accuracy"]


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="pairs of runs that count")
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dataset = make_dataset()
    floats_NCHW = (dataset.train.images_NCHW / 255.0 - dataset.mean_C) / dataset.deviation_C
    labels_N = dataset.train.labels_N

    print(f"Python {sys.version.split()[0]}, torch {torch.__version__}, NumPy {np.__version__}, {cpu_name()}, 1 thread")
    print(f"{N_TRAIN} training and {N_VALIDATION} validation pictures, {arguments.epochs} epochs, ", end="")
    print(f"CPU seconds, medians of {arguments.rounds} alternating runs\n")
    print(f"{'optimizer':<10}{'width':>6}{'batch':>6}{'bare s':>9}{'sweeper s':>11}{'ratio':>8}{'ratios of pairs':>20}")
    ratios = []
    for optimizer, width, batch_size in product(("adam", "sgd"), (64, 256), (32, 64, 128)):
        config = make_config(optimizer=optimizer, width=width, batch_size=batch_size, epochs=arguments.epochs)
        seconds: dict[str, list[float]] = {"bare": [], "sweeper": []}
        for _ in range(1 + arguments.rounds):
            started = time.process_time()
            run_bare(config, floats_NCHW, labels_N)
            between = time.process_time()
            run_sweeper(config, dataset)
            seconds["bare"].append(between - started)
            seconds["sweeper"].append(time.process_time() - between)
        bare, sweeper = seconds["bare"][1:], seconds["sweeper"][1:]
        ratio = statistics.median(sweeper) / statistics.median(bare)
        pairs = sorted(s / b for s, b in zip(sweeper, bare, strict=True))
        ratios.append(ratio)
        print(
            f"{optimizer:<10}{width:>6}{batch_size:>6}{statistics.median(bare):>9.3f}"
            f"{statistics.median(sweeper):>11.3f}{ratio:>8.3f}{f'{pairs[0]:.2f} to {pairs[-1]:.2f}':>20}",
            flush=True,
        )
    print(f"\nmedian ratio {statistics.median(ratios):.3f}, highest {max(ratios):.3f}")


if __name__ == "__main__":
    main()
