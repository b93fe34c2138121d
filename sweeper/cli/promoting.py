"""The command that continues the best trials of a study: promote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.options import (
    Address,
    CheckpointSeconds,
    Devices,
    Json,
    Launcher,
    Name,
    PerGpu,
    Quiet,
    WorkerCpus,
    Workers,
    open_workspace,
    read_placement,
)
from sweeper.cli.output import print_json, print_table
from sweeper.cli.sweeps import EXIT_STOPPED, run_driver
from sweeper.report.format import plural

if TYPE_CHECKING:
    from sweeper.tracking.workspace import Workspace

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: sweeper promote digits-mlp --top 5 --epochs 60")(promote)


def promote(
    name: Name,
    epochs: Annotated[int, typer.Option(metavar="N", min=2, help="Epochs in all, those that a trial has included.")],
    top: Annotated[
        int, typer.Option("--top", "-k", metavar="N", min=1, help="How many of the best configurations.")
    ] = 5,
    trial: Annotated[
        list[int] | None,
        typer.Option("--trial", min=0, help="Number of a trial that is continued instead of the best. Repeatable."),
    ] = None,
    workers: Workers = None,
    devices: Devices = None,
    per_gpu: PerGpu = "1",
    launcher: Launcher = "local",
    address: Address = None,
    worker_cpus: WorkerCpus = None,
    checkpoint_seconds: CheckpointSeconds = 10.0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Continue the best trials for longer.

    They go on from their last epoch, with weights, optimizer and rows as they were. The runs are those of a study of
    their own, NAME.promoted. What is there already is not trained again: after a stop the command goes on, and with
    more --epochs they go on from where they ended.
    """
    from sweeper.launch.placement import plan_workers
    from sweeper.sweep.derived import is_done
    from sweeper.sweep.promote import prepare_promotion

    workspace = open_workspace()
    placement = read_placement(workers, devices, per_gpu, launcher=launcher, address=address, worker_cpus=worker_cpus)
    slots = plan_workers(placement)
    promotion = prepare_promotion(workspace, name, top=top, epochs=epochs, trials=trial or ())
    for note in promotion.notes:
        typer.echo(note, err=True)
    is_quiet = quiet or as_json
    if not is_done(workspace, promotion.name):
        if not is_quiet:
            which = f"{plural(len(promotion.trials), 'trial')} of {name} ({', '.join(map(str, promotion.trials))})"
            typer.echo(f"continuing {which} to {epochs} epochs; they are the runs of {promotion.name}")
        result, progress = run_driver(workspace, promotion.name, placement, slots, checkpoint_seconds, quiet=is_quiet)
        if not result.finished:
            n_left = progress.n_trials - progress.n_ended
            again = f"sweeper promote {name} --top {top} --epochs {epochs}" + "".join(
                f" --trial {number}" for number in trial or ()
            )
            typer.echo(f"{result.reason}, {n_left} trainings left; go on with: {again}", err=as_json)
            raise typer.Exit(EXIT_STOPPED)
    elif not is_quiet:
        typer.echo("all of it was trained before")
    _print_results(workspace, name, as_json=as_json)
    if not is_quiet:
        typer.echo(f"report: sweeper report {promotion.name}    runs: sweeper runs {promotion.name}")


def _print_results(workspace: Workspace, name: str, *, as_json: bool) -> None:
    from sweeper.tracking.promoted import read_promoted
    from sweeper.tracking.runs import read_study

    record, reader = read_study(name, workspace)
    trials = [each.to_dict() for each in read_promoted(record, reader)]
    if as_json:
        print_json({"study": name, "trials": trials})
        return
    columns = {
        "trial": "trial",
        "state": "state",
        "epochs_before": "epochs before",
        "epochs": "epochs now",
        "value_before": "value before",
        "value": "value now",
        "best_epoch": "best epoch",
        "continued_from_epoch": "continued from",
        "run": "run",
    }
    print_table(list(columns.values()), [[each[key] for key in columns] for each in trials], n_kept=6)
