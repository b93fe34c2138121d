"""`sweeper.start`: a sweep from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sweeper.launch.devices import find_devices, plan_slots
from sweeper.study.study import Study
from sweeper.sweep.check import check_study
from sweeper.sweep.driver import SweepResult
from sweeper.sweep.progress import Progress, TrialEnded, View
from sweeper.sweep.start import SweepOptions, drive, prepare
from sweeper.tracking.workspace import Workspace

__all__ = ["SilentView", "start"]


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
        devices: Such as `["cuda:0", "cuda:1"]` or `["cpu"]`. Default: those that there are.
        launcher: `local` (worker processes) or `inline` (this process, for debugging).
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
    slots = plan_slots(devices or find_devices(), n_workers=1 if launcher == "inline" else workers)
    name = prepare(workspace, study, more_trials=trials)
    options = SweepOptions(launcher=launcher, slots=tuple(slots))
    return drive(workspace, name, options=options, view=view or SilentView())
