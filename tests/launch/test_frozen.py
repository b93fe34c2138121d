"""Attempts at trials with a frozen backbone: they tell how far it is, can be stopped, and leave a whole model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import models

from sweeper.data.dataset import Dataset, Split
from sweeper.errors import DataError, InputError
from sweeper.launch import attempt as attempts
from sweeper.launch.control import Control
from sweeper.launch.messages import Attempt, AttemptEnded, EpochDone, Event, Preparing
from sweeper.models.trained import load_trained
from sweeper.places import Places
from sweeper.study.config import TrialConfig
from sweeper.tracking.workspace import TrialFiles, read_json
from sweeper.training.loop import Training

CPU = torch.device("cpu")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "weights").mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(models.squeezenet1_1().state_dict(), tmp_path / "weights" / "squeezenet1_1.pth")
    return Places(cache_dir=tmp_path / "cache", data_dir=tmp_path)


@pytest.fixture
def dataset() -> Dataset:
    generator = torch.Generator().manual_seed(0)
    images_NCHW = torch.randint(0, 256, (320, 3, 20, 20), dtype=torch.uint8, generator=generator)
    train, validation, test = (
        Split(images_NCHW=images_NCHW, labels_N=torch.arange(320) % 2, indices_M=indices_M)
        for indices_M in torch.arange(320).split([200, 60, 60])
    )
    return Dataset(
        name="noise", class_names=("a", "b"), train=train, validation=validation, test=test,
        mean_C=torch.full((3,), 0.5), deviation_C=torch.full((3,), 0.3), fingerprint="noise", content="noise",
    )  # fmt: skip


def make_attempt(folder: Path, **model: Any) -> Attempt:
    return Attempt(
        number=0,
        attempt=1,
        config={
            "data": {"name": "folder", "path": "noise", "normalize": "imagenet"},
            "model": {"name": "torchvision", "network": "squeezenet1_1", "hidden": [8], "input_size": 24, **model},
            "training": {"epochs": 2, "batch_size": 64, "optimizer": {"name": "adam", "lr": 0.01}},
        },
        folder=str(folder / "trial"),
        metric="val/accuracy",
        maximize=True,
        at="last",
        keep_model=True,
        prunable=False,
        checkpoint_seconds=0.0,
    )


def run(
    attempt: Attempt, dataset: Dataset, places: Places, *, until: Callable[[Event], bool] = lambda event: False
) -> list[Event]:
    control, events = Control(), []
    for event in attempts.run_attempt(
        attempt, worker=0, device=CPU, open_data=lambda config: dataset, control=control, places=places
    ):
        events.append(event)
        control.stop |= until(event)
    return events


def test_an_attempt_is_stopped_amid_the_backbone_and_gone_on_with(
    dataset: Dataset, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "_PREPARING_SECONDS", 0.0)
    attempt = make_attempt(tmp_path)
    first = run(attempt, dataset, places, until=lambda event: isinstance(event, Preparing) and event.done >= 128)
    *told, ended = first
    assert all(isinstance(event, Preparing) and event.total == 260 for event in told)
    assert isinstance(ended, AttemptEnded)
    assert ended.how == "stopped"
    second = run(attempt, dataset, places)
    begun = second[0]
    assert isinstance(begun, Preparing)
    assert 128 <= begun.done < 260
    assert [event.epoch for event in second if isinstance(event, EpochDone)] == [1, 2]
    third = run(replace(attempt, folder=str(tmp_path / "other")), dataset, places)
    assert [type(event) for event in third] == [EpochDone, EpochDone, AttemptEnded]  # all is cached


@pytest.mark.parametrize("head_on", ["features", "outputs"])
def test_what_is_kept_is_the_head_and_what_is_loaded_is_whole(
    dataset: Dataset, places: Places, tmp_path: Path, head_on: str
) -> None:
    attempt = make_attempt(tmp_path, head_on=head_on)
    run(attempt, dataset, places)
    files = TrialFiles(folder=Path(attempt.folder))
    width = 512 if head_on == "features" else 1000
    state = torch.load(files.model, weights_only=True)
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {
        "hidden1.linear.weight": (8, width), "hidden1.linear.bias": (8,),
        "head.linear.weight": (2, 8), "head.linear.bias": (2,),
    }  # fmt: skip
    layers = read_json(files.artifacts / "layers.json")
    assert layers[0] == {
        "name": "backbone", "kind": "squeezenet1_1", "output_shape": [width],
        "n_parameters": 722_496 if head_on == "features" else 1_235_496,
    }  # fmt: skip
    n_parameters = int(read_json(files.outcome)["tags"]["sweeper.n_parameters"])
    assert n_parameters == sum(layer["n_parameters"] for layer in layers)

    description = json.loads((files.artifacts / "model.json").read_text())
    model = load_trained(description, files.model.read_bytes(), places=places)
    assert sum(parameter.numel() for parameter in model.parameters()) == n_parameters
    training = Training(config=TrialConfig.model_validate(attempt.config), dataset=dataset, device=CPU, places=places)
    training.model.load_state_dict(state)
    ((features_NF, _),) = training.feed.evaluation(dataset.test)
    training.model.eval()
    with torch.inference_mode():
        outputs_NK = model(dataset.test.images_NCHW[dataset.test.indices_M])
        torch.testing.assert_close(outputs_NK, training.model(features_NF), rtol=1e-3, atol=1e-4)


def test_a_head_is_put_on_no_other_backbone(dataset: Dataset, places: Places, tmp_path: Path) -> None:
    attempt = make_attempt(tmp_path)
    run(attempt, dataset, places)
    files = TrialFiles(folder=Path(attempt.folder))
    description, state = json.loads((files.artifacts / "model.json").read_text()), files.model.read_bytes()
    weights = tmp_path / "weights" / "squeezenet1_1.pth"
    torch.save(models.squeezenet1_1().state_dict(), weights)
    with pytest.raises(InputError, match=r"was trained on weights of squeezenet1_1 with the SHA-256 \w+, but .* has"):
        load_trained(description, state, places=places)
    description["model"]["weights"] = "gone.pth"
    with pytest.raises(DataError, match=r"there is no file .*gone\.pth"):
        load_trained(description, state, places=places)


def test_a_fine_tuned_model_is_kept_whole_and_needs_no_weights(
    dataset: Dataset, places: Places, tmp_path: Path
) -> None:
    attempt = make_attempt(tmp_path, frozen=False)
    events = run(attempt, dataset, places)
    assert not any(isinstance(event, Preparing) for event in events)
    files = TrialFiles(folder=Path(attempt.folder))
    state = torch.load(files.model, weights_only=True)
    assert "backbone.network.features.0.weight" in state
    description = json.loads((files.artifacts / "model.json").read_text())
    (tmp_path / "weights" / "squeezenet1_1.pth").unlink()
    model = load_trained(description, files.model.read_bytes(), places=places)
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, state[name])
