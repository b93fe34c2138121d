"""The `sweeper` command."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

import sweeper
from sweeper.cli import (
    analysis,
    care,
    compare,
    data,
    enqueue,
    finalize,
    importing,
    promoting,
    registering,
    reproducing,
    results,
    studies,
    sweeps,
    ui,
)
from sweeper.cli.help import use_our_help
from sweeper.cli.options import name_plugins
from sweeper.cli.shells import use_our_scripts
from sweeper.errors import StudyError, SweeperError
from sweeper.masking import without_passwords

__all__ = ["app", "main"]

app = typer.Typer(
    name="sweeper",
    help="Hyperparameter sweeps of image classifiers: chosen by Optuna, tracked in MLflow, every trial accounted for.",
    epilog="Start here: sweeper start studies/digits/mlp.yaml",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would take half of the time that help takes
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sweeper {sweeper.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    plugins: Annotated[
        list[str] | None,
        typer.Option("--plugin", metavar="MODULE", help="Import a module or a .py file, which adds models, data, ..."),
    ] = None,
) -> None:
    """Options of the program itself."""
    if plugins:
        context.obj = name_plugins(plugins)


for module in (
    studies,
    importing,
    data,
    sweeps,
    enqueue,
    finalize,
    promoting,
    registering,
    reproducing,
    care,
    results,
    compare,
    analysis,
    ui,
):
    module.register(app)
use_our_help(app)
use_our_scripts()


def main() -> None:
    """Run the command line. Errors raised on purpose become one message and an exit code; see docs/how-to/cli.md."""
    try:
        app(prog_name="sweeper")
    except SweeperError as error:
        # Faults of a file begin with its name and line, for editors.
        message = str(error) if isinstance(error, StudyError) else f"error: {error}"
        typer.echo(without_passwords(message), err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:  # noqa: BLE001  # a fault of ours, whose traceback may quote a URL
        typer.echo(without_passwords("".join(traceback.format_exception(error))), err=True, nl=False)
        sys.exit(1)
