"""compare: for people, as JSON and as CSV, on digits trained with several seeds."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest
import typer
from typer._completion_classes import BashComplete

import sweeper
from sweeper.cli.main import app
from sweeper.tracking.workspace import Workspace
from tests.cli.conftest import Run

pytestmark = pytest.mark.xdist_group("cli")

RATES = """\
name: rates
objective: {metric: val/balanced_accuracy, at: last}
sampler: grid
budget: {seeds: 3}
trial:
  data: {name: digits, noise: {"8": {"1": 0.2}}}
  model: {name: mlp, hidden: [16]}
  training: {epochs: 2, batch_size: 32, optimizer: {name: adam, lr: {choice: [1e-5, 1e-2]}}}
"""


@pytest.fixture(scope="module")
def rates(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Path:
    """A workspace with a finished study `rates`: two learning rates, one far too low, three seeds each."""
    folder = tmp_path_factory.mktemp("rates")
    (folder / "study.yaml").write_text(RATES)
    workspace = Workspace.from_environment(folder, {"SWEEPER_CACHE": str(cache_dir)})
    sweeper.start(folder / "study.yaml", launcher="inline", devices=["cpu"], workspace=workspace)
    return folder


def test_a_clear_difference_is_said_in_words(run: Run, rates: Path) -> None:
    done = run("compare", "rates", "--factor", "training.optimizer.lr", folder=rates)
    assert done.code == 0, done.stderr
    assert "\nvalidation\n" in done.stdout
    assert "\nvalidation, true labels\n" in done.stdout
    assert "\ntrainings  3" in done.stdout  # ten classes stand below each other
    assert "By validation mean class accuracy, 0.01 is first of 2 values of lr, with " in done.stdout
    assert "Worse than 0.01: 1e-5 (−" in done.stdout
    assert "Differences are paired by seed; their intervals are Student's, at 95 % or more." in done.stdout


def test_json_and_csv_say_the_same(run: Run, rates: Path) -> None:
    told = json.loads(run("compare", "rates", "--factor", "lr", "--json", folder=rates).stdout)
    assert (told["factor"], told["metric"]) == ("training.optimizer.lr", "val/balanced_accuracy")
    assert (told["paired_by"], told["n_comparisons"], told["direction"]) == (["seed"], 1, "maximize")
    best, other = told["values"]
    assert [value["verdict"] for value in (best, other)] == ["first", "worse"]
    assert len(best["trials"]) == best["metrics"]["val/accuracy"]["n"] == 3
    assert other["difference_low"] < other["difference"] < other["difference_high"] < 0.0
    assert other["p_holm"] == other["p"] < 0.05
    frame = pd.read_csv(io.StringIO(run("compare", "rates", "--csv", folder=rates).stdout))
    assert frame["difference"][1] == pytest.approx(other["difference"])
    assert frame["val/true_accuracy/8"][0] == pytest.approx(best["metrics"]["val/true_accuracy/8"]["mean"])
    # Both are of the objective.
    tracked = sweeper.runs("rates", workspace=Workspace.from_environment(rates, {}))
    means = tracked.groupby("training.optimizer.lr")["value"].mean()
    assert frame["mean"].tolist() == pytest.approx(sorted(means, reverse=True))


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("compare ra", ["rates"]),
        ("compare rates --factor ", ["training.optimizer.lr", "configuration"]),
        ("compare --json rates --factor tr", ["training.optimizer.lr"]),
        ("report rates --by conf", ["configuration"]),
        ("compare rates --on ", ["val", "test"]),
        ("compare other --factor ", []),
        ("compare --factor ", []),
    ],
)
def test_names_are_completed(rates: Path, monkeypatch: pytest.MonkeyPatch, line: str, completions: list[str]) -> None:
    monkeypatch.chdir(rates)
    *words, incomplete = line.split(" ")
    found = BashComplete(typer.main.get_command(app), {}, "sweeper", "").get_completions(words, incomplete)
    assert [item.value for item in found] == completions


def test_same_runs_same_output(run: Run, rates: Path) -> None:
    assert run("compare", "rates", folder=rates).stdout == run("compare", "rates", folder=rates).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rates", "--factor", "momentum"), "--factor: given 'momentum'; varied has: training.optimizer.lr"),
        (("rates", "--metric", "val/f1"), "'val/f1' was not measured of a complete trial; measured: train/"),
        (("rates", "--on", "test"), "test is measured by `sweeper finalize rates`"),
        (("rates", "--on", "train"), "--on: given 'train'; allowed: val, test"),
        (("other",), "no tracked study 'other'"),
    ],
)
def test_what_cannot_be_compared_is_refused(run: Run, rates: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run("compare", *arguments, folder=rates)
    assert done.code == 2
    assert message in done.stderr


def test_a_random_search_has_no_partners(run: Run, swept: Path) -> None:
    done = run("compare", "small", "--factor", "loss", folder=swept)
    assert done.code == 2
    assert "cannot be compared: no complete trial has a partner" in done.stderr
