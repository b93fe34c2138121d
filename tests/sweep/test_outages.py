"""MLflow's server: used where it is named, and down in the middle and at the end of a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

import sweeper
from sweeper.study.study import Study
from sweeper.sweep.progress import TrialEnded
from sweeper.sweep.record import sync_study
from tests.sweep.accounts import check_accounts
from tests.sweep.conftest import INLINE, CommandLine, open_workspace
from tests.sweep.studies import study_dict, write_study
from tests.sweep.test_sweeps import Watcher
from tests.tracking.mlflow_server import MlflowServer


@pytest.mark.xdist_group("server")
def test_the_server_named_by_the_environment(cli: CommandLine, server: MlflowServer) -> None:
    (cli.folder / "mlflow.db").unlink()
    cli.environment["MLFLOW_TRACKING_URI"] = server.url
    output = cli.call("start", str(write_study(cli.folder, trials=2, keep_models=1)), *INLINE)
    assert "View run" not in output
    check_accounts(cli.folder, n_trials=2, mlflow_db=server.folder / "mlflow.db")
    assert not (cli.folder / "mlflow.db").exists()
    assert not (cli.folder / "mlruns").exists()
    workspace = open_workspace(cli.folder, cli.folder, {"MLFLOW_TRACKING_URI": server.url})
    (best,) = sweeper.best_runs("tiny", workspace=workspace)
    assert best.confusion().to_numpy().sum() > 0
    assert best.load_model().class_names == tuple(str(digit) for digit in range(10))
    assert best.history()["val/accuracy"].max() == best.value


@pytest.mark.xdist_group("outages")
def test_a_server_that_stops_and_starts_in_the_middle(folder: Path, cache_dir: Path, own_server: MlflowServer) -> None:
    own_server.start()
    workspace = open_workspace(folder, cache_dir, {"MLFLOW_TRACKING_URI": own_server.url})

    def stop_and_start(trial: TrialEnded) -> None:
        if trial.number == 1:
            own_server.stop()
        if trial.number == 6:
            own_server.start()

    view = Watcher(stop_and_start)
    study = Study.model_validate(study_dict(trials=8))
    assert sweeper.start(study, launcher="inline", workspace=workspace, view=view).finished
    check_accounts(folder, n_trials=8, mlflow_db=own_server.folder / "mlflow.db")
    # What is said besides, on a slow machine, is that it waits for the last rows.
    told = [message for message in view.messages if not message.startswith("waiting for MLflow to take the last rows")]
    held_up = [message for message in told if message.startswith("tracking is held up, training goes on")]
    assert len(held_up) == 1
    assert told[-1] == "tracking works again"


@pytest.mark.xdist_group("outages")
def test_a_server_that_is_down_at_the_end(folder: Path, cache_dir: Path, own_server: MlflowServer) -> None:
    workspace = open_workspace(folder, cache_dir, {"MLFLOW_TRACKING_URI": own_server.url})
    view = Watcher()
    study = Study.model_validate(study_dict(trials=2))
    assert sweeper.start(study, launcher="inline", workspace=workspace, view=view).finished
    assert any("they are safe on disk, send them with `sweeper sync tiny`" in message for message in view.messages)
    own_server.start()
    database = own_server.folder / "mlflow.db"
    assert sync_study(workspace, "tiny") == 2
    accounts = check_accounts(folder, n_trials=2, mlflow_db=database)
    assert sync_study(workspace, "tiny") == 0
    assert check_accounts(folder, n_trials=2, mlflow_db=database) == accounts
