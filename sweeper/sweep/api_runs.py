"""What is done with single runs and configurations, from Python: `sweeper.reproduce`, `register`, `enqueue`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sweeper.errors import SweeperError
from sweeper.launch.threads import threads
from sweeper.sweep.api import SilentView
from sweeper.sweep.enqueue import Enqueued
from sweeper.sweep.enqueue import enqueue as enqueue_configuration
from sweeper.sweep.progress import View
from sweeper.sweep.reproduce import conclude, prepare_reproduction
from sweeper.sweep.start import SweepOptions, drive
from sweeper.tracking.agreement import Agreement
from sweeper.tracking.subject import find_run
from sweeper.tracking.workspace import Workspace

if TYPE_CHECKING:
    from sweeper.tracking.registry import RegisteredVersion

__all__ = ["enqueue", "register", "reproduce"]


def reproduce(
    run: str,
    *,
    device: str | None = None,
    launcher: str = "local",
    workspace: Workspace | None = None,
    view: View | None = None,
) -> Agreement:
    """Train a tracked run again, from what is tracked, and hold the numbers of both against each other.

    Args:
        run: `STUDY` (its best trial), `STUDY/NUMBER` (one of its trials), or MLflow's id.
        device: Such as `cpu` or `cuda:0`. Default: as the run had.
        launcher: `local` (a worker process) or `inline` (this process, for debugging).
        workspace: Default: the current folder's.
        view: Is told of progress. Default: silence.

    Raises:
        NotFoundError: There is no such run.
        InputError: It cannot be reproduced: it failed, or its device or its data are not here.
        OwnedError: Another reproduction of the study runs.
        SweeperError: It was stopped.
    """
    workspace = workspace or Workspace.from_environment()
    reproduction = prepare_reproduction(workspace, run, device=device)
    options = SweepOptions(launcher=launcher, slots=(reproduction.slot,))
    with threads(reproduction.slot.n_threads):
        result = drive(workspace, reproduction.study, options=options, view=view or SilentView())
    if not result.finished:
        raise SweeperError(f"{reproduction.name}: {result.reason}; calling again goes on from there")
    return conclude(workspace, reproduction)


def register(run: str, name: str, *, alias: str | None = None, workspace: Workspace | None = None) -> RegisteredVersion:
    """Put the model of a run into MLflow's registry; a run that is registered under that name gets no second version.

    Args:
        run: `STUDY` (its best trial), `STUDY/NUMBER` (one of its trials), or MLflow's id.
        name: Of the registered model.
        alias: A further name of this version, which an earlier one loses.
        workspace: Default: the current folder's.

    Raises:
        NotFoundError: There is no such run, or it kept no model.
        InputError: Its outputs are neither classes nor numbers, or a name is one that MLflow does not allow.
        TrackingError: MLflow refused or cannot be reached.
    """
    from sweeper.tracking.registry import register_model  # imports MLflow, which takes seconds

    workspace = workspace or Workspace.from_environment()
    return register_model(workspace, find_run(workspace, run), name, alias=alias)


def enqueue(
    study: str,
    params: Mapping[str, Any] | None = None,
    *,
    like: int | None = None,
    workspace: Workspace | None = None,
) -> Enqueued:
    """Have a configuration tried next; what it leaves open is drawn.

    Args:
        study: Its name.
        params: Values by path, or by the end of it where that is clear: `{"optimizer": "sgd", "optimizer.lr": 0.05}`.
        like: Number of a trial whose values are taken for the others.
        workspace: Default: the current folder's.

    Raises:
        NotFoundError: There is no study of that name.
        InputError: It has no such parameter, trial or value, or draws no trials of its own.
    """
    assignments = [f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in (params or {}).items()]
    return enqueue_configuration(workspace or Workspace.from_environment(), study, assignments, like=like)
