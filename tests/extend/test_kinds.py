"""Each kind of plugin at work: alone against sweeper's own, and all together in a sweep by the real command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

import sweeper
from sweeper.errors import InputError, PluginError, StudyFileError
from sweeper.launch.placement import LAUNCHERS
from sweeper.study.config import CrossEntropyConfig, TrainingConfig
from sweeper.study.load import parse_study
from sweeper.study.plugins.launchers import parse_launcher
from sweeper.training.losses import ClassLoss, build_loss
from sweeper.training.meters import build_meter
from sweeper.training.schedules import build_schedule
from tests.sweep.conftest import CommandLine

PARTS = """
import math
import sweeper
import torch
from sweeper.launch.local import LocalLauncher
from sweeper.report.blocks import Note
from torch.nn import functional

sweeper.optimizer("nadam")(torch.optim.NAdam)

@sweeper.loss("focal")
def focal(logits_BK, labels_B, *, gamma: float = 2.0):
    losses_B = functional.cross_entropy(logits_BK, labels_B, reduction="none")
    return (1 - torch.exp(-losses_B)) ** gamma * losses_B

@sweeper.schedule("halving")
def halving(step, n_steps, *, times: int = 1):
    return 0.5 ** (times * step / n_steps)

@sweeper.augmentation("invert")
def invert(images_NCHW, generator, *, share: float = 0.1):
    inverted_N = torch.rand(len(images_NCHW), generator=generator) < share
    return torch.where(inverted_N[:, None, None, None], 255 - images_NCHW, images_NCHW)

@sweeper.metric("top_k")
def top_k(log_probabilities_NK, labels_N, *, k: int = 2):
    return (log_probabilities_NK.topk(k).indices == labels_N[:, None]).any(1).float().mean()

@sweeper.report_section("mine", title="My section")
def mine(data):
    return [Note(text="written by a plugin")]

@sweeper.launcher("mine")
def launch(slots, places, log_dir, *, fork: bool = True):
    (log_dir.parent / "launched").write_text(str(fork))
    return LocalLauncher(slots, places=places, log_dir=log_dir, fork=fork)
"""
STUDY = """
name: kinds
objective: {metric: val/top_k, direction: maximize}
sampler: {name: random, seed: 1}
budget: {trials: 2}
trial:
  data: {name: digits, augment: [{name: invert, share: {float: [0.0, 0.1]}}]}
  model: logistic
  training:
    epochs: 2
    batch_size: 64
    loss: {name: focal, gamma: {float: [0.0, 3.0]}}
    schedule: {name: halving, times: {int: [1, 3]}}
    optimizer: {name: nadam, lr: {float: [1e-3, 1e-2], log: true}}
    metrics: [{name: top_k, k: 3}]
"""


def test_all_kinds_together_in_a_sweep(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "kinds.yaml").write_text(STUDY)
    assert "nadam" in command_line.call("check", "kinds.yaml", exit_code=2)
    launcher = ("--launcher", "mine:fork=false", "--workers", "1", "--quiet")
    output = command_line.call("--plugin", "parts.py", "start", "kinds.yaml", *launcher)
    assert "2 done" in output
    assert [file.read_text() for file in tmp_path.glob(".sweeper/kinds/launched")] == ["False"]
    runs = json.loads(command_line.call("runs", "kinds", "--json"))
    assert all(run["value"] >= run["metrics"]["val/accuracy"] for run in runs)
    tags = runs[0]["tags"]["sweeper.plugins"]
    for words in ("optimizer nadam", "loss focal (parts.py, sha256 ", "schedule halving", "metric top_k"):
        assert words in tags
    # The study keeps what was named: nobody needs to name it again, in this workspace.
    command_line.call("report", "kinds", "--section", "mine")
    assert "written by a plugin" in (tmp_path / "reports/kinds/index.html").read_text()
    command_line.call("enqueue", "kinds", "training.loss.gamma=1.5")
    assert "3 done" in command_line.call("resume", "kinds", "--trials", "1", "--workers", "1", "--quiet")
    # A database alone makes no machine run code.
    shutil.rmtree(tmp_path / ".sweeper" / "kinds")
    refused = command_line.run("resume", "kinds", "--trials", "1", "--workers", "1", exit_code=2)
    assert "nobody has named in this workspace" in refused
    assert "Traceback" not in refused


def test_a_loss_is_weighted_and_averaged_as_sweepers_own() -> None:
    @sweeper.loss("mine")
    def mine(logits_BK: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits_BK, labels_B, reduction="none")

    given: dict[str, Any] = {
        "class_names": ("a", "b"),
        "class_counts": (30, 10),
        "balanced": True,
        "device": torch.device("cpu"),
    }
    own = build_loss(CrossEntropyConfig(), **given)
    config = TrainingConfig.model_validate({"epochs": 1, "batch_size": 8, "optimizer": "adam", "loss": "mine"}).loss
    custom = build_loss(config, **given)
    assert isinstance(own, ClassLoss)
    assert isinstance(custom, ClassLoss)
    logits_BK, labels_B = torch.randn(8, 2), torch.tensor([0, 1, 0, 0, 1, 0, 0, 0])
    torch.testing.assert_close(custom(logits_BK, labels_B), own(logits_BK, labels_B))
    pieces = [
        custom(l_BK, y_B, scale=custom.scale(labels_B))
        for l_BK, y_B in zip(logits_BK.split(3), labels_B.split(3), strict=True)
    ]
    torch.testing.assert_close(sum(pieces), own(logits_BK, labels_B))
    log_NK = logits_BK.log_softmax(1)
    measured = custom.over(log_NK, labels_B, smoothing=False, outputs_NK=logits_BK)
    assert measured == pytest.approx(own.over(log_NK, labels_B, smoothing=False))


def test_a_loss_that_is_averaged_already_is_refused() -> None:
    sweeper.loss("mine")(lambda logits_BK, labels_B: functional.cross_entropy(logits_BK, labels_B))
    config = TrainingConfig.model_validate({"epochs": 1, "batch_size": 8, "optimizer": "adam", "loss": "mine"}).loss
    loss = build_loss(config, class_names=("a", "b"), class_counts=(1, 1), device=torch.device("cpu"))
    with pytest.raises(InputError, match=r"loss mine gives \(\) for 4 pictures; needed: \(4,\), one a picture"):
        loss(torch.randn(4, 2), torch.tensor([0, 1, 0, 1]))


def test_a_schedule_multiplies_the_learning_rate() -> None:
    @sweeper.schedule("down")
    def down(step: int, n_steps: int, *, final: float = 0.5) -> float:
        return 1.0 - (1.0 - final) * step / n_steps

    raw = {"epochs": 2, "batch_size": 8, "optimizer": "adam", "schedule": {"name": "down", "final": 0.2}}
    config = TrainingConfig.model_validate(raw).schedule
    rate = build_schedule(config, lr=0.1, epochs=2, steps_per_epoch=5)
    assert [rate(0), rate(5)] == pytest.approx([0.1, 0.06])


def test_a_metric_that_is_not_finite_is_left_out() -> None:
    sweeper.metric("nothing")(lambda log_probabilities_NK, labels_N: float("nan"))
    sweeper.metric("share")(lambda log_probabilities_NK, labels_N: labels_N.float().mean())
    raw = {"epochs": 1, "batch_size": 8, "optimizer": "adam", "metrics": ["nothing", "share"]}
    metrics = TrainingConfig.model_validate(raw).metrics
    loss = build_loss(CrossEntropyConfig(), class_names="ab", class_counts=(1, 1), device=torch.device("cpu"))
    meter = build_meter(loss, class_names="ab", output_names=(), metrics=metrics)
    meter.add(torch.randn(4, 2), torch.tensor([0, 1, 1, 1]))
    values = meter.read(None).values
    assert values["share"] == 0.75
    assert "nothing" not in values


def test_an_objective_is_a_metric_that_is_measured() -> None:
    from sweeper.sweep.check import CHECKS, STUDY_CHECKS

    sweeper.metric("share")(lambda log_probabilities_NK, labels_N: 1.0)

    def check(objective: str, metrics: str) -> None:
        text = (
            f"name: s\nobjective: {objective}\ntrial:\n  data: {{name: digits}}\n  model: logistic\n"
            f"  training: {{epochs: 1, batch_size: 8, optimizer: adam, metrics: {metrics}}}\n"
        )
        parse_study(text, source="s.yaml", checks=CHECKS, study_checks=STUDY_CHECKS)

    with pytest.raises(StudyFileError, match=r"objective.direction: is missing; allowed: minimize or maximize"):
        check("{metric: val/share}", "[share]")
    with pytest.raises(StudyFileError, match=r"given 'val/share', which is not among training.metrics"):
        check("{metric: val/share, direction: maximize}", "[]")
    with pytest.raises(StudyFileError, match=r"training.metrics: given share, share; allowed: each once"):
        check("{metric: val/share, direction: maximize}", "[share, share]")
    check("{metric: val/share, direction: maximize}", "[share]")


def test_parameters_of_a_launcher_follow_its_name() -> None:
    @sweeper.launcher("slurm")
    def slurm(slots: Any, *, partition: str, hours: float = 1.0) -> None: ...

    config, _ = parse_launcher("slurm:partition=gpu,hours=2", ("local",))
    assert config.model_dump() == {"name": "slurm", "partition": "gpu", "hours": 2.0}
    for text, message in (
        ("slrum", "given 'slrum'; did you mean 'slurm'\\? allowed: local, slurm"),
        ("slurm", "partition: is missing"),
        ("slurm:partition=gpu,hours=long", "hours: given 'long'; allowed: a number"),
        ("slurm:gpu", "given 'gpu'; allowed: field=value"),
    ):
        with pytest.raises(InputError, match=message):
            parse_launcher(text, ("local",))
    for name in LAUNCHERS:
        with pytest.raises(PluginError, match=f"launcher '{name}': the name is taken"):
            sweeper.launcher(name)(slurm)
