"""Commands about what was tracked: runs, best, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.completion import complete_name, complete_parameter, complete_section, one_of
from sweeper.cli.options import Csv, Json, Name, open_workspace
from sweeper.cli.output import print_json, print_table, short_names
from sweeper.study.direction import DEFAULT_METRIC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sweeper.tracking.records import RunRecord, StudyRecord
    from sweeper.tracking.workspace import Workspace

__all__ = ["register"]


_REPORT_EXAMPLES = """Examples:

sweeper report digits-mlp

sweeper report digits-mlp mnist-mlp --out reports/both

sweeper report digits-mlp --by lr --section parameter --section trials --out reports/lr

sweeper report digits-mlp --format latex --out paper/results
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: sweeper runs digits-mlp --csv > runs.csv")(runs)
    app.command(epilog="Example: sweeper best digits-mlp --top 5")(best)
    app.command(epilog=_REPORT_EXAMPLES)(report)


def runs(name: Name, as_json: Json = False, as_csv: Csv = False) -> None:
    """List all tracked runs of a study."""
    from sweeper.tracking.runs import read_study

    record, _ = read_study(name, open_workspace())
    _print_runs(record, record.runs, as_json=as_json, as_csv=as_csv)


def best(
    name: Name,
    top: Annotated[int, typer.Option("--top", "-k", metavar="N", min=1, help="How many.")] = 10,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """List the best complete trials of a study, the best first."""
    from sweeper.tracking.runs import best_of, read_study

    record, _ = read_study(name, open_workspace())
    chosen = best_of(record, top)
    _print_runs(record, chosen, as_json=as_json, as_csv=as_csv)
    if not chosen and not (as_json or as_csv):
        typer.echo(f"no trial of {name} is complete yet")


def _print_runs(record: StudyRecord, chosen: Sequence[RunRecord], *, as_json: bool, as_csv: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "number": run.number,
                    "state": run.state,
                    "value": run.value,
                    "run_id": run.run_id,
                    "start": run.start_time,
                    "end": run.end_time,
                    "params": run.params,
                    "metrics": run.metrics,
                    "tags": run.tags,
                }
                for run in chosen
            ]
        )
        return
    if as_csv:
        from dataclasses import replace

        from sweeper.tracking.runs import frame_of

        typer.echo(frame_of(replace(record, runs=chosen)).to_csv(index=False), nl=False)
        return
    if not chosen:
        return
    varied = sorted(_varied(record), key=_rank)
    metric = record.study.get("objective", {}).get("metric", DEFAULT_METRIC)
    with_state = any(run.state != "COMPLETE" for run in chosen)
    with_reason = any("sweeper.reason" in run.tags for run in chosen)
    names = short_names(varied)
    head = ["trial", *(["state"] if with_state else []), metric, "best epoch"]
    print_table(
        [*head, *(names[key] for key in varied), *(["reason"] if with_reason else [])],
        [
            [
                run.number,
                *([run.state] if with_state else []),
                run.value,
                int(run.tags["sweeper.best_epoch"]) if "sweeper.best_epoch" in run.tags else None,
                *(run.params.get(key, "") for key in varied),
                *([run.tags.get("sweeper.reason", "")] if with_reason else []),
            ]
            for run in chosen
        ],
        more="--csv has all",
        n_kept=len(head),
    )


_RANKS = ("training.optimizer", "training", "model", "data")
"""Parts of a configuration, those first that tell most about a trial: where a terminal ends, the last are left out."""


def _rank(path: str) -> tuple[int, str]:
    rank = next((i for i, part in enumerate(_RANKS) if path.startswith(f"{part}.")), len(_RANKS))
    return rank, path.removesuffix(".name")


def _varied(record: StudyRecord) -> set[str]:
    """Parameters that have more than one value."""
    first: dict[str, str] = {}
    return {key for run in record.runs for key, v in run.params.items() if first.setdefault(key, repr(v)) != repr(v)}


def _load_plugins(workspace: Workspace, names: list[str]) -> None:
    """Those of the studies, which may have sections; a report can be written without."""
    from sweeper.errors import InputError, PluginError
    from sweeper.tracking.plugins import load_plugins_of

    for name in names:
        try:
            load_plugins_of(workspace, name)
        except PluginError as error:
            typer.echo(f"warning: sections of plugins are left out: {error}", err=True)
        except InputError:  # no name of a study, which who reads it says
            continue


def report(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Names of studies. Of several, the report ranks them first.",
            metavar="NAME...",
            autocompletion=complete_name,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="Folder of its files. Default: reports/NAME, or reports/NAME+NAME.",
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            metavar="FORM",
            help="Write this form alone: html, markdown, latex, csv or all; may be given several times. "
            "Default: all but latex.",
            autocompletion=one_of("html", "markdown", "latex", "csv", "all"),
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="PARAMETER",
            help="Parameter by which trials are compared, such as training.optimizer.lr or lr. Default: the one that "
            "was searched, of several the one that explains most.",
            autocompletion=complete_parameter,
        ),
    ] = None,
    sections: Annotated[
        list[str] | None,
        typer.Option(
            "--section",
            metavar="KEY",
            help="Show this section alone, ours or one of another package; may be given several times."
            " Keys: docs/how-to/report.md.",
            autocompletion=complete_section,
        ),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", "-k", metavar="N", min=1, help="How many of the best are shown in detail.")
    ] = 5,
    attach: Annotated[
        bool, typer.Option("--attach", help="Make it an artifact of the study's run too, for MLflow's UI.")
    ] = False,
) -> None:
    """Write a report of studies from their tracked runs.

    A page that opens without a network, Markdown with figures, LaTeX, CSV of all data.
    """
    from sweeper.errors import InputError, SectionError
    from sweeper.report.attach import FOLDER, attach_report
    from sweeper.report.files import choose_formats
    from sweeper.report.sections import choose_sections
    from sweeper.report.write import default_folder, write_report
    from sweeper.tracking.reading import open_reader

    workspace = open_workspace()
    _load_plugins(workspace, names)
    chosen, forms = choose_sections(sections or ()), choose_formats(formats or ())
    reader = open_reader(workspace.tracking_uri)
    folder = out or default_folder(names)
    records = [reader.read_study(name) for name in names]
    if attach and len(names) > 1:
        raise InputError(f"--attach: given with {len(names)} studies; allowed: with one, whose run has its report")
    files = write_report(records, reader, folder, top=top, by=by, sections=chosen, formats=forms)
    typer.echo(f"report: {files.first}")
    if attach:
        run_id = attach_report(workspace, records[0], files)
        typer.echo(f"attached to run {run_id}, under {FOLDER}; see it with: sweeper ui")
    if files.problems:
        raise SectionError("; ".join(files.problems))
