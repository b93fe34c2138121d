"""The command that tests the best configurations of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

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
from sweeper.cli.output import number, print_json, print_table, short_names
from sweeper.cli.sweeps import EXIT_STOPPED, run_driver
from sweeper.report.format import plural

if TYPE_CHECKING:
    from sweeper.report.final import FinalData
    from sweeper.report.statistics import Sample
    from sweeper.sweep.finalize import Tests
    from sweeper.tracking.workspace import Workspace

__all__ = ["register"]

MAX_CLASSES = 12
"""Of more classes the table shows none; --json and the report have them."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: sweeper finalize digits-mlp --top 3 --seeds 5")(finalize)


def finalize(
    name: Name,
    top: Annotated[
        int, typer.Option("--top", "-k", metavar="N", min=1, help="How many of the best configurations.")
    ] = 3,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How often each is trained.")] = 5,
    trial: Annotated[
        list[int] | None,
        typer.Option("--trial", min=0, help="Number of a trial whose configuration is tested instead of the best."),
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
    """Train the best again, with other seeds, and measure on test.

    Nothing else touches test. The runs are those of a study of their own, NAME.final. What is there already is not
    trained again: after a stop the command goes on, and with a higher --top or --seeds it adds what is missing.
    """
    from sweeper.launch.placement import plan_workers
    from sweeper.sweep.derived import is_done
    from sweeper.sweep.finalize import prepare_tests

    workspace = open_workspace()
    placement = read_placement(workers, devices, per_gpu, launcher=launcher, address=address, worker_cpus=worker_cpus)
    slots = plan_workers(placement)
    tests = prepare_tests(workspace, name, top=top, seeds=seeds, trials=trial or ())
    for note in tests.notes:
        typer.echo(note, err=True)
    if not is_done(workspace, tests.name):
        if not quiet and not as_json:
            typer.echo(_describe(name, tests))
        result, progress = run_driver(
            workspace, tests.name, placement, slots, checkpoint_seconds, quiet=quiet or as_json
        )
        if not result.finished:
            n_left = progress.n_trials - progress.n_ended
            again = f"sweeper finalize {name} --top {top} --seeds {seeds}" + "".join(
                f" --trial {n}" for n in trial or ()
            )
            typer.echo(f"{result.reason}, {n_left} trainings left; go on with: {again}", err=as_json)
            raise typer.Exit(EXIT_STOPPED)
    elif not quiet and not as_json:
        typer.echo("all of it was tested before; test is not touched again")
    _print_results(workspace, name, as_json=as_json)
    if not quiet and not as_json:
        typer.echo(f"report: sweeper report {name}    runs: sweeper runs {tests.name}")


def _describe(name: str, tests: Tests) -> str:
    n_all = len(tests.configurations) * tests.n_seeds
    there = f", {n_all - tests.n_new} of which were begun before" if n_all > tests.n_new else ""
    return (
        f"testing {name}, {'trial' if len(tests.configurations) == 1 else 'trials'} "
        f"{', '.join(map(str, tests.configurations))}: {plural(n_all, 'training')}, with "
        f"{plural(tests.n_seeds, 'seed')} each{there}; they are the runs of {tests.name}"
    )


def _print_results(workspace: Workspace, name: str, *, as_json: bool) -> None:
    from sweeper.report.final import open_final
    from sweeper.tracking.runs import read_study

    record, reader = read_study(name, workspace)
    final = open_final(record, reader)
    if final is None:
        typer.echo(f"MLflow has no runs of the tests yet; send them with: sweeper sync {name}.final", err=True)
        raise typer.Exit(1)
    if as_json:
        print_json(final.to_dict())
        return
    columns, rows = table_of(final)
    print_table(columns, rows, n_kept=5)
    if final.chosen is not None:
        trial = f"trial {final.chosen.source}"
        found = f"validation chooses {trial}" if len(final.configurations) > 1 else f"only {trial} was tested"
        typer.echo(f"{found}; test has chosen nothing")
    typer.echo(describe_touches(final))


def table_of(final: FinalData) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows: a row a configuration, the best by validation first."""
    shown = [m for m in final.measures if m not in ("auc", "loss")] or final.measures
    others = [m for m in final.measures if m not in shown]
    classes = [m for base in ("accuracy", "true_accuracy", "loss") for m in final.class_measures(base)]
    classes = classes if len(final.class_names) <= MAX_CLASSES else []
    metric = final.objective.metric
    states = {"failed": ("FAIL",), "left": ("RUNNING", "WAITING")}
    states = {k: v for k, v in states.items() if any(r.state in v for c in final.configurations for r in c.runs)}
    varied = sorted({k for c in final.configurations for k in c.params if k != "seed" and _varies(final, k)})
    names = short_names(varied)
    columns = ["trial", "seeds", *states, f"{metric} mean ± sd"]
    columns += [f"test/{measure} {what}" for measure in shown for what in ("mean", "95 %")]
    columns += [*(f"test/{measure}" for measure in (*others, *classes)), *(names[key] for key in varied)]
    rows = []
    for c in final.configurations:
        row: list[Any] = [c.source, len(c.complete), *(sum(r.state in v for r in c.runs) for v in states.values())]
        row.append(_spread(final.sample(c, metric)))
        for measure in shown:
            sample = final.sample(c, f"test/{measure}")
            row += [None if sample is None else sample.mean, _interval(sample)]
        for measure in (*others, *classes):
            sample = final.sample(c, f"test/{measure}")
            row.append(None if sample is None else sample.mean)
        rows.append([*row, *(c.params.get(key, "") for key in varied)])
    return columns, rows


def describe_touches(final: FinalData) -> str:
    """How often test was touched, in a sentence."""
    n_rounds, n_runs, n_pictures = len(final.rounds), len(final.final.runs), final.n_pictures("test")
    times = ", ".join(f"{r.time:%Y-%m-%d %H:%M} UTC" for r in final.rounds if r.time is not None)
    return (
        f"test ({'?' if n_pictures is None else f'{n_pictures:,}'} pictures) was touched in "
        f"{plural(n_rounds, 'round')} ({times}) by {plural(n_runs, 'run')}, "
        f"{final.n_evaluations:,} evaluations, one an epoch; each run counts at the epoch that validation chose"
    )


def _varies(final: FinalData, key: str) -> bool:
    return len({repr(c.params.get(key)) for c in final.configurations}) > 1


def _spread(sample: Sample | None) -> str:
    if sample is None:
        return "–"
    return number(sample.mean) + ("" if sample.deviation is None else f" ± {sample.deviation:.2g}")


def _interval(sample: Sample | None) -> str:
    if sample is None or sample.interval is None:
        return "–"
    return f"{number(sample.interval.low)}–{number(sample.interval.high)}"
