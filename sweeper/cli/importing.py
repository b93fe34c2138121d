"""Commands that turn files of other tools into study files: import wandb."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.cli.options import Json, open_workspace
from sweeper.cli.output import print_json

if TYPE_CHECKING:
    from sweeper.study.wandb.settings import Note
    from sweeper.sweep.importing import Imported

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Turn files of other tools into study files.",
        epilog="Example: sweeper import wandb sweep.yaml --base studies/digits/mlp.yaml",
        no_args_is_help=True,
    )
    group.callback()(_group)
    group.command(
        epilog="Example: sweeper import wandb sweep.yaml --base studies/digits/mlp.yaml -o study.yaml",
    )(wandb)
    app.add_typer(group, name="import")


def _group() -> None:
    """Turn files of other tools into study files."""


def wandb(
    file: Annotated[Path, typer.Argument(help="A sweep file of Weights & Biases.", metavar="FILE")],
    base: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A study file with all that the sweep does not say: data, model and so on."),
    ] = None,
    maps: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="NAME=PATH",
            help="The field that a parameter stands for: width=trial.model.hidden.0; or the metric: loss=val/loss.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="The study file. Default: standard output.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Turn a W&B sweep file into a study file.

    What cannot be carried over is listed, here and at the head of the study file, and never guessed. A sweep file says
    nothing of data and model; --base gives them.
    """
    from sweeper.errors import InputError
    from sweeper.sweep.importing import import_wandb

    imported = import_wandb(file, base=base, maps=maps or [], data_dir=open_workspace().data_dir)
    if out is not None:
        if out.exists() and not force:
            raise InputError(f"--out: {out} is there already; give another name, or --force to write over it")
        out.write_text(imported.text, encoding="utf-8")
    if as_json:
        print_json(_as_json(imported, out))
        return
    if out is None:
        typer.echo(imported.text, nl=False)
    _print_notes(imported, out)


def _as_json(imported: Imported, out: Path | None) -> dict[str, Any]:
    return {
        "source": imported.source,
        "study": imported.raw,
        "n_carried_over": imported.n_carried,
        "not_carried_over": [_note(note) for note in imported.left],
        "changed": [_note(note) for note in imported.changed],
        "searched_by_base": imported.of_base,
        "missing": imported.missing,
        "file": None if out is None else str(out),
    }


def _note(note: Note) -> dict[str, Any]:
    return {"field": note.field, "line": note.line, "message": note.message}


def _print_notes(imported: Imported, out: Path | None) -> None:
    """The list, beside the study where that goes to standard output."""
    to_stderr = out is None
    for verb, notes in (("not carried over", imported.left), ("with a difference", imported.changed)):
        for note in notes:
            typer.echo(f"{imported.source}:{note.line}: {note.field}: {verb}: {note.message}", err=to_stderr)
    if imported.of_base:
        typer.echo(f"searched too, by the base study: {', '.join(imported.of_base)}", err=to_stderr)
    counts = f"{imported.n_carried} carried over, {len(imported.left)} not"
    typer.echo(f"{imported.source}: {counts}" + (f"; written: {out}" if out else ""), err=to_stderr)
    if imported.missing:
        fields = ", ".join(imported.missing)
        typer.echo(f"a sweep file does not say {fields}: fill them in, or give --base STUDY_FILE", err=to_stderr)
    elif out is not None:
        typer.echo(f"start it: sweeper start {out}")
