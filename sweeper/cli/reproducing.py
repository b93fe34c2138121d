"""The command that trains a run again: reproduce."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.options import CheckpointSeconds, Json, Launcher, Quiet, Run, open_workspace
from sweeper.cli.output import number, print_json, print_table
from sweeper.cli.sweeps import EXIT_STOPPED, run_driver
from sweeper.report.format import plural

if TYPE_CHECKING:
    from sweeper.sweep.reproduce import Reproduction
    from sweeper.tracking.agreement import Agreement

__all__ = ["register"]

EXIT_DIFFERS = 1


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: sweeper reproduce digits-mlp/3")(reproduce)


def reproduce(
    run: Run,
    device: Annotated[str | None, typer.Option(help="Where to train: cpu, cuda:0, mps. Default: as the run.")] = None,
    launcher: Launcher = "local",
    checkpoint_seconds: CheckpointSeconds = 10.0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a run again and say whether the numbers agree.

    Configuration, seed, data, device and number of threads are as tracked; on a CPU the numbers then agree to the last
    bit. What is not as it was, such as commit and packages, is listed. Exit code 1 where the numbers differ.
    """
    from sweeper.launch.placement import Placement
    from sweeper.launch.threads import threads
    from sweeper.sweep.reproduce import conclude, prepare_reproduction

    if launcher == "ray":
        raise typer.BadParameter("given 'ray'; allowed: local, inline", param_hint="--launcher")
    workspace = open_workspace()
    reproduction = prepare_reproduction(workspace, run, device=device)
    is_quiet = quiet or as_json
    if not is_quiet:
        _announce(reproduction)
    slot = reproduction.slot
    with threads(slot.n_threads):  # for the inline launcher, which trains in this process
        placement = Placement(launcher=launcher)
        result, _ = run_driver(workspace, reproduction.study, placement, (slot,), checkpoint_seconds, quiet=is_quiet)
    if not result.finished:
        typer.echo(f"{result.reason}; go on with: sweeper reproduce {reproduction.subject.name}", err=as_json)
        raise typer.Exit(EXIT_STOPPED)
    agreement = conclude(workspace, reproduction)
    if as_json:
        print_json({"run": reproduction.subject.name, "reproduced": reproduction.name, **agreement.to_dict()})
    else:
        _print(reproduction, agreement)
    if not agreement.is_identical:
        raise typer.Exit(EXIT_DIFFERS)


def _announce(reproduction: Reproduction) -> None:
    slot, run = reproduction.slot, reproduction.subject.run
    where = slot.device if slot.device != "cpu" else f"the CPU with {plural(slot.n_threads, 'thread')}"
    goes_on = "" if reproduction.is_new else ", going on where it was stopped"
    typer.echo(f"training {reproduction.subject.name} again on {where}, as {reproduction.name}{goes_on}")
    if run.state == "PRUNED":
        typer.echo("it was pruned; it is trained to the end now, and the epochs that it has are compared")
    for change in reproduction.changes:
        typer.echo(f"not as it was: {change}")


def _print(reproduction: Reproduction, agreement: Agreement) -> None:
    name = reproduction.subject.name
    said = {str(change) for change in reproduction.changes}
    for change in agreement.changes:
        if str(change) not in said:
            typer.echo(f"not as it was: {change}")
    if agreement.not_compared:
        typer.echo(f"not compared, since only one of them has it: {', '.join(agreement.not_compared)}")
    if agreement.is_identical:
        n, m = plural(len(agreement.epochs), "epoch"), plural(len(agreement.metrics), "metric")
        typer.echo(f"identical: {name} and {reproduction.name} agree in {n} of {m} to the last bit")
        return
    if agreement.reason:
        typer.echo(f"differs: {reproduction.name} failed ({agreement.reason}), {name} did not")
        return
    differing = [epoch for epoch in agreement.epochs if epoch.n_differing]
    columns = ["epoch", "tracked objective", "now", "metrics that differ", "largest difference", "of"]
    if differing:
        rows = [[e.epoch, *e.values, e.n_differing, e.largest, e.worst] for e in differing[:10]]
        print_table(columns, rows, n_kept=4)
    if agreement.n_epochs[0] != agreement.n_epochs[1] and not agreement.was_cut_short:
        typer.echo(f"{name} has {plural(agreement.n_epochs[0], 'epoch')}, {reproduction.name} {agreement.n_epochs[1]}")
    if differing:
        first, largest = differing[0], max(differing, key=lambda epoch: epoch.largest)
        typer.echo(
            f"differs: {name} and {reproduction.name} agree up to epoch {first.epoch - 1} and not in "
            f"{len(differing)} of {plural(len(agreement.epochs), 'epoch')}, by {number(largest.largest)} at most "
            f"({largest.worst}, epoch {largest.epoch})"
        )
    else:
        typer.echo(f"differs: {name} and {reproduction.name} have different epochs")
