"""What commands do, from Python: `sweeper.start`, `sweeper.finalize` and so on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.errors import InputError, SweeperError
from sweeper.launch.devices import PerGpu, choose_devices, plan_slots
from sweeper.launch.threads import threads
from sweeper.study.study import Study
from sweeper.sweep.check import check_study
from sweeper.sweep.derived import is_done
from sweeper.sweep.driver import SweepResult
from sweeper.sweep.enqueue import Enqueued
from sweeper.sweep.enqueue import enqueue as enqueue_configuration
from sweeper.sweep.finalize import prepare_tests
from sweeper.sweep.progress import Progress, TrialEnded, View
from sweeper.sweep.promote import prepare_promotion
from sweeper.sweep.reproduce import conclude, prepare_reproduction
from sweeper.sweep.start import SweepOptions, drive, prepare
from sweeper.tracking.agreement import Agreement
from sweeper.tracking.subject import find_run
from sweeper.tracking.workspace import Workspace

if TYPE_CHECKING:
    from sweeper.tracking.registry import RegisteredVersion

__all__ = ["SilentView", "enqueue", "finalize", "promote", "register", "reproduce", "start"]


class SilentView:
    """Shows nothing."""

    def update(self, progress: Progress) -> None:
        pass

    def trial_ended(self, trial: TrialEnded) -> None:
        pass

    def message(self, text: str) -> None:
        pass


def start(
    study: Study | str | Path,
    *,
    workers: int | None = None,
    devices: Sequence[str] | None = None,
    per_gpu: PerGpu = 1,
    launcher: str = "local",
    trials: int | None = None,
    overrides: Sequence[str] = (),
    workspace: Workspace | None = None,
    view: View | None = None,
) -> SweepResult:
    """Run a study's sweep to the end of its budget; returns when it has ended.

    Args:
        study: A `Study`, or the path of a study file.
        workers: Number of workers. Default: one a GPU, else one a CPU, at most 4.
        devices: Such as `["cuda:0", "cuda:1"]` or `["cpu"]`. Default: all that no other sweep has.
        per_gpu: Workers on each GPU; `"auto"`: as many as fit beside each other.
        launcher: `local` (worker processes) or `inline` (this process, for debugging).
        trials: Trials to add to those that are done or still to be done; of a new study, their number. Default: up to
            its budget.
        overrides: As of `--set`: `["trial.training.epochs=3"]`. For study files only.
        workspace: Default: the current folder's.
        view: Is told of progress. Default: silence.

    Raises:
        StudyFileError: The file has faults.
        StudyExistsError: A study of that name with other contents is stored.
        OwnedError: Another driver owns the study.
    """
    workspace = workspace or Workspace.from_environment()
    if not isinstance(study, Study):
        study = check_study(Path(study), overrides, data_dir=workspace.data_dir).study
    options = _options(workers, devices, per_gpu, launcher)
    name = prepare(workspace, study, more_trials=trials)
    return drive(workspace, name, options=options, view=view or SilentView())


def finalize(
    study: str,
    *,
    top: int = 3,
    seeds: int = 5,
    trials: Sequence[int] = (),
    workers: int | None = None,
    devices: Sequence[str] | None = None,
    per_gpu: PerGpu = 1,
    launcher: str = "local",
    workspace: Workspace | None = None,
    view: View | None = None,
) -> SweepResult:
    """Train the best configurations of a study again, with seeds that the search did not use, and measure them on the
    test part; returns when that has ended. What was tested before is left as it is. `sweeper.final_runs` has the runs.

    Args:
        study: Its name.
        top: How many configurations, the best by validation first.
        seeds: How often each is trained.
        trials: Numbers of complete trials whose configurations are tested instead of the best.
        workers: Number of workers. Default: one a GPU, else one a CPU, at most 4.
        devices: Such as `["cuda:0", "cuda:1"]` or `["cpu"]`. Default: all that no other sweep has.
        per_gpu: Workers on each GPU; `"auto"`: as many as fit beside each other.
        launcher: `local` (worker processes) or `inline` (this process, for debugging).
        workspace: Default: the current folder's.
        view: Is told of progress and of what should be known. Default: silence.

    Raises:
        NotFoundError: There is no study of that name.
        InputError: Nothing of it can be tested: no complete trial, or no test part.
        OwnedError: The study still runs, or its tests do.
    """
    for name, value in (("top", top), ("seeds", seeds)):
        if value < 1:
            raise InputError(f"{name}: given {value}; allowed: 1 or more")
    workspace, view = workspace or Workspace.from_environment(), view or SilentView()
    tests = prepare_tests(workspace, study, top=top, seeds=seeds, trials=trials)
    for note in tests.notes:
        view.message(note)
    if is_done(workspace, tests.name):
        return SweepResult(finished=True, reason="")
    return drive(workspace, tests.name, options=_options(workers, devices, per_gpu, launcher), view=view)


def promote(
    study: str,
    *,
    epochs: int,
    top: int = 5,
    trials: Sequence[int] = (),
    workers: int | None = None,
    devices: Sequence[str] | None = None,
    per_gpu: PerGpu = 1,
    launcher: str = "local",
    workspace: Workspace | None = None,
    view: View | None = None,
) -> SweepResult:
    """Continue the best trials of a study for longer, from their last epoch; returns when that has ended. Their runs
    are those of the study `NAME.promoted`; what was trained before is left as it is.

    Args:
        study: Its name.
        epochs: Epochs in all, those that a trial has included.
        top: How many configurations, the best first.
        trials: Numbers of complete trials that are continued instead of the best.
        workers: Number of workers. Default: one a GPU, else one a CPU, at most 4.
        devices: Such as `["cuda:0", "cuda:1"]` or `["cpu"]`. Default: all that no other sweep has.
        per_gpu: Workers on each GPU; `"auto"`: as many as fit beside each other.
        launcher: `local` (worker processes) or `inline` (this process, for debugging).
        workspace: Default: the current folder's.
        view: Is told of progress and of what should be known. Default: silence.

    Raises:
        NotFoundError: There is no study of that name.
        InputError: Nothing of it can be continued so: no complete trial, or none with fewer epochs.
        OwnedError: The study still runs, or its continued trials do.
    """
    if top < 1:
        raise InputError(f"top: given {top}; allowed: 1 or more")
    workspace, view = workspace or Workspace.from_environment(), view or SilentView()
    promotion = prepare_promotion(workspace, study, top=top, epochs=epochs, trials=trials)
    for note in promotion.notes:
        view.message(note)
    if is_done(workspace, promotion.name):
        return SweepResult(finished=True, reason="")
    return drive(workspace, promotion.name, options=_options(workers, devices, per_gpu, launcher), view=view)


def _options(workers: int | None, devices: Sequence[str] | None, per_gpu: PerGpu, launcher: str) -> SweepOptions:
    slots = plan_slots(choose_devices(devices), n_workers=1 if launcher == "inline" else workers, per_gpu=per_gpu)
    return SweepOptions(launcher=launcher, slots=tuple(slots))


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
