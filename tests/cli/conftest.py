"""The command line in a workspace of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import sweeper
from sweeper.cli.main import main
from sweeper.tracking.workspace import Workspace
from tests.sweep.conftest import cache_dir

__all__ = ["cache_dir"]

STUDY = """\
name: small
sampler: {name: random, seed: 9}
budget: {trials: 4}
trial:
  data: {name: digits}
  model: {name: mlp, hidden: [16]}
  training:
    epochs: 1
    batch_size: 32
    loss: {choice: [nll, {name: cross_entropy, label_smoothing: 0.1}]}
    optimizer:
      choice:
        - {name: adam, lr: {float: [1e-3, 1e-2], log: true}, weight_decay: {float: [1e-6, 1e-2], log: true}}
        - {name: sgd, lr: {float: [1e-2, 1.0], log: true}, momentum: {float: [0.0, 0.9]}}
"""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command did."""

    code: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


def _exit_code(call: Callable[[], None]) -> int:
    try:
        call()
    except SystemExit as error:
        return int(error.code or 0)
    return 0


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process, from `sys.argv` to the exit code. Default: in an empty folder."""
    empty = tmp_path / "empty"
    empty.mkdir()
    for name in ("MLFLOW_TRACKING_URI", "SWEEPER_STORAGE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "cache"))

    def call(*arguments: str, folder: Path = empty) -> Done:
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(sys, "argv", ["sweeper", *arguments])
            capsys.readouterr()
            code = _exit_code(main)
        captured = capsys.readouterr()
        return Done(code=code, stdout=captured.out, stderr=captured.err)

    return call


@pytest.fixture(scope="package")
def swept(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Path:
    """A workspace with a finished study `small`."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "study.yaml").write_text(STUDY)
    workspace = Workspace.from_environment(folder, {"SWEEPER_CACHE": str(cache_dir)})
    sweeper.start(folder / "study.yaml", launcher="inline", devices=["cpu"], workspace=workspace)
    return folder
