"""The command that puts a model into MLflow's registry: register."""

from __future__ import annotations

from typing import Annotated

import typer

from sweeper.cli.options import Json, Run, open_workspace
from sweeper.cli.output import print_json

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="register", epilog="Example: sweeper register digits-mlp digits --alias best")(register_run)


def register_run(
    run: Run,
    name: Annotated[str, typer.Argument(help="Name of the model in the registry.", metavar="NAME")],
    alias: Annotated[
        str | None, typer.Option(help="A further name of this version, which an earlier one loses.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put the model of a run into MLflow's registry.

    It takes pictures, gives classes with probabilities, and has its preprocessing with it: MLflow loads and serves it.
    A run that is registered already under that name gets no second version.
    """
    from sweeper.tracking.registry import register_model
    from sweeper.tracking.subject import find_run

    workspace = open_workspace()
    subject = find_run(workspace, run)
    made = register_model(workspace, subject, name, alias=alias)
    if as_json:
        print_json(
            {
                "name": made.name,
                "version": made.version,
                "uri": made.uri,
                "alias": alias,
                "run_id": made.run_id,
                "is_new": made.is_new,
            }
        )
        return
    what = "is" if made.is_new else "was already"
    typer.echo(f"{subject.name} {what} version {made.version} of {name}")
    uri = made.uri if alias is None else f"models:/{name}@{alias}"
    typer.echo(f"load it: mlflow.pyfunc.load_model({uri!r})")
    serve = f"mlflow models serve -m {uri} --env-manager local"
    typer.echo(f"serve it: MLFLOW_TRACKING_URI={_shown(workspace.tracking_uri)} {serve}")


def _shown(uri: str) -> str:
    from sweeper.masking import without_passwords

    return without_passwords(uri)
