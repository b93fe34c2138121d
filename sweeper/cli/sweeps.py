"""Commands that run sweeps: start, resume."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.cli.options import (
    Address,
    CheckpointSeconds,
    Devices,
    Files,
    Launcher,
    Name,
    Overrides,
    PerGpu,
    Quiet,
    WorkerCpus,
    Workers,
    open_workspace,
    read_placement,
    to_options,
    with_named_plugins,
)
from sweeper.cli.output import number

if TYPE_CHECKING:
    from sweeper.launch.launcher import WorkerSlot
    from sweeper.launch.nursery import Nursery
    from sweeper.launch.placement import Placement
    from sweeper.sweep.driver import Driver, SweepResult
    from sweeper.sweep.progress import Progress
    from sweeper.tracking.workspace import Workspace

__all__ = ["EXIT_STOPPED", "register", "run_driver"]

Trials = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Trials to add; of a new study, their number. Default: its budget."),
]
Detach = Annotated[bool, typer.Option("--detach", help="Run in the background, with a log file.")]
EXIT_STOPPED = 130
SIGTERM_SECONDS = 6.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: sweeper start studies/digits/mlp.yaml --workers 2")(start)
    app.command(epilog="Example: sweeper resume digits-mlp")(resume)


def start(
    context: typer.Context,
    files: Files,
    overrides: Overrides = None,
    trials: Trials = None,
    workers: Workers = None,
    devices: Devices = None,
    per_gpu: PerGpu = "1",
    launcher: Launcher = "local",
    address: Address = None,
    worker_cpus: WorkerCpus = None,
    checkpoint_seconds: CheckpointSeconds = 10.0,
    detach: Detach = False,
    quiet: Quiet = False,
) -> None:
    """Run the sweeps of study files, one after the other.

    A study that was started before goes on.

    Ctrl-C lets each trial finish its epoch and make a checkpoint; twice leaves at once. Either way
    `sweeper resume` goes on from there.
    """
    from sweeper.launch.placement import plan_workers
    from sweeper.sweep.check import check_study

    workspace = open_workspace()
    placement = read_placement(workers, devices, per_gpu, launcher=launcher, address=address, worker_cpus=worker_cpus)
    slots = plan_workers(placement)
    studies = [
        with_named_plugins(check_study(file, overrides or [], data_dir=workspace.data_dir).study, context)
        for file in files
    ]
    nursery = None if detach else _start_nursery(launcher, slots)

    from sweeper.sweep.start import prepare  # a second, which a mistake in a file need not wait for
    from sweeper.tracking.plugins import remember_plugins

    for study in studies:
        remember_plugins(workspace, study.name, study.plugins)
    names = [prepare(workspace, study, more_trials=trials) for study in studies]
    if detach:
        _detach(context, workspace, names, placement, checkpoint_seconds)
        return
    for name in names:
        _drive(workspace, name, placement, slots, checkpoint_seconds, quiet, nursery)
        nursery = None  # closed with the first sweep


def resume(
    context: typer.Context,
    name: Name,
    trials: Trials = None,
    workers: Workers = None,
    devices: Devices = None,
    per_gpu: PerGpu = "1",
    launcher: Launcher = "local",
    address: Address = None,
    worker_cpus: WorkerCpus = None,
    checkpoint_seconds: CheckpointSeconds = 10.0,
    detach: Detach = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a stored study, from its checkpoints."""
    from sweeper.launch.placement import plan_workers
    from sweeper.sweep.start import prepare
    from sweeper.sweep.store import open_store
    from sweeper.tracking.plugins import load_plugins_of, remember_plugins

    workspace = open_workspace()
    stored = open_store(workspace).read(name)
    load_plugins_of(workspace, name, stored.study.plugins)
    remember_plugins(workspace, name, context.obj or ())
    placement = read_placement(workers, devices, per_gpu, launcher=launcher, address=address, worker_cpus=worker_cpus)
    slots = plan_workers(placement)
    has_ended = trials is None and stored.count("COMPLETE", "PRUNED", "FAIL") >= stored.n_trials
    nursery = None if detach or has_ended else _start_nursery(launcher, slots)
    if trials is not None:
        prepare(workspace, stored.study, more_trials=trials)
    if detach:
        _detach(context, workspace, [name], placement, checkpoint_seconds)
        return
    _drive(workspace, name, placement, slots, checkpoint_seconds, quiet, nursery)


def _start_nursery(launcher: str, slots: tuple[WorkerSlot, ...]) -> Nursery | None:
    """Have torch imported for the workers while the driver makes ready, which takes it as long."""
    from sweeper.launch.nursery import start_early

    return start_early(slots) if launcher == "local" else None


def run_driver(
    workspace: Workspace,
    name: str,
    placement: Placement,
    slots: tuple[WorkerSlot, ...],
    checkpoint_seconds: float,
    *,
    quiet: bool,
    nursery: Nursery | None = None,
) -> tuple[SweepResult, Progress]:
    """Drive a stored study to its end, or until a signal stops it, and show how it goes."""
    from sweeper.cli.views import create_view
    from sweeper.sweep.start import SweepOptions, drive

    drivers: list[Driver] = []
    with create_view(quiet=quiet) as view, _signals(drivers, view):
        result = drive(
            workspace,
            name,
            options=SweepOptions(
                launcher=placement.launcher,
                slots=slots,
                address=placement.address,
                checkpoint_seconds=checkpoint_seconds,
                nursery=nursery,
            ),
            view=view,
            on_driver=drivers.append,
        )
    return result, drivers[0].progress


def _drive(
    workspace: Workspace,
    name: str,
    placement: Placement,
    slots: tuple[WorkerSlot, ...],
    checkpoint_seconds: float,
    quiet: bool,
    nursery: Nursery | None,
) -> None:
    result, progress = run_driver(workspace, name, placement, slots, checkpoint_seconds, quiet=quiet, nursery=nursery)
    counts = progress.n_by_state
    typer.echo(f"{name}: {counts['COMPLETE']} done, {counts['PRUNED']} pruned, {counts['FAIL']} failed")
    if progress.best_value is not None:
        typer.echo(f"best: trial {progress.best_number}, {progress.metric} {number(progress.best_value)}")
    if not result.finished:
        n_left = progress.n_trials - progress.n_ended
        if result.reason == "stopped on request":
            typer.echo(f"{result.reason}, {n_left} trials left; go on with: sweeper resume {name}")
            raise typer.Exit(EXIT_STOPPED)
        typer.echo(f"{result.reason}, {n_left} trials left; give it more time in its file, or with --set, and start it")
        return
    if not progress.n_timed:
        typer.echo(f"all its {progress.n_trials} trials had ended before; add more with: sweeper start FILE --trials N")
    if not quiet:
        typer.echo(f"table: sweeper best {name}    report: sweeper report {name}    runs: sweeper ui")


@contextmanager
def _signals(drivers: list[Driver], view: Any) -> Iterator[None]:
    """Ctrl-C and SIGTERM: the first one drains the sweep, the second ends it at once. SIGTERM comes from someone who
    kills after a while, such as `docker stop` after 10 s, so that draining has its time."""
    received: list[int] = []

    def handle(signum: int, frame: object) -> None:
        if not drivers or drivers[0].has_ended:  # nothing has begun, or only the last rows are being sent
            raise KeyboardInterrupt
        received.append(signum)
        within_seconds = SIGTERM_SECONDS if signum == signal.SIGTERM else math.inf
        drivers[0].request_stop("drain" if len(received) == 1 else "now", within_seconds=within_seconds)

    before = {signum: signal.signal(signum, handle) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _detach(
    context: typer.Context, workspace: Workspace, names: list[str], placement: Placement, checkpoint_seconds: float
) -> None:
    from sweeper.errors import InputError
    from sweeper.sweep.detach import detach

    if len(names) > 1:
        raise InputError(f"--detach: given {len(names)} study files; allowed: one, since each has a driver of its own")
    name = names[0]
    options = ["--checkpoint-seconds", str(checkpoint_seconds), *to_options(placement)]
    detached = detach(workspace, name, options, plugins=context.obj or ())
    typer.echo(f"{name} runs in the background, pid {detached.pid}, log {detached.log}")
    typer.echo(f"watch it: sweeper watch {name}    stop it: sweeper stop {name}")
