"""Commands that look after studies and their workspace: stop, status, watch, sync, delete, doctor, migrate."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.completion import complete_name
from sweeper.cli.options import Json, Name, open_workspace
from sweeper.cli.output import console, number, print_json, print_table

if TYPE_CHECKING:
    from sweeper.sweep.doctor.finding import Finding

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: sweeper stop digits-mlp")(stop)
    app.command(epilog="Example: sweeper status")(status)
    app.command(epilog="Example: sweeper watch digits-mlp")(watch)
    app.command(epilog="Example: sweeper sync digits-mlp")(sync)
    app.command(epilog="Example: sweeper delete digits-mlp")(delete)
    app.command(epilog="Example: sweeper doctor --fix")(doctor)
    app.command(epilog="Example: sweeper migrate")(migrate)


def stop(
    name: Name,
    now: Annotated[bool, typer.Option("--now", help="Do not wait for the epoch to end.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until the driver has ended.")] = True,
) -> None:
    """Stop a study that runs. Go on with `sweeper resume`.

    Trials finish their epoch and make a checkpoint.
    """
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
    """Show the studies of this workspace and how far they are."""
    from sweeper.sweep.status import study_statuses

    statuses = study_statuses(open_workspace(), name)
    if as_json:
        print_json([status.to_dict() for status in statuses])
        return
    if not statuses:
        typer.echo("no studies yet; start one with: sweeper start FILE")
        return
    of_several = len({s.user for s in statuses}) > 1
    asked = any(s.n_enqueued for s in statuses)
    head = ["study", "state", "done", "pruned", "failed", "left", "best", "trial", "metric"]
    print_table(
        [*head, *(["enqueued"] * asked), *(["user"] * of_several)],  # a narrow terminal leaves out the last
        [
            [
                *(s.name, s.state, s.n_complete, s.n_pruned, s.n_failed, s.n_left, s.best, s.best_trial, s.metric),
                *([s.n_enqueued] * asked),
                *([s.user] * of_several),
            ]
            for s in statuses
        ],
    )
    for s in statuses:
        if s.owner:
            typer.echo(f"{s.name} is driven by {s.owner}")
        elif s.n_enqueued:
            more = f" --trials {s.n_missing}" if s.n_missing else ""
            typer.echo(f"{s.name}: what is enqueued is tried by: sweeper resume {s.name}{more}")


def watch(name: Name) -> None:
    """Watch a study that runs in another process.

    Ctrl-C ends the watching, not the study.
    """
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
    """Send to MLflow what could not be sent while a sweep ran.

    Without a name for all studies.
    """
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
    """Delete a study and all that was kept of it.

    Its trials, tests, tracked runs and checkpoints, after showing what.
    """
    from sweeper.sweep.control import delete_study, describe_study

    workspace = open_workspace()
    typer.echo(describe_study(workspace, name))
    if not yes and not typer.confirm("delete all of this?"):
        typer.echo("nothing was deleted")
        raise typer.Exit(1)
    for deleted in delete_study(workspace, name):
        typer.echo(f"{deleted} is deleted")


def doctor(
    name: Annotated[str | None, typer.Argument(help="Name of a study.", autocompletion=complete_name)] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended safely.")] = False,
    as_json: Json = False,
) -> None:
    """Check a workspace: what is kept in one place against others.

    Trials against runs, rows, outboxes, checkpoints, databases, disks. Exit code 1 on faults.

    Nothing is changed without --fix, and a study that is being driven is left alone.
    """
    from sweeper.sweep.doctor.examine import examine_workspace

    examination = examine_workspace(open_workspace(), name, fix=fix)
    if as_json:
        print_json(examination.to_dict())
    else:
        for done in examination.mended:
            _print("mended", done, style="green")
        for finding in examination.findings:
            _print_finding(finding)
        n_faults = sum(finding.level == "fault" for finding in examination.findings)
        n_fixable = sum(finding.level == "fault" and finding.mend is not None for finding in examination.findings)
        if n_faults:
            typer.echo(f"{n_faults} fault{'' if n_faults == 1 else 's'}, {n_fixable} of which --fix can mend")
        else:
            typer.echo("no faults")
    if not examination.sound:
        raise typer.Exit(1)


_STYLES = {"ok": "green", "note": "yellow", "fault": "red"}


def _print_finding(finding: Finding) -> None:
    _print(finding.level, f"{finding.where}: {finding.what}", style=_STYLES[finding.level])
    if finding.remedy:
        _print("", f"→ {finding.remedy}")


def _print(word: str, text: str, *, style: str = "") -> None:
    out = console()
    out.print(f"{word:<6}", style=style, end=" ", markup=False)
    out.print(text, markup=False, soft_wrap=True)


def migrate(as_json: Json = False) -> None:
    """Move this folder's studies to the databases of a server.

    From its SQLite files to those that SWEEPER_STORAGE and MLFLOW_TRACKING_URI name, which hold no studies and runs
    yet. Where the latter is an MLflow server, MLFLOW_BACKEND_STORE_URI names its database. The files stay as they are.
    """
    import os

    from sweeper.sweep.migrate import migrate as move
    from sweeper.tracking.workspace import Workspace

    target = open_workspace()
    kept = {key: value for key, value in os.environ.items() if key not in ("SWEEPER_STORAGE", "MLFLOW_TRACKING_URI")}
    moved = move(
        Workspace.from_environment(target.root, kept),
        target,
        tracking_database=os.environ.get("MLFLOW_BACKEND_STORE_URI"),
        on_table=lambda table, n_rows: None if as_json or not n_rows else typer.echo(f"{table}: {n_rows:,}", err=True),
    )
    if as_json:
        print_json(asdict(moved))
        return
    names = ", ".join(moved.studies)
    what = f"{moved.n_rows:,} rows copied" if moved.n_rows else "all rows were there"
    typer.echo(f"moved: {names} ({moved.n_trials:,} trials, {what}); keep the variables set, and go on as before")
