"""The command that looks after a workspace: doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.options import Json, complete_name, open_workspace
from sweeper.cli.output import console, print_json

if TYPE_CHECKING:
    from sweeper.sweep.doctor.finding import Finding

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: sweeper doctor --fix")(doctor)


def doctor(
    name: Annotated[str | None, typer.Argument(help="Name of a study.", autocompletion=complete_name)] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended safely.")] = False,
    as_json: Json = False,
) -> None:
    """Check a workspace: trials against runs, rows, outboxes, checkpoints, databases, disks. Exit code 1 on faults.

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
