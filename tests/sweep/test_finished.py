"""A finished sweep: what is tracked, and what can be asked of it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

import sweeper
from sweeper.data.store import open_dataset
from sweeper.errors import NotFoundError
from sweeper.study.config import TrialConfig
from sweeper.tracking.runs import TrackedRun
from sweeper.tracking.workspace import Workspace
from tests.sweep.accounts import Trial, check_accounts
from tests.sweep.conftest import FINISHED, CommandLine, open_workspace
from tests.sweep.studies import write_study

pytestmark = pytest.mark.xdist_group("finished")


@pytest.fixture(scope="module")
def trials(finished: CommandLine) -> list[Trial]:
    return check_accounts(finished.folder, n_trials=8).trials


@pytest.fixture(scope="module")
def place(finished: CommandLine, cache_dir: Path) -> Workspace:
    return open_workspace(finished.folder, cache_dir)


def artifact_names(finished: CommandLine, trial: Trial) -> set[str]:
    (root,) = (finished.folder / "mlruns").rglob(f"{trial.run_id}/artifacts")
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_every_trial_once(trials: list[Trial]) -> None:
    assert {trial.state for trial in trials} == {"COMPLETE"}


def test_params_are_dotted_and_typed(trials: list[Trial], place: Workspace) -> None:
    for trial in trials:
        assert {
            "training.optimizer.lr",
            "model.hidden",
            "data.name",
            "seed",
            "training.loss.name",
        } <= trial.params.keys()
        assert ("training.optimizer.momentum" in trial.params) == (trial.params["training.optimizer.name"] == "sgd")
        assert trial.params["model.hidden"] == "[16]"
    assert {trial.params["training.optimizer.name"] for trial in trials} == {"adam", "sgd"}


def test_tags(trials: list[Trial]) -> None:
    for trial in trials:
        assert trial.tags["sweeper.number"] == str(trial.number)
        assert trial.tags["sweeper.attempt"] == "1"
        assert trial.tags["sweeper.device"] == "cpu"
        assert trial.tags["sweeper.value"] == repr(trial.value)
        assert trial.tags["mlflow.runName"] == f"trial-{trial.number:03d}"
        for name in ("host", "torch", "mlflow", "optuna", "python", "data_fingerprint", "best_epoch", "n_parameters"):
            assert trial.tags[f"sweeper.{name}"]


def test_artifacts_and_only_the_best_models(finished: CommandLine, trials: list[Trial]) -> None:
    ranked = sorted(trials, key=lambda trial: (-(trial.value or 0.0), trial.number))
    common = {"config.json", "confusion.json", "data.json", "layers.json", "model.json"}
    for rank, trial in enumerate(ranked):
        models = {"model/model.pt", "model/model.json"} if rank < 2 else set()
        assert artifact_names(finished, trial) == common | models


def test_pictures_of_the_data_are_artifacts_of_the_study(finished: CommandLine) -> None:
    (picture,) = (finished.folder / "mlruns").rglob("data/pictures.png")
    assert (picture.parent.parent / "study.json").exists()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_runs_are_typed(place: Workspace, trials: list[Trial]) -> None:
    frame = sweeper.runs("tiny", workspace=place)
    assert frame["number"].tolist() == list(range(8))
    assert frame["value"].tolist() == [trial.value for trial in trials]
    assert frame["training.epochs"].dtype == "int64"
    assert frame["training.batch_size"].dtype == "int64"
    assert frame["training.optimizer.lr"].dtype == "float64"
    assert frame["model.hidden"][0] == [16]
    assert frame["data.normalize"].dtype == "bool"
    assert (frame["trial_seconds"] > 0).all()
    assert frame["val/accuracy"].dtype == "float64"
    assert (frame["start"].dt.tz_convert("UTC").dt.year > 2000).all()
    assert frame["start"].dt.tz.utcoffset(None) == timedelta(0)


def test_the_best_runs(place: Workspace, trials: list[Trial]) -> None:
    best = sweeper.best_runs("tiny", k=8, workspace=place)
    expected = sorted(trials, key=lambda trial: (-(trial.value or 0.0), trial.number))
    assert [run.number for run in best] == [trial.number for trial in expected]
    assert [run.number for run in sweeper.best_runs("tiny", workspace=place)] == [expected[0].number]


@pytest.fixture(scope="module")
def best(place: Workspace, trials: list[Trial]) -> TrackedRun:
    return sweeper.best_runs("tiny", k=1, workspace=place)[0]


def test_history_and_confusion_agree(best: TrackedRun) -> None:
    history = best.history()
    epoch = int(best.record.tags["sweeper.best_epoch"])
    assert history.index.tolist() == [1, 2, 3]
    assert history["val/accuracy"].idxmax() == epoch
    assert history["val/accuracy"].max() == best.value
    for part in ("train", "val"):
        confusion = best.confusion(part).to_numpy()
        assert confusion.trace() / confusion.sum() == history[f"{part}/accuracy"][epoch]
        per_class = best.per_class()[part]
        assert per_class.index.tolist() == [str(digit) for digit in range(10)]
        assert (confusion.diagonal() / confusion.sum(axis=1)).tolist() == per_class.tolist()


def test_the_model_has_the_accuracy_that_was_tracked(best: TrackedRun, cache_dir: Path) -> None:
    config = TrialConfig.model_validate(best.artifact_json("config.json"))
    split = open_dataset(config.data, cache_dir=cache_dir).validation
    images_NCHW, labels_N = split.images_NCHW[split.indices_M], split.labels_N[split.indices_M]
    model = best.load_model()
    with torch.inference_mode():
        accuracy = (model(images_NCHW).argmax(1) == labels_N).sum().item() / len(labels_N)
    assert accuracy == best.value
    right = sum(name == str(label) for name, label in zip(model.predict(images_NCHW), labels_N.tolist(), strict=True))
    assert right / len(labels_N) == best.value


def test_asking_imports_no_torch(finished: CommandLine) -> None:
    program = (
        "import sys, sweeper; sweeper.runs('tiny'); b = sweeper.best_runs('tiny')[0]; "
        "b.history(); b.per_class(); b.confusion(); assert 'torch' not in sys.modules; "
        "assert 'mlflow' not in sys.modules; b.load_model(); assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=finished.folder, env=finished.environment, check=True)


def test_status_is_finished(finished: CommandLine) -> None:
    (status,) = json.loads(finished.call("status", "--json"))
    assert (status["state"], status["n_complete"], status["n_left"], status["owner"]) == ("finished", 8, 0, None)
    assert "tiny" in finished.call("status")
    assert finished.call("watch", "tiny") == "tiny is not running\n"
    assert finished.call("stop", "tiny") == "tiny is not running\n"


def test_everything_was_sent(finished: CommandLine) -> None:
    assert finished.call("sync") == "tiny: all sent\n"


def test_starting_again_says_so_quickly(finished: CommandLine) -> None:
    before = check_accounts(finished.folder, n_trials=8)
    output = finished.call("start", "tiny.yaml")
    assert "all its 8 trials had ended before; add more with: sweeper start FILE --trials N" in output
    assert "8 done, 0 pruned, 0 failed" in output
    assert check_accounts(finished.folder, n_trials=8) == before
    assert "had ended before" in finished.call("resume", "tiny")


def test_a_changed_file_is_refused_with_the_difference(finished: CommandLine, tmp_path: Path) -> None:
    changed: dict[str, Any] = {**FINISHED, "epochs": 4, "sampler": {"name": "random", "seed": 1}}
    output = finished.call("start", str(write_study(tmp_path, **changed)), exit_code=2)
    assert "trial.training.epochs: stored 3, given 4" in output
    assert "sampler.name: stored 'tpe', given 'random'" in output
    assert "--set name=tiny-2" in output
    assert "sweeper resume tiny" in output
    assert "sweeper delete tiny" in output


def test_unknown_names(finished: CommandLine) -> None:
    for command in ("resume", "stop", "watch", "status", "runs", "best"):
        output = finished.call(command, "tinny", exit_code=2)
        assert "tinny" in output
        assert "studies there: tiny" in output
    assert "studies there: tiny" in finished.call("sync", "tinny", exit_code=None)


def test_the_best_on_the_command_line(finished: CommandLine, trials: list[Trial]) -> None:
    best = json.loads(finished.call("best", "tiny", "--top", "3", "--json"))
    assert [run["value"] for run in best] == sorted((trial.value or 0.0 for trial in trials), reverse=True)[:3]
    assert len(finished.call("runs", "tiny", "--csv").splitlines()) == 9


def test_a_notebook_shows_it(place: Workspace, trials: list[Trial]) -> None:
    sweep = sweeper.Sweep("tiny", workspace=place)
    assert repr(sweep) == "<Sweep tiny finished, 8 of 8 trials>"
    assert sweep.wait(timeout_seconds=0).state == "finished"
    best = max(trial.value or 0.0 for trial in trials)
    for text in ("8 of 8", "finished", f"{best:.6g}"):
        assert text in sweep._repr_html_()
    shown = sweep.study._repr_html_()
    assert "Bird&#x27;s eye view" in shown, "what users write is escaped"
    assert '<td style="text-align:left">0.001 to 0.01, logarithmic</td>' in shown
    assert '<td style="text-align:left">adam, sgd</td>' in shown
    (run,) = sweep.best()
    for text in ("COMPLETE", run.run_id, "training.optimizer.lr", "val/accuracy"):
        assert text in run._repr_html_()
    assert len(sweep.runs()) == 8
    with pytest.raises(NotFoundError, match="no study 'other'"):
        sweeper.Sweep("other", workspace=place)


def test_figures_of_the_report(place: Workspace) -> None:
    figures = sweeper.figures("tiny", sections=["curves", "confusion"], workspace=place)
    assert list(figures) == ["curves-loss", "curves-accuracy", "confusion-val", "confusion-train"]
    figure = figures["curves-loss"]
    bundle = figure._repr_mimebundle_()
    assert bundle["image/svg+xml"].startswith("<?xml")
    assert figure.data["epoch"].tolist() == [1, 2, 3]
    assert figure.plotly.data
    assert "<code>confusion-val</code>" in figures._repr_html_()
    with pytest.raises(NotFoundError, match="no figure 'other'; there are curves-loss"):
        figures["other"]
