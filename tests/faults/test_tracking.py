"""A real MLflow server behind a faulty proxy: every row once, one run a trial, whatever becomes of requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import sweeper
from sweeper.errors import TrackingError
from sweeper.study.study import Study
from sweeper.sweep.progress import TrialEnded
from sweeper.sweep.record import sync_study
from sweeper.tracking.workspace import Workspace
from tests.faults.proxy import FaultyProxy, FirstAndSome
from tests.sweep.accounts import check_accounts
from tests.sweep.conftest import open_workspace
from tests.sweep.studies import study_dict
from tests.sweep.test_sweeps import Watcher
from tests.tracking.mlflow_server import MlflowServer

pytestmark = pytest.mark.xdist_group("server")

KINDS = (
    "POST experiments/create",
    "POST runs/create",
    "POST runs/search",
    "POST runs/log-batch",
    "POST runs/update",
    "GET runs/get",
    "PUT artifacts",
)
"""Requests that a sweep makes."""


@pytest.fixture
def proxy(server: MlflowServer) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def tracked(folder: Path, cache_dir: Path, proxy: FaultyProxy) -> Workspace:
    """A workspace that is tracked through the proxy."""
    return open_workspace(folder, cache_dir, {"MLFLOW_TRACKING_URI": proxy.url})


def sync_to_the_end(workspace: Workspace, name: str) -> None:
    """As a user would: again, until all is sent."""
    for _ in range(50):
        try:
            if sync_study(workspace, name) == 0:
                return
        except TrackingError:
            continue
    raise AssertionError("not all was sent in 50 times")


def test_answers_dropped_after_the_request_was_carried_out(
    tracked: Workspace, folder: Path, proxy: FaultyProxy, server: MlflowServer
) -> None:
    proxy.drops = FirstAndSome(share=0.1, seed=1)
    study = Study.model_validate(study_dict("dropped", trials=3, epochs=4, keep_models=1))
    assert sweeper.start(study, launcher="inline", workspace=tracked).finished
    sync_to_the_end(tracked, "dropped")
    assert set(KINDS) <= set(proxy.n_dropped), f"asked {dict(proxy.n_asked)}, dropped {dict(proxy.n_dropped)}"
    proxy.drops = lambda kind: False
    check_accounts(folder, "dropped", n_trials=3, mlflow_db=server.folder / "mlflow.db")
    (best,) = sweeper.best_runs("dropped", workspace=tracked)
    assert best.confusion().to_numpy().sum() > 0
    assert best.load_model().class_names


def test_a_server_that_answers_late(tracked: Workspace, folder: Path, proxy: FaultyProxy, server: MlflowServer) -> None:
    proxy.delay_seconds = 0.5
    study = Study.model_validate(study_dict("late", trials=1, epochs=4))
    assert sweeper.start(study, launcher="inline", workspace=tracked).finished
    check_accounts(folder, "late", n_trials=1, mlflow_db=server.folder / "mlflow.db")


def test_a_server_that_is_away_for_a_while(
    tracked: Workspace, folder: Path, proxy: FaultyProxy, server: MlflowServer
) -> None:
    def fail(trial: TrialEnded) -> None:
        proxy.is_down = trial.number < 4
        assert trial.seconds < 60, "training waited for the tracker"

    view = Watcher(fail)
    study = Study.model_validate(study_dict("away", trials=6, epochs=3))
    assert sweeper.start(study, launcher="inline", workspace=tracked, view=view).finished
    sync_to_the_end(tracked, "away")
    check_accounts(folder, "away", n_trials=6, mlflow_db=server.folder / "mlflow.db")
