"""Ray Tune with OptunaSearch and its MLflow callback, data in memory in Ray's object store.

python -m benchmarks.peers.ray_tune --data DIR [--epochs 3] [--workers 2]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search.optuna import OptunaSearch

from benchmarks.peers.grid import BATCH_SIZES, GRID, LEARNING_RATE, WIDTHS
from benchmarks.peers.options import parse_options
from benchmarks.peers.tasks import N_TRAIN, build_mlp, evaluate, read_mnist, train_epoch


def train(config: dict[str, Any], images: torch.Tensor, labels: torch.Tensor, epochs: int) -> None:
    torch.set_num_threads(1)
    model = build_mlp(config["width"])
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    for _ in range(epochs):
        train_loss = train_epoch(model, optimizer, images[:N_TRAIN], labels[:N_TRAIN], config["batch_size"])
        loss, accuracy = evaluate(model, images[N_TRAIN:], labels[N_TRAIN:])
        tune.report({"train_loss": train_loss, "val_loss": loss, "val_accuracy": accuracy})


def main() -> None:
    options = parse_options(__doc__)
    ray.init(num_cpus=options.workers, include_dashboard=False)
    images, labels = read_mnist(options.data)
    space = {"width": tune.choice(WIDTHS), "batch_size": tune.choice(BATCH_SIZES)}
    tuner = tune.Tuner(
        tune.with_parameters(train, images=images, labels=labels, epochs=options.epochs),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            num_samples=options.trials,
            max_concurrent_trials=options.workers,
            search_alg=OptunaSearch(points_to_evaluate=GRID[: options.trials]),
        ),
        run_config=tune.RunConfig(
            storage_path=str(Path.cwd() / "ray_results"),
            verbose=0,
            callbacks=[MLflowLoggerCallback(tracking_uri="sqlite:///mlflow.db", experiment_name="mlp")],
        ),
    )
    results = tuner.fit()
    if len(results) != options.trials or results.errors:
        raise SystemExit(f"{len(results)} of {options.trials} trials, errors: {results.errors}")


if __name__ == "__main__":
    main()
