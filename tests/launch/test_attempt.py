"""What an attempt leaves behind, for each kind of task: artifacts, and a model that can be loaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest
import torch
from torch import nn

from sweeper.data.dataset import Dataset, Split
from sweeper.errors import InputError
from sweeper.launch.attempt import run_attempt
from sweeper.launch.control import Control
from sweeper.launch.messages import Attempt, AttemptEnded, EpochDone, Preparing
from sweeper.models.trained import TrainedModel, load_trained
from sweeper.study.config import TrialConfig
from sweeper.tracking.workspace import TrialFiles, read_json
from sweeper.training.loop import Training
from tests.training.test_memory import limit_memory

Run: TypeAlias = Callable[..., tuple[Attempt, Dataset]]
CPU = torch.device("cpu")
N_TRAIN, N_VALIDATION, N_TEST = 120, 40, 40
TASKS: dict[str, dict[str, Any]] = {
    "classes": {"model": {"name": "mlp", "hidden": [8]}},
    "numpy": {"model": {"name": "mlp", "hidden": [8]}, "training": {"backend": "numpy"}},
    "true labels": {"model": {"name": "logistic"}, "training": {"balance": "sampler"}, "data": {"normalize": False}},
    "imagenet": {"model": {"name": "logistic"}, "data": {"normalize": "imagenet"}},
    "numbers": {
        "data": {"name": "functions"},
        "model": {"name": "linear"},
        "training": {"loss": "mse"},
        "metric": "val/loss/second",
    },
    "pictures": {
        "model": {"name": "autoencoder", "hidden": [8], "bottleneck": 2},
        "training": {"loss": "mse"},
        "metric": "val/loss",
    },
}


def make_dataset(task: str) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    n, channels = N_TRAIN + N_VALIDATION + N_TEST, 3 if task == "imagenet" else 1
    images_NCHW = torch.randint(0, 256, (n, channels, 6, 6), dtype=torch.uint8, generator=generator)
    labels_N = torch.arange(n) % 3
    is_regression = task == "numbers"
    splits = [
        Split(
            images_NCHW=images_NCHW,
            labels_N=0 * labels_N if is_regression else labels_N,
            indices_M=indices_M,
            true_labels_N=labels_N.flip(0) if task == "true labels" else None,
            targets_NT=images_NCHW.float().mean((1, 2))[:, :2] / 255 if is_regression else None,
        )
        for indices_M in torch.arange(n).split([N_TRAIN, N_VALIDATION, N_TEST])
    ]
    return Dataset(
        name="made",
        class_names=() if is_regression else ("a", "b", "c"),
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        mean_C=torch.full((channels,), 0.4),
        deviation_C=torch.full((channels,), 0.2),
        fingerprint="made",
        output_names=("first", "second") if is_regression else (),
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Trains a trial of a kind of task to its end, in two attempts; `between` is called between these."""

    def run_task(task: str, between: Callable[[TrialFiles], None] = lambda files: None) -> tuple[Attempt, Dataset]:
        parts, dataset = TASKS[task], make_dataset(task)
        training = {"epochs": 3, "batch_size": 32, "optimizer": {"name": "sgd", "lr": 0.01, "momentum": 0.5}}
        attempt = Attempt(
            number=0,
            attempt=1,
            config={
                "data": {"name": "digits", **parts.get("data", {})},
                "model": parts["model"],
                "training": training | parts.get("training", {}),
            },
            folder=str(tmp_path / "trial"),
            metric=parts.get("metric", "val/accuracy"),
            maximize="loss" not in parts.get("metric", ""),
            at="last",
            keep_model=True,
            prunable=False,
            checkpoint_seconds=0.0,
        )
        for stop_after in (1, None):  # the second goes on from a checkpoint
            control = Control()
            for n_events, event in enumerate(
                run_attempt(
                    attempt, worker=0, device=CPU, open_data=lambda config: dataset, control=control, places=None
                ),
                start=1,
            ):
                control.stop = n_events == stop_after
                if isinstance(event, AttemptEnded):
                    assert event.how == ("stopped" if stop_after else "outcome"), event.traceback
            if stop_after:
                between(TrialFiles(folder=Path(attempt.folder)))
        return attempt, dataset

    return run_task


def load(files: TrialFiles) -> tuple[TrainedModel, dict[str, Any]]:
    description = json.loads((files.artifacts / "model.json").read_text())
    return load_trained(description, files.model.read_bytes()), description


@pytest.mark.parametrize("task", TASKS)
def test_a_trial_leaves_its_artifacts(run: Run, task: str) -> None:
    attempt, dataset = run(task)
    files = TrialFiles(folder=Path(attempt.folder))
    outcome, data = read_json(files.outcome), read_json(files.artifacts / "data.json")
    assert outcome["state"] == "COMPLETE"
    assert data["task"] == {"numbers": "regression", "pictures": "reconstruction"}.get(task, "classification")
    assert data["class_names"] == list(dataset.class_names)
    assert data["output_names"] == list(dataset.output_names)
    assert [sum(counts) for counts in data["counts"].values()] == [N_TRAIN, N_VALIDATION, N_TEST]
    layers = read_json(files.artifacts / "layers.json")
    assert sum(layer["n_parameters"] for layer in layers) == int(outcome["tags"]["sweeper.n_parameters"])

    confusion = files.artifacts / "confusion.json"
    if task in ("numbers", "pictures"):
        assert not confusion.exists()
        return
    matrices = read_json(confusion)
    parts = ["train", "true_train", "val", "true_val"] if task == "true labels" else ["train", "val"]
    assert list(matrices) == ["class_names", "epoch", *parts]
    sizes = {"train": N_TRAIN, "val": N_VALIDATION}
    for part in parts:
        assert sum(map(sum, matrices[part])) == sizes[part.removeprefix("true_")]


@pytest.mark.parametrize("task", TASKS)
def test_a_kept_model_gives_the_outputs_it_was_trained_to(run: Run, task: str) -> None:
    attempt, dataset = run(task)
    files = TrialFiles(folder=Path(attempt.folder))
    model, description = load(files)
    training = Training(config=TrialConfig.model_validate(attempt.config), dataset=dataset, device=CPU)
    training.model.load_state_dict(torch.load(files.model, weights_only=True))
    split = dataset.validation
    images_NCHW = split.images_NCHW[split.indices_M]
    ((inputs_NCHW, _),) = training.feed.evaluation(split)
    training.model.eval()
    with torch.inference_mode():
        outputs = model(images_NCHW)
        torch.testing.assert_close(outputs, training.model(inputs_NCHW), rtol=1e-4, atol=1e-5)
    shapes = {"numbers": (N_VALIDATION, 2), "pictures": (N_VALIDATION, 1, 6, 6)}
    assert outputs.shape == shapes.get(task, (N_VALIDATION, 3))
    assert description["task"] == read_json(files.artifacts / "data.json")["task"]
    if task in shapes:
        what = r"numbers \(first, second\)" if task == "numbers" else "pictures"
        with pytest.raises(InputError, match=f"predicts no classes but {what}"):
            model.predict(images_NCHW)
    else:
        assert model.predict(images_NCHW) == [dataset.class_names[k] for k in outputs.argmax(1).tolist()]


def test_a_metric_of_another_task_is_refused(run: Run, tmp_path: Path) -> None:
    attempt, dataset = run("numbers")
    config, folder = attempt.config, str(tmp_path / "other")
    wrong = Attempt(**{**attempt.__dict__, "config": config, "metric": "val/accuracy", "folder": folder})
    *_, event = run_attempt(wrong, worker=0, device=CPU, open_data=lambda config: dataset, control=Control())
    assert isinstance(event, AttemptEnded)
    assert event.how == "bad_input"
    assert "given 'val/accuracy'; allowed for this data: " in event.reason
    assert "val/loss/second" in event.reason


@pytest.mark.parametrize("name", ["config.json", "data.json", "layers.json", "model.json"])
def test_an_artifact_that_a_crash_of_the_machine_tore_is_made_again(run: Run, name: str) -> None:
    whole: list[str] = []

    def tear(files: TrialFiles) -> None:
        path = files.artifacts / name
        whole.append(path.read_text())
        path.write_text(whole[0][:7])

    attempt, _ = run("classes", tear)
    assert (Path(attempt.folder) / "artifacts" / name).read_text() == whole[0]


def test_a_trial_that_outgrows_its_share_goes_on_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = {"pictures": 100}

    def place(model: nn.Module, device: torch.device) -> nn.Module:
        limit_memory(model, room["pictures"])
        return model

    monkeypatch.setattr("sweeper.training.loop.place_model", place)
    config = {
        "data": {"name": "digits"},
        "model": {"name": "mlp", "hidden": [8]},
        "training": {"epochs": 3, "batch_size": 32, "optimizer": {"name": "sgd", "lr": 0.01}},
    }
    shared = Attempt(
        number=0,
        attempt=1,
        config=config,
        folder=str(tmp_path / "trial"),
        metric="val/accuracy",
        maximize=True,
        at="last",
        keep_model=False,
        prunable=False,
        checkpoint_seconds=0.0,
        memory_share=0.5,
    )
    files, dataset = TrialFiles(folder=Path(shared.folder)), make_dataset("classes")

    def events(attempt: Attempt) -> Iterator[Preparing | EpochDone | AttemptEnded]:
        return run_attempt(attempt, worker=0, device=CPU, open_data=lambda config: dataset, control=Control())

    first = events(shared)
    assert isinstance(next(first), EpochDone)
    room["pictures"] = 10
    next(first)  # the model that was placed still has room
    first.close()  # type: ignore[attr-defined]  # it is a generator
    (end,) = events(shared)
    assert isinstance(end, AttemptEnded)
    assert end.how == "outgrown"
    assert "out of memory" in end.reason
    assert not files.outcome.exists()
    *epochs, end = events(replace(shared, attempt=2, memory_share=None))
    assert isinstance(end, AttemptEnded)
    assert end.how == "outcome"
    assert [event.epoch for event in epochs if isinstance(event, EpochDone)] == [2, 3], "it began anew"
    assert read_json(files.outcome)["tags"]["sweeper.micro_batch"] == "8"


@pytest.mark.parametrize("at", ["best", "last"])
@pytest.mark.parametrize("maximize", [True, False])
def test_a_model_that_others_beat_is_not_written(
    tmp_path: Path, *, maximize: bool, at: Literal["best", "last"]
) -> None:
    dataset = make_dataset("classes")

    def trained(kept_from: float | None) -> tuple[float, bool, bool]:
        """The value of the trial, and whether there are its model and what it could be continued from."""
        attempt = Attempt(
            number=0,
            attempt=1,
            config={
                "data": {"name": "digits"},
                "model": {"name": "mlp", "hidden": [8]},
                "training": {"epochs": 3, "batch_size": 32, "optimizer": {"name": "sgd", "lr": 0.1}},
            },
            folder=str(tmp_path / f"trial {kept_from}"),
            metric="val/accuracy" if maximize else "val/loss",
            maximize=maximize,
            at=at,
            keep_model=True,
            prunable=False,
            checkpoint_seconds=60.0,
            kept_from=kept_from,
        )
        *_, end = run_attempt(attempt, worker=0, device=CPU, open_data=lambda config: dataset, control=Control())
        assert isinstance(end, AttemptEnded)
        assert end.how == "outcome", end.traceback
        files = TrialFiles(folder=Path(attempt.folder))
        return read_json(files.outcome)["value"], files.model.exists(), files.last.exists()

    value, *written = trained(None)
    assert written == [True, True]
    assert trained(value) == (value, True, True)
    better = value + (1e-6 if maximize else -1e-6)
    assert trained(better) == (value, False, False)
