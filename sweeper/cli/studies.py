"""Commands about study files: check, preview, schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.cli.options import Devices, Files, Json, Overrides, Workers, open_workspace, read_placement
from sweeper.cli.output import duration, number, print_json, print_table, short_names
from sweeper.report.format import plural

if TYPE_CHECKING:
    from sweeper.errors import Fault

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: sweeper check studies/**/*.yaml")(check)
    app.command(epilog="Example: sweeper preview studies/mnist/mlp.yaml -n 8")(preview)
    app.command(epilog="Example: sweeper schema > schema.json")(schema)


def check(files: Files, overrides: Overrides = None) -> None:
    """Check study files: every corner of the space. Trains nothing."""
    from sweeper.errors import StudyFileError
    from sweeper.sweep.check import check_study, missing_folders

    workspace = open_workspace()
    faults: list[Fault] = []
    for file in files:
        try:
            checked = check_study(file, overrides or [], data_dir=workspace.data_dir)
        except StudyFileError as error:
            faults.extend(error.faults)
            typer.echo(f"{error}", err=True)
            continue
        n_distributions = len(checked.study.trial.distributions)
        corners = plural(checked.n_corners, "corner") + ("" if checked.complete else " (of more: the space is large)")
        typer.echo(f"{file}: ok: {checked.study.name}, {plural(n_distributions, 'distribution')}, {corners} checked")
        for folder in missing_folders(checked.study, workspace.data_dir):
            typer.echo(f"  not checked: its classes and pictures, since there is no folder {folder}")
    if faults:
        typer.echo(plural(len(faults), "fault"), err=True)
        raise typer.Exit(2)


def preview(
    file: Annotated[Path, typer.Argument(help="A study file.", metavar="FILE")],
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="Configurations to draw.")] = 5,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the draws.")] = 0,
    overrides: Overrides = None,
    workers: Workers = None,
    devices: Devices = None,
    as_json: Json = False,
) -> None:
    """Show what a study would try. Writes nothing.

    Configurations, model sizes, estimated time.
    """
    from sweeper.launch.placement import plan_workers
    from sweeper.sweep.check import check_study
    from sweeper.sweep.preview import preview_study

    workspace = open_workspace()
    study = check_study(file, overrides or [], data_dir=workspace.data_dir).study
    slots = plan_workers(read_placement(workers, devices), may_be_held=True)
    trials = list(preview_study(study, workspace, n=n, seed=seed, device=slots[0].device, n_threads=slots[0].n_threads))
    timed = [trial.seconds for trial in trials if trial.seconds is not None]
    mean_seconds = sum(timed) / n if len(timed) == n else None
    total_seconds = None if mean_seconds is None else mean_seconds * study.n_trials / len(slots)
    if as_json:
        print_json(
            {
                "study": study.name,
                "n_trials": study.n_trials,
                "n_workers": len(slots),
                "seconds_per_trial": mean_seconds,
                "seconds_in_all": total_seconds,
                "trials": [
                    {"params": dict(t.params), "n_parameters": t.n_parameters, "seconds": t.seconds} for t in trials
                ],
            }
        )
        return
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    short = short_names(names)
    rows: list[list[Any]] = [
        [short[name], *(number(trial.params[name]) if name in trial.params else "" for trial in trials)]
        for name in names
    ]
    if mean_seconds is not None:
        rows.append(["model parameters", *(number(trial.n_parameters) for trial in trials)])
        rows.append(["estimated time", *(duration(trial.seconds) for trial in trials)])
    print_table(["parameter", *(f"draw {i}" for i in range(1, n + 1))], rows)
    if mean_seconds is None or total_seconds is None:
        typer.echo(f"{plural(study.n_trials, 'trial')} by a loop of its own, which is not timed")
        return
    typer.echo(
        f"about {duration(mean_seconds)} a trial; {study.n_trials} trials on {len(slots)} "
        f"worker{'s' if len(slots) > 1 else ''} ({slots[0].device}): about {duration(total_seconds)}, without pruning"
        "; starting the workers takes a few seconds more"
    )


def schema() -> None:
    """Print the JSON Schema of study files, for editors, with what plugins add."""
    from sweeper.study.plugins.sources import load_all_entry_points
    from sweeper.study.schema import study_schema

    load_all_entry_points()
    print_json(study_schema())
