"""`sweeper.start` and `sweeper.finalize`: a sweep, and the test of its best, from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sweeper.errors import InputError
from sweeper.launch.devices import PerGpu
from sweeper.launch.placement import Placement, plan_workers
from sweeper.study.study import Study
from sweeper.sweep.check import check_study
from sweeper.sweep.driver import SweepResult
from sweeper.sweep.finalize import is_done, prepare_tests
from sweeper.sweep.progress import Progress, TrialEnded, View
from sweeper.sweep.start import SweepOptions, drive, prepare
from sweeper.tracking.plugins import remember_plugins
from sweeper.tracking.workspace import Workspace

__all__ = ["SilentView", "finalize", "start"]


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
    address: str | None = None,
    worker_cpus: float | None = None,
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
        launcher: `local` (worker processes), `ray` (a Ray cluster) or `inline` (this process, for debugging).
        address: Of the Ray cluster. Default: `RAY_ADDRESS`, else the one that was started on this machine.
        worker_cpus: CPUs that Ray keeps for each worker. Default: 1.
        trials: Trials to add to those that the study has. Default: up to its budget.
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
    placement = Placement(
        launcher=launcher,
        workers=workers,
        devices=devices,
        per_gpu=per_gpu,
        address=address,
        worker_cpus=worker_cpus,
    )
    slots = plan_workers(placement)
    remember_plugins(workspace, study.name, study.plugins)
    name = prepare(workspace, study, more_trials=trials)
    options = SweepOptions(launcher=launcher, slots=slots, address=address)
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
    address: str | None = None,
    worker_cpus: float | None = None,
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
        launcher: `local` (worker processes), `ray` (a Ray cluster) or `inline` (this process, for debugging).
        address: Of the Ray cluster. Default: `RAY_ADDRESS`, else the one that was started on this machine.
        worker_cpus: CPUs that Ray keeps for each worker. Default: 1.
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
    placement = Placement(
        launcher=launcher,
        workers=workers,
        devices=devices,
        per_gpu=per_gpu,
        address=address,
        worker_cpus=worker_cpus,
    )
    options = SweepOptions(launcher=launcher, slots=plan_workers(placement), address=address)
    return drive(workspace, tests.name, options=options, view=view)
