"""Commands that run sweeps and look after them: start, resume, stop, status, watch, sync, delete."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.cli.options import (
    CheckpointSeconds,
    Devices,
    Files,
    Json,
    Launcher,
    Name,
    Overrides,
    PerGpu,
    Workers,
    complete_name,
    open_workspace,
    plan_workers,
)
from sweeper.cli.output import number, print_json, print_table

if TYPE_CHECKING:
    from sweeper.launch.launcher import WorkerSlot
    from sweeper.sweep.driver import Driver
    from sweeper.tracking.workspace import Workspace

__all__ = ["register"]

Trials = Annotated[
    int | None, typer.Option(min=1, help="Trials to add to those that the study has. Default: up to its budget.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Run in the background, with a log file.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only problems and the result.")]
EXIT_STOPPED = 130


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: sweeper start studies/digits/mlp.yaml --workers 2")(start)
    app.command(epilog="Example: sweeper resume digits-mlp")(resume)
    app.command(epilog="Example: sweeper stop digits-mlp")(stop)
    app.command(epilog="Example: sweeper status")(status)
    app.command(epilog="Example: sweeper watch digits-mlp")(watch)
    app.command(epilog="Example: sweeper sync digits-mlp")(sync)
    app.command(epilog="Example: sweeper delete digits-mlp")(delete)


def start(
    files: Files,
    overrides: Overrides = None,
    trials: Trials = None,
    workers: Workers = None,
    devices: Devices = None,
    per_gpu: PerGpu = 1,
    launcher: Launcher = "local",
    checkpoint_seconds: CheckpointSeconds = 10.0,
    detach: Detach = False,
    quiet: Quiet = False,
) -> None:
    """Run the sweeps of study files, one after the other. A study that was started before goes on.

    Ctrl-C lets each trial finish its epoch and make a checkpoint; twice leaves at once. Either way
    `sweeper resume` goes on from there.
    """
    from sweeper.sweep.check import check_study
    from sweeper.sweep.start import prepare

    workspace = open_workspace()
    slots = plan_workers(launcher, workers, devices, per_gpu)
    studies = [check_study(file, overrides or []).study for file in files]
    names = [prepare(workspace, study, more_trials=trials) for study in studies]
    if detach:
        _detach(workspace, names, workers, devices, per_gpu, checkpoint_seconds)
        return
    for name in names:
        _drive(workspace, name, launcher, slots, checkpoint_seconds, quiet)


def resume(
    name: Name,
    trials: Trials = None,
    workers: Workers = None,
    devices: Devices = None,
    per_gpu: PerGpu = 1,
    launcher: Launcher = "local",
    checkpoint_seconds: CheckpointSeconds = 10.0,
    detach: Detach = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a stored study, from its checkpoints; its file is not needed."""
    from sweeper.sweep.start import prepare
    from sweeper.sweep.store import open_store

    workspace = open_workspace()
    stored = open_store(workspace).read(name)
    if trials is not None:
        prepare(workspace, stored.study, more_trials=trials)
    if detach:
        _detach(workspace, [name], workers, devices, per_gpu, checkpoint_seconds)
        return
    slots = plan_workers(launcher, workers, devices, per_gpu)
    _drive(workspace, name, launcher, slots, checkpoint_seconds, quiet)


def _drive(
    workspace: Workspace,
    name: str,
    launcher: str,
    slots: tuple[WorkerSlot, ...],
    checkpoint_seconds: float,
    quiet: bool,
) -> None:
    from sweeper.cli.views import create_view
    from sweeper.sweep.start import SweepOptions, drive

    drivers: list[Driver] = []
    with create_view(quiet=quiet) as view, _signals(drivers, view):
        result = drive(
            workspace,
            name,
            options=SweepOptions(launcher=launcher, slots=slots, checkpoint_seconds=checkpoint_seconds),
            view=view,
            on_driver=drivers.append,
        )
    progress = drivers[0].progress
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
    """Ctrl-C and SIGTERM: the first one drains the sweep, the second ends it at once."""
    received: list[int] = []

    def handle(signum: int, frame: object) -> None:
        if not drivers or drivers[0].has_ended:  # nothing has begun, or only the last rows are being sent
            raise KeyboardInterrupt
        received.append(signum)
        drivers[0].request_stop("drain" if len(received) == 1 else "now")

    before = {signum: signal.signal(signum, handle) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _detach(
    workspace: Workspace,
    names: list[str],
    workers: int | None,
    devices: str | None,
    per_gpu: int,
    checkpoint_seconds: float,
) -> None:
    from sweeper.errors import InputError
    from sweeper.sweep.owner import read_owner
    from sweeper.sweep.store import open_store

    if len(names) > 1:
        raise InputError(f"--detach: given {len(names)} study files; allowed: one, since each has a driver of its own")
    name = names[0]
    files = workspace.study_files(name, open_store(workspace).read(name).uuid)
    files.log.parent.mkdir(parents=True, exist_ok=True)
    options = ["--per-gpu", str(per_gpu), "--checkpoint-seconds", str(checkpoint_seconds)]
    options += ["--workers", str(workers)] if workers else []
    options += ["--devices", devices] if devices else []
    with files.log.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-m", "sweeper", "resume", name, *options],
            cwd=workspace.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    # It owns the study within a second or two, on a busy machine later, or has failed to.
    for _ in range(600):
        if process.poll() is not None:
            typer.echo(files.log.read_text()[-2000:], err=True)
            raise typer.Exit(process.returncode)
        owner = read_owner(files)
        if owner is not None and owner.pid == process.pid:
            break
        time.sleep(0.1)
    typer.echo(f"{name} runs in the background, pid {process.pid}, log {files.log}")
    typer.echo(f"watch it: sweeper watch {name}    stop it: sweeper stop {name}")


def stop(
    name: Name,
    now: Annotated[bool, typer.Option("--now", help="Do not wait for the epoch to end.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until the driver has ended.")] = True,
) -> None:
    """Stop the driver of a study: trials finish their epoch and make a checkpoint. Go on with `sweeper resume`."""
    from sweeper.sweep.control import request_stop, wait_for_end

    workspace = open_workspace()
    owner = request_stop(workspace, name, now=now)
    if owner is None:
        typer.echo(f"{name} is not running")
        return
    if wait:
        wait_for_end(workspace, name)
        typer.echo(f"{name} has stopped; go on with: sweeper resume {name}")
    else:
        typer.echo(f"asked {owner} to stop")


def status(
    name: Annotated[str | None, typer.Argument(help="Name of a study.", autocompletion=complete_name)] = None,
    as_json: Json = False,
) -> None:
    """Show the studies of this workspace: whether they run, how far they are, their best value."""
    from sweeper.sweep.control import study_statuses

    statuses = study_statuses(open_workspace(), name)
    if as_json:
        print_json([status.to_dict() for status in statuses])
        return
    if not statuses:
        typer.echo("no studies yet; start one with: sweeper start FILE")
        return
    print_table(
        ["study", "state", "done", "pruned", "failed", "left", "metric", "best", "trial"],
        [
            [s.name, s.state, s.n_complete, s.n_pruned, s.n_failed, s.n_left, s.metric, s.best, s.best_trial]
            for s in statuses
        ],
    )
    for s in statuses:
        if s.owner:
            typer.echo(f"{s.name} is driven by {s.owner}")


def watch(name: Name) -> None:
    """Watch a study that runs in another process. Ctrl-C ends the watching, not the study."""
    from sweeper.cli.views import create_view
    from sweeper.sweep.control import follow_progress

    ended = "is not running"
    try:
        with create_view() as view:
            for progress in follow_progress(open_workspace(), name):
                view.update(progress)
                ended = f"has ended: {progress.n_ended} of {progress.n_trials} trials"
                if progress.best_value is not None:
                    ended += f", best {progress.metric} {number(progress.best_value)} (trial {progress.best_number})"
    except KeyboardInterrupt:
        ended = "goes on"
    typer.echo(f"{name} {ended}")


def sync(
    name: Annotated[str | None, typer.Argument(help="Name of a study.", autocompletion=complete_name)] = None,
) -> None:
    """Send to MLflow what could not be sent while a sweep ran. Default: for all studies."""
    from sweeper.errors import SweeperError
    from sweeper.sweep.record import sync_study
    from sweeper.sweep.store import open_store

    workspace = open_workspace()
    failed = False
    for study in [name] if name else open_store(workspace).names():
        try:
            n_trials = sync_study(workspace, study)
        except SweeperError as error:
            if name is not None:
                raise
            typer.echo(f"{study}: {error}", err=True)
            failed = True
            continue
        sent = f"{n_trials} trial{'' if n_trials == 1 else 's'} sent" if n_trials else "all sent"
        typer.echo(f"{study}: {sent}")
    if failed:
        raise typer.Exit(1)


def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a study with its trials, tracked runs and checkpoints, after showing what."""
    from sweeper.sweep.control import delete_study, describe_study

    workspace = open_workspace()
    typer.echo(describe_study(workspace, name))
    if not yes and not typer.confirm("delete all of this?"):
        typer.echo("nothing was deleted")
        raise typer.Exit(1)
    delete_study(workspace, name)
    typer.echo(f"{name} is deleted")
