"""A study with a frozen backbone: two workers share its one pass, one is killed amid it, and nothing is lost."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torchvision import models

import sweeper
from sweeper.cli.views import render
from sweeper.places import Places
from sweeper.sweep.progress import Progress, WorkerProgress
from sweeper.tracking.workspace import Workspace
from tests.sweep.accounts import check_accounts
from tests.sweep.conftest import CommandLine, open_workspace
from tests.sweep.studies import study_dict, write_study

N_OF_CLASS = 250


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Pictures of two colours, and weights of SqueezeNet drawn at random."""
    random = np.random.default_rng(0)
    for name, channel in (("red", 0), ("blue", 2)):
        (tmp_path / "data" / "colours" / name).mkdir(parents=True)
        for number in range(N_OF_CLASS):
            pixels = random.integers(0, 160, (20, 20, 3), dtype=np.uint8)
            pixels[..., channel] += 90
            Image.fromarray(pixels).save(tmp_path / "data" / "colours" / name / f"{number:03}.png")
    (tmp_path / "data" / "weights").mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(models.squeezenet1_1().state_dict(), tmp_path / "data" / "weights" / "squeezenet1_1.pth")
    return tmp_path / "data"


def write_frozen(folder: Path, data: dict[str, Any], model: dict[str, Any], **parts: Any) -> Path:
    """A study file of a torchvision model."""
    study = study_dict(**parts)
    study["trial"] |= {"data": data, "model": {"name": "torchvision", **model}}
    path = folder / "tiny.yaml"
    path.write_text(json.dumps(study))
    return path


def test_a_worker_is_killed_amid_the_backbone(
    cli: CommandLine, workspace: Workspace, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.environment |= {
        "SWEEPER_DATA": str(data_dir),
        "SWEEPER_CACHE": str(tmp_path / "cache"),
        "SWEEPER_FAILPOINTS": f"features.batch_written=once:{tmp_path / 'killed'}",
    }
    path = write_frozen(
        cli.folder,
        {"name": "folder", "path": "colours", "normalize": "imagenet", "test": 0.2},
        {"network": "squeezenet1_1", "hidden": [{"int": [4, 16]}], "input_size": 24},
        trials=4,
        keep_models=1,
    )
    output = cli.run("start", str(path), "--workers", "2")
    assert (tmp_path / "killed").exists()
    assert "the frozen backbone has run for 0 of 400 pictures and views" in output
    accounts = check_accounts(cli.folder, n_trials=4)
    assert {trial.state for trial in accounts.trials} == {"COMPLETE"}
    (features,) = [path for path in (tmp_path / "cache" / "features").iterdir() if path.is_dir()]
    marks_N = np.fromfile(features / "view0.marks", dtype=np.uint32)
    assert len(marks_N) == 2 * N_OF_CLASS
    assert (marks_N != 0).sum() == 400  # not those held out as test

    best = sweeper.best_runs("tiny", k=1, workspace=workspace)[0]
    model = best.load_model(places=Places(cache_dir=tmp_path / "cache", data_dir=data_dir))
    images_NCHW = torch.zeros(2, 3, 20, 20, dtype=torch.uint8)
    images_NCHW[0, 0], images_NCHW[1, 2] = 170, 170
    assert model(images_NCHW).shape == (2, 2)

    monkeypatch.setattr("sweeper.training.frozen.build_backbone", None)  # all is cached
    environ = {"SWEEPER_DATA": str(data_dir)}
    same = open_workspace(cli.folder, tmp_path / "cache", environ)
    sweeper.start(path, launcher="inline", workspace=same, trials=2)
    accounts = check_accounts(cli.folder, n_trials=6)
    assert {trial.state for trial in accounts.trials} == {"COMPLETE"}


def test_a_wrong_limit_is_refused_at_once(cli: CommandLine) -> None:
    cli.environment["SWEEPER_FEATURES_GIB"] = "plenty"
    output = cli.call("start", str(write_study(cli.folder)), exit_code=2)
    assert "SWEEPER_FEATURES_GIB: given 'plenty'; allowed: a number of GiB above 0" in " ".join(output.split())


def test_an_unknown_network_is_refused_before_a_trial_begins(cli: CommandLine) -> None:
    path = write_frozen(
        cli.folder,
        {"name": "cifar10", "normalize": "imagenet"},
        {"network": {"choice": ["resnet18", "mobilenetv2"]}},
    )
    output = cli.call("check", str(path), exit_code=2)
    assert "torchvision has no network 'mobilenetv2'; did you mean 'mobilenet_v2'?" in " ".join(output.split())


def test_the_live_view_shows_how_far_the_backbone_is() -> None:
    worker = WorkerProgress(index=0, device="cpu", state="training", number=3, n_epochs=30, preparing=(1_200, 5_000))
    progress = Progress(name="s", metric="val/accuracy", maximize=True, n_trials=4, workers=[worker])
    output = io.StringIO()
    Console(width=120, file=output).print(render(progress))
    assert "trial 3" in output.getvalue()
    assert "backbone 1,200/5,000" in output.getvalue()
