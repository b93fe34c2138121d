"""Starting and resuming sweeps: everything between a study and a running driver."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from sweeper.errors import AccessError, InputError, NotFoundError, StudyExistsError
from sweeper.launch.gpus import hold_gpus
from sweeper.launch.launcher import Launcher, WorkerSlot
from sweeper.launch.nursery import Nursery
from sweeper.launch.placement import LAUNCHERS
from sweeper.search.optimizer import Optimizer
from sweeper.study.flatten import flatten
from sweeper.study.plugins.launchers import parse_launcher
from sweeper.study.plugins.sources import plugin_tags
from sweeper.study.study import Study
from sweeper.sweep.derived import KINDS
from sweeper.sweep.driver import Driver, DriverOptions, SweepResult
from sweeper.sweep.ledger import Ledger
from sweeper.sweep.owner import own
from sweeper.sweep.pauses import collecting_less, switching_often
from sweeper.sweep.progress import View
from sweeper.sweep.record import bind_tracker, check_access, check_tracker, connect_tracker, status_now, study_info
from sweeper.sweep.store import open_store
from sweeper.tracking.paths import refuse_links_in
from sweeper.tracking.plugins import load_plugins_of
from sweeper.tracking.provenance import provenance_tags
from sweeper.tracking.recorder import Recorder
from sweeper.tracking.recording import study_status, unsent_trials
from sweeper.tracking.tracker import Tracker
from sweeper.tracking.workspace import StudyFiles, Workspace

__all__ = ["SweepOptions", "drive", "prepare"]

FLUSH_SECONDS = 60.0
FLUSH_SECONDS_WHEN_DOWN = 3.0


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """How a sweep is run; nothing of it changes what is searched."""

    launcher: str = "local"
    """`local` (processes), `ray` (a Ray cluster), `inline` (this process), or a plugin's, with its parameters:
    `name:field=value,...`."""
    slots: tuple[WorkerSlot, ...]
    """Places for workers; `inline` uses the first."""
    address: str | None = None
    """Of the Ray cluster. Default: `RAY_ADDRESS`, else the one that was started on this machine."""
    checkpoint_seconds: float = 10.0
    """Seconds between the checkpoints of a trial."""
    nursery: Nursery | None = None
    """Of these slots, where it was started already; closed at the end of the sweep."""


def prepare(workspace: Workspace, study: Study, *, more_trials: int | None = None) -> str:
    """Store a study, or find that it is stored already, and set its budget.

    Args:
        workspace: Where.
        study: The study.
        more_trials: Trials to add to those that are done or still to be done; of a new study, their number. Default:
            the study's budget is the total.

    Returns:
        The study's name.

    Raises:
        StudyExistsError: A study of that name with other contents is stored.
        OwnedError: The budget would change, but a driver that lives owns the study.
        AccessError: A database or the tracker denies access; nothing is stored then.
        InputError: More trials than the points of a grid.
    """
    check_access(workspace, study.name)
    store = open_store(workspace, create=True)
    with store.locked():
        try:
            stored = store.read(study.name)
        except NotFoundError:
            if more_trials is not None:
                _check_grid(study, 0, more_trials)
            store.create(study, n_trials=more_trials or study.n_trials)
            return study.name
    if stored.derived is not None:
        kind, of = KINDS[stored.kind], stored.derived["of"]
        raise StudyExistsError(
            f"{study.name} holds the {kind.what} of {of} and draws no trials of its own; go on with it by "
            f"`sweeper resume {study.name}`, add to it by `sweeper {kind.command.format(of=of)}`"
        )
    difference = _difference(stored.study, study)
    if difference:
        raise StudyExistsError(
            f"the study {study.name!r} is stored with other contents:\n{difference}\n"
            f"give the changed study another name (`--set name={study.name}-2`), go on with the stored one "
            f"(`sweeper resume {study.name}`), or delete it (`sweeper delete {study.name}`)"
        )
    check_tracker(workspace, workspace.study_files(study.name, stored.uuid), study.name)
    n_trials = max(stored.n_trials, study.n_trials)
    if more_trials is not None:
        n_before = max(stored.n_trials, len(stored.trials))
        _check_grid(study, n_before, more_trials)
        n_trials = n_before + more_trials
    if n_trials != stored.n_trials or study.budget != stored.study.budget:
        with own(workspace.study_files(study.name, stored.uuid), study.name):
            store.set_budget(study.name, study, n_trials=n_trials)
    return study.name


def _check_grid(study: Study, n_trials: int, more_trials: int) -> None:
    """See that no point of a grid is tried twice."""
    n_points = study.trial.n_grid_points if study.sampler.name == "grid" else None
    n_left = math.inf if n_points is None else n_points * study.budget.seeds - n_trials
    if more_trials > n_left:
        seeds = f" with {study.budget.seeds} seeds" if study.budget.seeds > 1 else ""
        allowed = f"at most {n_left}" if n_left > 0 else "none"
        raise InputError(
            f"--trials: given {more_trials}; allowed: {allowed}, since the grid of {study.name} has {n_points} "
            f"points{seeds}, and tries each once"
        )


def _difference(stored: Study, given: Study) -> str:
    """Lines that say in which fields two studies differ, budget, words and plugins' paths apart."""
    before, after = (
        flatten(study.model_dump(mode="json", exclude={"budget", "description", "keep_models", "plugins"}))
        for study in (stored, given)
    )
    missing = object()
    return "\n".join(
        f"  {field}: stored {before.get(field, 'nothing')!r}, given {after.get(field, 'nothing')!r}"
        for field in sorted(before.keys() | after.keys())
        if before.get(field, missing) != after.get(field, missing)
    )


def drive(
    workspace: Workspace,
    name: str,
    *,
    options: SweepOptions,
    view: View,
    on_driver: Callable[[Driver], None] = lambda driver: None,
    connect: Callable[[], Tracker] | None = None,
) -> SweepResult:
    """Own a stored study and run its sweep to the end of its budget.

    Args:
        workspace: Where it is stored.
        name: Its name.
        options: Where its trials run.
        view: Shows progress.
        on_driver: Given the driver before it runs, to be able to stop it.
        connect: Makes the tracker; default: MLflow's at the workspace's tracking URI.

    Raises:
        AccessError: A database or the tracker denies access, or has begun to.
        OwnedError: Another driver owns the study, or a sweep has one of the GPUs.
    """
    check_access(workspace, name)
    store = open_store(workspace)
    stored = store.read(name)
    load_plugins_of(workspace, name, stored.study.plugins)
    files = workspace.study_files(name, stored.uuid)
    gpus = [slot.gpu for slot in options.slots if slot.gpu is not None]
    collecting = nullcontext() if options.launcher == "inline" else collecting_less()
    with (
        own(files, name) as ownership,
        hold_gpus(gpus, name),
        switching_often(),
        collecting,
        _saying_what_is_kept(name),
    ):
        stored = store.read(name)
        refuse_links_in(files.folder)
        bind_tracker(workspace, files, stored)
        if ownership.is_shared and stored.count("RUNNING"):
            ownership.wait_for_predecessor()
        optimizer = Optimizer(store, name)
        optimizer.guard(ownership.verify)
        tags = {**provenance_tags(workspace.root), **plugin_tags()}
        ledger = Ledger(optimizer, files, tags)
        recorder = Recorder(
            connect or (lambda: connect_tracker(workspace)),
            files,
            study_info(files, stored, tags),
            on_problem=lambda problem: view.message(
                f"tracking is held up, training goes on: {problem}" if problem else "tracking works again"
            ),
        )
        optimizer.on_problem(
            lambda problem: view.message(
                f"Optuna's database is held up, training goes on: {problem}" if problem else "the database works again"
            )
        )
        recorder.start()
        for number in ledger.recover():
            recorder.note(number)
        for trial in unsent_trials(files):
            recorder.note(int(trial.folder.name))
        had_ended = optimizer.exhausted
        if not had_ended:
            recorder.set_study_status("RUNNING", None)
        driver: Driver | None = None
        try:
            driver = Driver(
                optimizer=optimizer,
                launcher=_build_launcher(workspace, files, options),
                recorder=recorder,
                files=files,
                ledger=ledger,
                view=view,
                options=DriverOptions(
                    checkpoint_seconds=options.checkpoint_seconds, may_ask_ahead=options.launcher != "inline"
                ),
            )
            on_driver(driver)
            ownership.watch(driver.abandon)
            for denial in (recorder.denial, optimizer.denial):
                denial.watch(driver.give_up)
            result = driver.run()
        finally:
            if ownership.lost is not None:
                recorder.close()
                optimizer.abandon()
            else:
                for number in ledger.publish_models():
                    recorder.note(number)
                if not had_ended or study_status(files) != "FINISHED":
                    recorder.set_study_status(*status_now(ended=optimizer.exhausted))
                try:
                    _flush(recorder, name, view, is_hurried=driver is not None and driver.is_hurried)
                finally:
                    recorder.close()
                    optimizer.close()
            if options.nursery is not None:
                options.nursery.close()  # where no worker was wanted
        if recorder.denial.error is not None:  # of the last rows
            raise recorder.denial.error
    return result


@contextmanager
def _saying_what_is_kept(name: str) -> Iterator[None]:
    """Add to the message of who denies access that nothing is lost."""
    try:
        yield
    except AccessError as error:
        raise AccessError(
            f"{error}. The sweep has ended; its results are safe on disk, and `sweeper resume {name}` goes on from them"
        ) from error


def _flush(recorder: Recorder, name: str, view: View, *, is_hurried: bool) -> None:
    """Wait for the tracker to take the last rows; not long where it does not answer, or the driver has to go."""
    if recorder.flush(FLUSH_SECONDS_WHEN_DOWN) or recorder.denial.error is not None:
        return
    if recorder.problem is None and not is_hurried:
        view.message(f"waiting for MLflow to take the last rows; Ctrl-C leaves them to `sweeper sync {name}`")
        if recorder.flush(FLUSH_SECONDS):
            return
    view.message(
        f"some rows are not yet tracked ({recorder.problem or 'MLflow is slow'}); they are safe on disk, "
        f"send them with `sweeper sync {name}`"
    )


def _build_launcher(workspace: Workspace, files: StudyFiles, options: SweepOptions) -> Launcher:
    if options.launcher == "inline":
        from sweeper.launch.inline import InlineLauncher  # imports torch, which the local launcher's driver need not

        return InlineLauncher(device=options.slots[0].device, places=workspace.places)
    log_dir = files.folder / "workers"
    if options.launcher == "local":
        from sweeper.launch.local import LocalLauncher

        return LocalLauncher(options.slots, places=workspace.places, log_dir=log_dir, nursery=options.nursery)
    if options.launcher == "ray":
        from sweeper.launch.ray import RayLauncher  # an optional package

        return RayLauncher(options.slots, places=workspace.places, log_dir=log_dir, address=options.address)
    config, custom = parse_launcher(options.launcher, LAUNCHERS)
    launcher: Launcher = custom.call(config, slots=options.slots, places=workspace.places, log_dir=log_dir)
    return launcher
