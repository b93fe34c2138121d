"""Ray Tune with OptunaSearch and its MLflow callback, data in memory in Ray's object store.

python -m benchmarks.peers.ray_tune --task mlp --data DIR [--epochs 3] [--workers 2]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search.optuna import OptunaSearch

from benchmarks.peers.options import parse_options
from benchmarks.peers.task import LEARNING_RATE, Task
from benchmarks.peers.training import build_model, evaluate, read_pictures, train_epoch


def train(config: dict[str, Any], task: Task, images: torch.Tensor, labels: torch.Tensor, epochs: int) -> None:
    torch.set_num_threads(1)
    n = task.n_train
    model = build_model(task, config["width"])
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    for _ in range(epochs):
        train_loss = train_epoch(task, model, optimizer, images[:n], labels[:n], config["batch_size"])
        loss, accuracy = evaluate(model, images[n:], labels[n:])
        tune.report({"train_loss": train_loss, "val_loss": loss, "val_accuracy": accuracy})


def main() -> None:
    options = parse_options(__doc__)
    task = options.task
    ray.init(num_cpus=options.workers, include_dashboard=False)
    images, labels = read_pictures(task, options.data)
    tuner = tune.Tuner(
        tune.with_parameters(train, task=task, images=images, labels=labels, epochs=options.epochs),
        param_space={"width": tune.choice(task.widths), "batch_size": tune.choice(task.batch_sizes)},
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            num_samples=options.trials,
            max_concurrent_trials=options.workers,
            search_alg=OptunaSearch(points_to_evaluate=task.grid[: options.trials]),
        ),
        run_config=tune.RunConfig(
            storage_path=str(Path.cwd() / "ray_results"),
            verbose=0,
            callbacks=[MLflowLoggerCallback(tracking_uri="sqlite:///mlflow.db", experiment_name=task.name)],
        ),
    )
    results = tuner.fit()
    if len(results) != options.trials or results.errors:
        raise SystemExit(f"{len(results)} of {options.trials} trials, errors: {results.errors}")


if __name__ == "__main__":
    main()
