"""The command that asks for a configuration: enqueue."""

from __future__ import annotations

from typing import Annotated

import typer

from sweeper.cli.completion import complete_assignment
from sweeper.cli.options import Json, Name, open_workspace
from sweeper.cli.output import print_json
from sweeper.report.format import plural

__all__ = ["register"]

_EXAMPLES = """Examples:

sweeper enqueue digits-mlp training.optimizer=sgd training.optimizer.lr=0.05

sweeper enqueue digits-mlp --from 3 batch_size=128
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(enqueue)


def enqueue(
    name: Name,
    assignments: Annotated[
        list[str] | None,
        typer.Argument(
            help="Values of parameters, by their paths or the ends of these.",
            metavar="PATH=VALUE...",
            autocompletion=complete_assignment,
        ),
    ] = None,
    like: Annotated[
        int | None,
        typer.Option("--from", metavar="TRIAL", min=0, help="Take the values of a trial for all other parameters."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Try a given configuration next; draw what it leaves open.

    It is one of the trials of the budget, with each of its seeds. A driver that runs takes it up after the trials that
    it has begun.
    """
    from sweeper.study.words import show
    from sweeper.sweep.enqueue import enqueue

    queued = enqueue(open_workspace(), name, assignments or [], like=like)
    if as_json:
        print_json(
            {
                "study": name,
                "values": queued.values,
                "params": queued.params,
                "n_ahead": queued.n_ahead,
                "is_running": queued.owner is not None,
                "n_trials": queued.n_trials,
                "n_trials_missing": queued.n_missing,
            }
        )
        return
    values = ", ".join(
        f"{path}={value if isinstance(value, str) else show(value)}" for path, value in queued.values.items()
    )
    after = f" after {queued.n_ahead} that wait" if queued.n_ahead else " next"
    typer.echo(f"{name} tries{after}: {values}")
    if queued.n_missing:
        add, when = f"--trials {queued.n_missing}", "when it has ended, " if queued.owner else ""
        spent = f"its budget of {plural(queued.n_trials, 'trial')} is spent"
        typer.echo(f"{spent}; {when}add to it: sweeper start FILE {add}, or: sweeper resume {name} {add}")
    elif queued.owner is None:
        typer.echo(f"it does not run; go on with: sweeper resume {name}")
