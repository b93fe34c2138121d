"""Benchmarks of whole sweeps: who takes part does the same work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.commands import Timing
from benchmarks.peers.task import LEARNING_RATE, TASKS, Task
from benchmarks.peers.training import augment, build_model, evaluate, read_pictures, train_epoch
from benchmarks.sweeps import Sweep, Work, check_work, timed_rows
from sweeper.data.store import open_dataset
from sweeper.models.networks import build_model as build_sweepers_model
from sweeper.study.config import DataConfig, TrialConfig
from sweeper.study.study import Study

MODELS = {
    "mlp": {"name": "mlp", "hidden": [{"choice": list(TASKS["mlp"].widths)}]},
    "digits": {"name": "mlp", "hidden": [{"choice": list(TASKS["digits"].widths)}]},
    "cnn": {
        "name": "cnn",
        "blocks": [{"channels": channels, "padding": 1} for channels in TASKS["cnn"].channels],
        "hidden": [{"choice": list(TASKS["cnn"].widths)}],
    },
}


def timing(seconds: float, **work: float) -> Timing:
    done = {"n_trials": 2, "n_epochs": 6, "best_accuracy": 0.9, **work}
    return Timing(seconds=seconds, cpu_seconds=seconds, output="", collected=Work(**done))  # type: ignore[arg-type]


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> Task:
    return TASKS[request.param]


def test_grids_have_the_sizes_that_are_claimed() -> None:
    assert {name: len(task.grid) for name, task in TASKS.items()} == {"mlp": 20, "cnn": 10, "digits": 200}


def test_peers_train_the_network_that_sweeper_trains(task: Task) -> None:
    sweep = Sweep(task=task, trial={"data": {"name": "mnist"}, "model": MODELS[task.name]}, n_trials=2, n_epochs=1)
    study = Study.model_validate(sweep.study(n_trials=2, n_epochs=1))
    assert study.n_trials == 2
    for width in task.widths:
        model = {**MODELS[task.name], "hidden": [width]}
        training = {"epochs": 1, "batch_size": 32, "optimizer": {"name": "adam", "lr": LEARNING_RATE}}
        config = TrialConfig.model_validate({"data": {"name": "mnist"}, "model": model, "training": training})
        ours = build_sweepers_model(config.model, input_shape=task.shape, n_outputs=task.n_classes)
        theirs = build_model(task, width)
        assert [p.shape for p in ours.parameters()] == [p.shape for p in theirs.parameters()]


def test_all_see_as_many_digits(tmp_path: Path) -> None:
    task = TASKS["digits"]
    dataset = open_dataset(DataConfig(name="digits", validation=task.n_validation), cache_dir=tmp_path)
    assert (len(dataset.train), len(dataset.validation)) == (task.n_train, task.n_validation)
    assert dataset.input_shape == task.shape


def test_a_network_by_hand_learns() -> None:
    task = TASKS["digits"]
    torch.manual_seed(0)
    images, labels = read_pictures(task, Path())
    n = task.n_train
    model = build_model(task, 64)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = [train_epoch(task, model, optimizer, images[:n], labels[:n], 64) for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    _, accuracy = evaluate(model, images[n:], labels[n:])
    assert accuracy > 0.8


def test_pictures_are_flipped_and_rotated_each_by_itself() -> None:
    task = TASKS["cnn"]
    torch.manual_seed(0)
    picture = torch.from_numpy(np.random.default_rng(0).normal(size=task.shape).astype(np.float32))
    augmented = augment(task, picture.expand(16, -1, -1, -1))
    assert augmented.shape == (16, *task.shape)
    assert len({tensor.numpy().tobytes() for tensor in augmented}) == 16
    assert augment(TASKS["mlp"], augmented) is augmented


def test_who_did_less_ends_the_benchmark() -> None:
    sweep = Sweep(task=TASKS["mlp"], trial={}, n_trials=2, n_epochs=3)
    timings = {"sweeper": [timing(1.0)], "peer": [timing(2.0, best_accuracy=0.85)]}
    assert "sweeper 0.900, peer 0.850" in check_work(timings, dict.fromkeys(timings, sweep))
    with pytest.raises(SystemExit, match="peer: 2 trials with 5 epochs"):
        check_work({"peer": [timing(2.0, n_epochs=5)]}, {"peer": sweep})


def test_ratios_are_taken_within_rounds() -> None:
    timings = {"sweeper": [timing(1.0), timing(4.0), timing(2.0)], "bare_loop": [timing(2.0), timing(2.0), timing(2.0)]}
    ours, bare = timed_rows(timings, {"sweeper": ("bare_loop", "ratio <= 1.1"), "bare_loop": ("tutorial", "")})
    assert (ours.ratio, ours.against, ours.reached) == (1.0, "bare loop", True)
    assert (bare.ratio, bare.against, bare.target) == (None, "", "")
