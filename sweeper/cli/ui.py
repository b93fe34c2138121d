"""The command that opens MLflow's UI and Optuna's dashboard."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from sweeper.cli.options import open_workspace

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: sweeper ui --port 5001")(ui)


def ui(
    port: Annotated[int, typer.Option(metavar="N", min=1, max=65535, help="Port of MLflow's UI.")] = 5000,
    dashboard_port: Annotated[
        int, typer.Option(metavar="N", min=1, max=65535, help="Port of Optuna's dashboard.")
    ] = 8080,
    host: Annotated[
        str,
        typer.Option(
            help="IPv4 address on which MLflow's UI listens. One that other machines reach needs a password in "
            "SWEEPER_UI_PASSWORD; Optuna's dashboard stays on 127.0.0.1."
        ),
    ] = "127.0.0.1",
    allow_name: Annotated[
        list[str] | None,
        typer.Option(help="With --host: a further name under which browsers ask for this machine. Repeatable."),
    ] = None,
) -> None:
    """Serve MLflow's UI and Optuna's dashboard.

    On this machine alone unless asked otherwise. Ctrl-C ends both.
    """
    from sweeper.sweep.access import plan_access
    from sweeper.sweep.ui import serve

    access = plan_access(host, allow_name or [])

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends both too, as Ctrl-C does
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is started without it
    with serve(open_workspace(), port=port, dashboard_port=dashboard_port, access=access) as servers:
        try:
            for title, address in servers.addresses:
                typer.echo(f"{title:<17} {address}")
            typer.echo("Ctrl-C ends both")
            servers.wait()
        except KeyboardInterrupt:
            typer.echo("")
