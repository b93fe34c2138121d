"""Sweeps from Python: `sweeper.start`, `sweeper.start_detached`, `sweeper.finalize`, `sweeper.promote`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sweeper.errors import InputError
from sweeper.launch.devices import PerGpu
from sweeper.launch.placement import Placement, plan_workers
from sweeper.study.plugins.sources import refuse_while_importing, sources_of
from sweeper.study.study import Study
from sweeper.study.words import show
from sweeper.sweep.check import check_study
from sweeper.sweep.derived import is_done
from sweeper.sweep.detach import detach
from sweeper.sweep.driver import SweepResult
from sweeper.sweep.finalize import prepare_tests
from sweeper.sweep.handle import Sweep
from sweeper.sweep.progress import Progress, TrialEnded, View
from sweeper.sweep.promote import prepare_promotion
from sweeper.sweep.start import SweepOptions, drive, prepare
from sweeper.tracking.plugins import remember_plugins
from sweeper.tracking.workspace import Workspace

__all__ = ["SilentView", "finalize", "promote", "start", "start_detached"]


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
        launcher: `local` (worker processes), `ray` (a Ray cluster), `inline` (this process, for debugging), or a
            plugin's.
        address: Of the Ray cluster. Default: `RAY_ADDRESS`, else the one that was started on this machine.
        worker_cpus: CPUs that Ray keeps for each worker. Default: 1.
        trials: Trials to add to those that are done or still to be done; of a new study, their number. Default: up to
            its budget.
        overrides: As of `--set`: `["trial.training.epochs=3"]`.
        workspace: Default: the current folder's.
        view: Is told of progress. Default: silence.

    Raises:
        StudyError: The study has faults; each is named with its field, and of a file with its line.
        StudyExistsError: A study of that name with other contents is stored.
        OwnedError: Another driver owns the study.
        PluginError: A part of the study that this process has registered is in no file that workers could import; or a
            plugin that is being imported calls this.
    """
    refuse_while_importing()
    workspace = workspace or Workspace.from_environment()
    study = _checked(study, overrides, workspace)
    options = _options(launcher, workers, devices, per_gpu, address, worker_cpus)
    remember_plugins(workspace, study.name, study.plugins)
    if launcher != "inline":
        remember_plugins(workspace, study.name, _own_sources(study))
    name = prepare(workspace, study, more_trials=trials)
    return drive(workspace, name, options=options, view=view or SilentView())


def start_detached(
    study: Study | str | Path,
    *,
    workers: int | None = None,
    devices: Sequence[str] | None = None,
    per_gpu: PerGpu = 1,
    trials: int | None = None,
    overrides: Sequence[str] = (),
    workspace: Workspace | None = None,
) -> Sweep:
    """Run a study's sweep in the background, in a process that outlives this one; returns when it has begun.

    Args:
        study: A `Study`, or the path of a study file.
        workers: As of `start`.
        devices: As of `start`.
        per_gpu: As of `start`.
        trials: As of `start`.
        overrides: As of `start`.
        workspace: Default: the current folder's. Its databases are those of the environment.

    Raises:
        StudyError: The study has faults; each is named with its field, and of a file with its line.
        StudyExistsError: A study of that name with other contents is stored.
        OwnedError: Another driver owns the study.
        PluginError: A part of the study that this process has registered is in no file that workers could import; or a
            plugin that is being imported calls this.
    """
    refuse_while_importing()
    workspace = workspace or Workspace.from_environment()
    study = _checked(study, overrides, workspace)
    remember_plugins(workspace, study.name, [*study.plugins, *_own_sources(study)])
    name = prepare(workspace, study, more_trials=trials)
    arguments = ["--per-gpu", str(per_gpu)]
    arguments += ["--workers", str(workers)] if workers else []
    arguments += ["--devices", ",".join(devices)] if devices else []
    detach(workspace, name, arguments)
    return Sweep(name, workspace=workspace)


def _checked(study: Study | str | Path, overrides: Sequence[str], workspace: Workspace) -> Study:
    if isinstance(overrides, str):
        raise InputError(f"overrides: given {overrides!r}; allowed: a list, such as ['trial.training.epochs=3']")
    if not isinstance(study, Study | str | Path):
        raise InputError(f"study: given {show(study)}; allowed: a Study, or the path of a study file")
    subject = study if isinstance(study, Study) else Path(study)
    return check_study(subject, overrides, data_dir=workspace.data_dir).study


def _own_sources(study: Study) -> list[str]:
    return sources_of(study.model_dump(mode="json", include={"trial"}))


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
        launcher: As of `start`.
        address: As of `start`.
        worker_cpus: As of `start`.
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
    options = _options(launcher, workers, devices, per_gpu, address, worker_cpus)
    return drive(workspace, tests.name, options=options, view=view)


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
    address: str | None = None,
    worker_cpus: float | None = None,
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
        launcher: As of `start`.
        address: As of `start`.
        worker_cpus: As of `start`.
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
    options = _options(launcher, workers, devices, per_gpu, address, worker_cpus)
    return drive(workspace, promotion.name, options=options, view=view)


def _options(
    launcher: str,
    workers: int | None,
    devices: Sequence[str] | None,
    per_gpu: PerGpu,
    address: str | None,
    worker_cpus: float | None,
) -> SweepOptions:
    placement = Placement(
        launcher=launcher,
        workers=workers,
        devices=devices,
        per_gpu=per_gpu,
        address=address,
        worker_cpus=worker_cpus,
    )
    return SweepOptions(launcher=launcher, slots=plan_workers(placement), address=address)
