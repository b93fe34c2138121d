"""Sweeps in this process: what becomes of trials, budgets and models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch

import sweeper
from sweeper.errors import InputError, SweeperError
from sweeper.launch.inline import InlineLauncher
from sweeper.launch.launcher import WorkerSlot
from sweeper.launch.messages import Attempt
from sweeper.search.optimizer import Proposal
from sweeper.study.study import Study
from sweeper.sweep.driver import SweepResult
from sweeper.sweep.progress import Progress, TrialEnded
from sweeper.sweep.start import SweepOptions, drive, prepare
from sweeper.sweep.store import open_store
from sweeper.tracking.workspace import StudyFiles, Workspace
from sweeper.training import checkpoint
from tests.sweep.accounts import Trial, check_accounts, read_accounts
from tests.sweep.conftest import open_workspace, prepare_folder
from tests.sweep.studies import study_dict

CLOCKED = ("seconds", "pictures_per_second")


class Watcher:
    """A view that remembers, and may do something when a trial has ended."""

    def __init__(self, on_trial: Callable[[TrialEnded], None] = lambda trial: None) -> None:
        self.messages: list[str] = []
        self.trials: list[TrialEnded] = []
        self._on_trial = on_trial

    def update(self, progress: Progress) -> None:
        pass

    def trial_ended(self, trial: TrialEnded) -> None:
        self.trials.append(trial)
        self._on_trial(trial)

    def message(self, text: str) -> None:
        self.messages.append(text)


Sweep: TypeAlias = Callable[..., SweepResult]


@pytest.fixture
def sweep(workspace: Workspace) -> Sweep:
    """Runs a tiny study in this process; keywords as of `study_dict`."""

    def run(*, view: Watcher | None = None, more: int | None = None, **parts: Any) -> SweepResult:
        study = Study.model_validate(study_dict(**parts))
        return sweeper.start(study, launcher="inline", workspace=workspace, view=view, trials=more)

    return run


def stored_files(workspace: Workspace, study: Study) -> StudyFiles:
    prepare(workspace, study)
    return workspace.study_files(study.name, open_store(workspace).read(study.name).uuid)


def measured(trial: Trial) -> dict[str, list[tuple[int, float]]]:
    return {metric: rows for metric, rows in trial.rows.items() if metric not in CLOCKED}


def test_the_same_study_gives_the_same_numbers(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> None:
    study = Study.model_validate(study_dict(trials=4, sampler={"name": "tpe", "seed": 5, "n_startup_trials": 2}))
    both = []
    for name in ("one", "other"):
        folder = tmp_path_factory.mktemp(name)
        prepare_folder(tmp_path_factory, folder)
        sweeper.start(study, launcher="inline", workspace=open_workspace(folder, cache_dir))
        both.append(check_accounts(folder, n_trials=4).trials)
    for one, other in zip(*both, strict=True):
        assert one.value == other.value
        assert one.params == other.params
        assert measured(one) == measured(other)
    assert len({trial.params["training.optimizer.lr"] for trial in both[0]}) == 4


def test_trials_are_added(sweep: Sweep, folder: Path) -> None:
    assert sweep(trials=2).finished
    assert sweep(trials=2, more=2).finished
    accounts = check_accounts(folder, n_trials=4)
    assert sweep(trials=5).finished, "a larger budget in the file is no other study"
    assert check_accounts(folder, n_trials=5).trials[:4] == accounts.trials


def test_trials_are_added_to_what_is_left(workspace: Workspace) -> None:
    study = Study.model_validate(study_dict(trials=5))
    prepare(workspace, study)
    prepare(workspace, study, more_trials=20)  # of the five, none has begun
    assert open_store(workspace).read("tiny").n_trials == 25
    prepare(workspace, study)
    assert open_store(workspace).read("tiny").n_trials == 25

    grid = {"sampler": {"name": "grid"}, "training": {"optimizer": {"name": "adam", "lr": {"choice": [0.1, 0.2, 0.3]}}}}
    study = Study.model_validate(study_dict("grid", trials=1, **grid))
    prepare(workspace, study)
    with pytest.raises(InputError, match="given 3; allowed: at most 2, since the grid of grid has 3 points"):
        prepare(workspace, study, more_trials=3)
    prepare(workspace, study, more_trials=2)
    with pytest.raises(InputError, match="given 1; allowed: none"):
        prepare(workspace, study, more_trials=1)
    with pytest.raises(InputError, match="given 4; allowed: at most 3"):
        prepare(workspace, Study.model_validate(study_dict("other", **grid)), more_trials=4)


def test_a_loss_that_is_infinite(sweep: Sweep, folder: Path) -> None:
    view = Watcher()
    sweep(
        view=view,
        trials=3,
        epochs=20,
        sampler={"name": "grid"},
        trial={
            "data": {"name": "digits", "validation": 0.2},
            "model": {"name": "mlp", "hidden": [32, 32, 32]},
            "training": {
                "epochs": 3,
                "batch_size": 64,
                "optimizer": {"name": "sgd", "lr": {"choice": [1e-2, 1e3]}, "momentum": 0.9},
            },
        },
    )
    trials = check_accounts(folder, n_trials=2).trials
    (failed,) = (trial for trial in trials if trial.state == "FAIL")
    assert failed.params["training.optimizer.lr"] == "1000.0"
    assert failed.tags["sweeper.reason"] == "diverged"
    assert "loss" in failed.tags["sweeper.error"]
    assert failed.tags["sweeper.attempt"] == "1", "it was tried again"
    assert [ended.reason for ended in view.trials if ended.state == "FAIL"] == ["diverged"]
    workspace = open_workspace(folder, folder)
    (best,) = sweeper.best_runs("tiny", k=5, workspace=workspace)
    assert best.number != failed.number
    frame = sweeper.runs("tiny", workspace=workspace).set_index("number")
    assert frame["value"].isna()[failed.number]


def test_a_trial_that_raises_is_tried_again_and_then_fails(workspace: Workspace, folder: Path) -> None:
    study = Study.model_validate(study_dict(trials=3))
    trial = stored_files(workspace, study).trial(1)
    trial.folder.mkdir(parents=True)
    torch.save({"training": {}}, trial.checkpoint)  # a checkpoint that does not fit
    view = Watcher()
    assert sweeper.start(study, launcher="inline", workspace=workspace, view=view).finished
    trials = check_accounts(folder, n_trials=3).trials
    assert [each.state for each in trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert (trials[1].tags["sweeper.reason"], trials[1].tags["sweeper.error"]) == ("error", "KeyError: 'epoch'")
    assert trials[1].tags["sweeper.attempt"] == "2"
    assert view.messages == ["trial 1: KeyError: 'epoch'; trying again"]
    (traceback,) = (folder / "mlruns").rglob(f"{trials[1].run_id}/artifacts/traceback.txt")
    assert "Traceback (most recent call last)" in traceback.read_text()
    assert "load_state_dict" in traceback.read_text()


def test_a_study_of_which_all_trials_fail_ends_early(workspace: Workspace, folder: Path) -> None:
    study = Study.model_validate(study_dict(trials=20))
    files = stored_files(workspace, study)
    for number in range(20):
        files.trial(number).folder.mkdir(parents=True)
        torch.save({"training": {}}, files.trial(number).checkpoint)
    with pytest.raises(SweeperError, match=r"the first 5 trials all failed.*KeyError: 'epoch'"):
        sweeper.start(study, launcher="inline", workspace=workspace)
    accounts = check_accounts(folder, n_trials=20, finished=False)
    assert [trial.state for trial in accounts.trials[:5]] == ["FAIL"] * 5


def test_bad_input_ends_the_sweep_and_leaves_it_resumable(workspace: Workspace, folder: Path) -> None:
    parts = study_dict(trials=2)
    parts["trial"]["data"] = {"name": "folder", "path": str(folder / "pictures")}
    with pytest.raises(InputError, match="pictures"):
        sweeper.start(Study.model_validate(parts), launcher="inline", workspace=workspace)
    accounts = check_accounts(folder, n_trials=2, finished=False)
    assert {trial.state for trial in accounts.trials} == {"WAITING"}


def test_pruned_trials(sweep: Sweep, folder: Path) -> None:
    sweep(
        trials=8,
        epochs=4,
        pruner={"name": "percentile", "percentile": 1.0, "n_startup_trials": 1, "min_epochs": 1},
    )
    trials = check_accounts(folder, n_trials=8).trials
    pruned = [trial for trial in trials if trial.state == "PRUNED"]
    assert pruned
    assert all(1 <= len(trial.rows["val/accuracy"]) < 4 for trial in pruned)


def test_several_seeds(sweep: Sweep, folder: Path) -> None:
    sweep(budget={"trials": 2, "seeds": 2})
    trials = check_accounts(folder, n_trials=4).trials
    by_lr: dict[str, list[str]] = {}
    for trial in trials:
        by_lr.setdefault(trial.params["training.optimizer.lr"], []).append(trial.params["seed"])
    assert [sorted(seeds) for seeds in by_lr.values()] == [["0", "1"], ["0", "1"]]


def test_no_models_are_kept_where_none_are_wanted(sweep: Sweep, folder: Path) -> None:
    sweep(keep_models=0)
    check_accounts(folder, n_trials=3)
    assert not list(folder.rglob("model.pt"))


def test_nothing_is_left_behind_of_trials_that_ended(sweep: Sweep, folder: Path) -> None:
    sweep(trials=4, keep_models=1)
    trials = read_accounts(folder).trials
    best = max(trials, key=lambda trial: (trial.value, -trial.number))
    left = sorted((path.parent.name, path.name) for path in (folder / ".sweeper").rglob("*.pt"))
    assert left == [(f"{best.number:05d}", "last.pt"), (f"{best.number:05d}", "model.pt")]


def test_minimizing_the_last_loss(sweep: Sweep, folder: Path) -> None:
    sweep(objective={"metric": "val/loss", "at": "last"}, keep_models=1)
    accounts = read_accounts(folder)
    for trial in accounts.trials:
        assert trial.value == trial.rows["val/loss"][-1][1]
    (best,) = sweeper.best_runs("tiny", workspace=open_workspace(folder, folder))
    assert best.value == min(trial.value for trial in accounts.trials if trial.value is not None)


def test_deleted_and_started_anew(sweep: Sweep, workspace: Workspace, folder: Path) -> None:
    from sweeper.sweep.control import delete_study

    sweep(trials=3)
    first = read_accounts(folder).uuid
    delete_study(workspace, "tiny")
    assert open_store(workspace).names() == []
    assert not (folder / ".sweeper" / "tiny").exists()
    sweep(trials=2)
    assert check_accounts(folder, n_trials=2).uuid != first
    assert len(sweeper.runs("tiny", workspace=workspace)) == 2


def test_a_budget_of_seconds(sweep: Sweep, folder: Path) -> None:
    result = sweep(trials=1000, epochs=3, budget={"trials": 1000, "timeout_seconds": 1.0})
    assert not result.finished
    assert "1 s are spent" in result.reason
    accounts = check_accounts(folder, n_trials=1000, finished=False)
    n_trials = len(accounts.trials)
    assert n_trials < 1000
    assert not sweep(trials=1000, epochs=3, budget={"trials": 1000, "timeout_seconds": 1.0}).finished
    assert len(read_accounts(folder).trials) <= n_trials + 1


def test_a_worker_gets_its_next_trial_before_the_last_one_is_told(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[tuple[str, int]] = []

    class Launcher(InlineLauncher):
        def submit(self, worker: int, attempt: Attempt) -> None:
            happened.append(("submitted", attempt.number))
            super().submit(worker, attempt)

    launcher = Launcher(device="cpu", places=workspace.places)
    monkeypatch.setattr("sweeper.sweep.start._build_launcher", lambda *_: launcher)
    monkeypatch.setattr(Proposal, "stored", True)  # the database is fast enough
    monkeypatch.setattr("sweeper.sweep.asking.SHORT_TRIAL_SECONDS", 1e9)  # and so is the machine
    study = Study.model_validate(study_dict(trials=4))
    view = Watcher(lambda trial: happened.append(("told", trial.number)))
    slots = (WorkerSlot(index=0, device="cpu", n_threads=1),)
    drive(workspace, prepare(workspace, study), options=SweepOptions(slots=slots), view=view)
    # From the first trial on it is known that trials are short, and one is asked for ahead.
    first = [("submitted", 0), ("told", 0), ("submitted", 1)]
    assert happened == [*first, ("submitted", 2), ("told", 1), ("submitted", 3), ("told", 2), ("told", 3)]
    check_accounts(workspace.root, n_trials=4)


def test_only_models_that_may_be_kept_are_written(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def save_whole(path: Path, state: Any, *, durable: bool = True) -> None:
        written.append(int(path.parent.name))
        checkpoint.save_whole(path, state, durable=durable)

    monkeypatch.setattr("sweeper.launch.attempt.save_whole", save_whole)
    study = Study.model_validate(study_dict(trials=8, keep_models=2))
    sweeper.start(study, launcher="inline", workspace=workspace)
    trials = read_accounts(workspace.root).trials
    values = [trial.value for trial in trials if trial.value is not None]
    places = sorted(range(8), key=lambda number: (-values[number], number))
    files = stored_files(workspace, study)
    kept = {number for number in range(8) if files.trial(number).model.exists()}
    assert kept == set(places[:2])
    # A trial that is asked for ahead begins before the last one has been counted.
    known = [sorted(values[: max(number - 1, 0)], reverse=True) for number in range(8)]
    may_be_kept = {number for number in range(8) if len(known[number]) < 2 or values[number] >= known[number][1]}
    assert kept <= set(written) <= may_be_kept
    assert len(may_be_kept) < 8, "this sweep shows nothing"
