"""Commands that analyse tracked runs: attack, audit-labels, embed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from sweeper.analysis.choices import BETWEEN, EMBED_PARTS, METHODS, PARTS, PRUNE_METHODS, RANKINGS
from sweeper.cli.completion import one_of
from sweeper.cli.options import Devices, Json, Name, PerGpu, Run, Workers, open_workspace, read_placement
from sweeper.cli.output import console, number, print_json, print_table

if TYPE_CHECKING:
    from sweeper.tracking.analyses import Kept
    from sweeper.tracking.subject import OnProgress

__all__ = ["register"]

EXIT_STOPPED = 130

Device: TypeAlias = Annotated[str, typer.Option(help="Where the model runs: cpu, cuda:0, mps.")]
Seed: TypeAlias = Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the choice of pictures.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: sweeper attack digits-mlp --method pgd --epsilon 0.05 --epsilon 0.1")(attack)
    app.command(name="audit-labels", epilog="Example: sweeper audit-labels digits-mlp --top 1 --out suspects.csv")(
        audit_labels
    )
    app.command(epilog="Example: sweeper embed digits-mlp/3 --part both")(embed)


def attack(
    run: Run,
    method: Annotated[
        str,
        typer.Option(
            help="fgsm (one step), bim (several), pgd (several, from a random place).",
            autocompletion=one_of(*METHODS),
        ),
    ] = "fgsm",
    epsilon: Annotated[
        list[float] | None,
        typer.Option(help="Largest change of a pixel, 0 to 1; may be repeated. Default: 1, 2, 4, 8, 16 and 32 by 255."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="Class that pictures are to be taken for. Default: any.")] = None,
    source: Annotated[str | None, typer.Option(help="Class of the pictures that are attacked. Default: all.")] = None,
    steps: Annotated[int, typer.Option(metavar="N", min=1, help="Steps of bim and pgd.")] = 10,
    pictures: Annotated[int, typer.Option(metavar="N", min=1, help="At most so many pictures are attacked.")] = 1000,
    examples: Annotated[int, typer.Option(metavar="N", min=0, help="Pictures that are shown before and after.")] = 6,
    part: Annotated[
        str, typer.Option(help="Pictures of which part: val or train.", autocompletion=one_of(*PARTS))
    ] = "val",
    seed: Seed = 0,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Attack the model of a run with adversarial pictures.

    Accuracy of each class against the size of the change.
    """
    from sweeper.analysis.attack import attack_run
    from sweeper.analysis.attack_pictures import DEFAULT_EPSILONS, AttackOptions

    options = AttackOptions(
        method=_one_of("--method", method, METHODS),
        epsilons=epsilon or DEFAULT_EPSILONS,
        target=target,
        source=source,
        n_steps=steps,
        n_pictures=pictures,
        n_examples=examples,
        part=_one_of("--part", part, PARTS),
        seed=seed,
    )
    with _progress() as tell:
        result, kept = attack_run(open_workspace(), run, options, device=device, on_progress=tell)
    if as_json:
        print_json({**result, "kept": _place(kept)})
        return
    _print_attack(result)
    _say_where(kept, result)


def _print_attack(result: dict[str, Any]) -> None:
    """A row for each ε: accuracy over all pictures, of a targeted attack the share that it leads there, and accuracy of
    each class."""
    by_epsilon: dict[float, list[dict[str, Any]]] = {}
    for row in result["accuracy"]:
        by_epsilon.setdefault(row["epsilon"], []).append(row)
    target = result["target"]
    names = [row["class"] for row in next(iter(by_epsilon.values()))]
    rows = []
    for epsilon, classes in by_epsilon.items():
        n = sum(row["n"] for row in classes)
        led = [] if target is None else [sum(row["as_target"] for row in classes) / n]
        right = sum(row["right"] for row in classes) / n
        shares = [epsilon, right, *led, *(row["right"] / row["n"] for row in classes)]
        rows.append([f"{share:.4f}" for share in shares])
    columns = ["epsilon", "accuracy", *([] if target is None else [f"taken for {target}"]), *names]
    typer.echo(f"{result['n_pictures']} pictures of {result['study']}, trial {result['trial']}")
    print_table(columns, rows, n_kept=len(columns) - len(names))


def audit_labels(
    name: Name,
    top: Annotated[
        int, typer.Option("--top", "-k", metavar="N", min=1, help="How many of the best configurations are used.")
    ] = 3,
    folds: Annotated[int, typer.Option(metavar="N", min=2, help="Parts that the pictures are split into.")] = 5,
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, help="How often each configuration is cross-validated.")
    ] = 1,
    rounds: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="From the second on, models are trained without the suspects of the one before."
        ),
    ] = 1,
    between: Annotated[
        str,
        typer.Option(
            help="What becomes of suspects in the next round: relabel or drop.", autocompletion=one_of(*BETWEEN)
        ),
    ] = "relabel",
    prune: Annotated[
        str,
        typer.Option(
            help=f"How suspects are chosen: {', '.join(PRUNE_METHODS)}.",
            autocompletion=one_of(*PRUNE_METHODS),
        ),
    ] = "mixture",
    ranking: Annotated[
        str,
        typer.Option(help=f"What they are ordered by: {', '.join(RANKINGS)}.", autocompletion=one_of(*RANKINGS)),
    ] = "probability",
    min_probability: Annotated[
        float,
        typer.Option(metavar="X", min=0.01, max=1.0, help="With mixture: least probability of being mislabelled."),
    ] = 0.5,
    pictures: Annotated[int, typer.Option(metavar="N", min=0, help="Suspects that are shown as pictures.")] = 40,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="CSV file of the suspects. Default: NAME-suspects.csv.")
    ] = None,
    workers: Workers = None,
    devices: Devices = None,
    per_gpu: PerGpu = "1",
    as_json: Json = False,
) -> None:
    """Find pictures with wrong labels.

    Models of the study's best configurations judge pictures that they were not trained on.

    The CSV file can be corrected by hand and given to a study as `trial.data.relabel`. Ctrl-C keeps the folds that are
    done; the same command goes on from there.
    """
    from sweeper.analysis.audit import AuditOptions
    from sweeper.analysis.audit import audit_labels as audit
    from sweeper.launch.placement import plan_workers

    options = AuditOptions(
        top=top,
        n_folds=folds,
        n_seeds=seeds,
        n_rounds=rounds,
        between=_one_of("--between", between, BETWEEN),
        prune=_one_of("--prune", prune, PRUNE_METHODS),
        ranking=_one_of("--ranking", ranking, RANKINGS),
        min_probability=min_probability,
        n_pictures=pictures,
    )
    slots = plan_workers(read_placement(workers, devices, per_gpu))
    path = out or Path(f"{name}-suspects.csv")
    with _progress(goes_on=True) as tell:
        done = audit(open_workspace(), name, options, slots=slots, out=path, on_progress=tell)
    if as_json:
        print_json({**done.result, "csv": str(path), "kept": _place(done.kept)})
        return
    truth = done.result["truth"]
    columns = ["rank", "picture", "given", "suggested", "confidence", "probability", *(["true"] if truth else [])]
    print_table(
        columns, [[row[column] for column in columns] for row in done.result["suspects"][:20]], more="CSV has all"
    )
    typer.echo(f"{len(done.result['suspects'])} of {done.result['n_pictures']} labels are suspect: {path}")
    if truth:
        typer.echo(
            f"against the true labels: precision {number(truth['precision'])}, recall {number(truth['recall'])} "
            f"({truth['found']} of {truth['wrong']} wrong labels found), {truth['wrong_after']} wrong after relabelling"
        )
    _say_where(done.kept, done.result)


def embed(
    run: Run,
    part: Annotated[str, typer.Option(help="Pictures of which part: val, train or both.")] = "val",
    pictures: Annotated[int, typer.Option(metavar="N", min=3, help="At most so many pictures are shown.")] = 5000,
    seed: Seed = 0,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Show the features of a run's model in the plane.

    Beside them a principal component analysis of the pixels.
    """
    from sweeper.analysis.embed import EmbedOptions, embed_run

    options = EmbedOptions(part=_one_of("--part", part, EMBED_PARTS), n_pictures=pictures, seed=seed)
    with _progress() as tell:
        result, kept = embed_run(open_workspace(), run, options, device=device, on_progress=tell)
    if as_json:
        print_json({**result, "kept": _place(kept)})
        return
    print_table(
        ["", "dimensions", "nearest neighbours", "silhouette"],
        [
            [result["features"] if space == "features" else space, n, scores["knn_accuracy"], scores["silhouette"]]
            for space, found in result["spaces"].items()
            for n, scores in _by_dimension(found)
        ],
    )
    _say_where(kept, result)


def _by_dimension(found: dict[str, Any]) -> list[tuple[int, dict[str, float]]]:
    plane = [(2, found["plane"])]
    return plane if found["n_dimensions"] == 2 else [*plane, (found["n_dimensions"], found["all"])]


def _one_of(option: str, given: str, allowed: Sequence[str]) -> Any:
    from sweeper.errors import InputError

    if given not in allowed:
        raise InputError(f"{option}: given {given!r}; allowed: {', '.join(allowed)}")
    return given


def _place(kept: Kept) -> dict[str, str]:
    return {"run_id": kept.run_id, "folder": kept.folder}


def _say_where(kept: Kept, result: dict[str, Any]) -> None:
    typer.echo(f"kept with run {kept.run_id} under {kept.folder}; see it with: sweeper report {result['study']}")


@contextmanager
def _progress(*, goes_on: bool = False) -> Iterator[OnProgress]:
    """What is done, on the standard error: a bar on a terminal, else a line now and then. Ctrl-C ends with one line."""
    try:
        if sys.stderr.isatty():
            yield from _bar()
        else:
            yield _Lines().tell
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on from here" if goes_on else "interrupted", err=True)
        raise typer.Exit(EXIT_STOPPED) from None


def _bar() -> Iterator[OnProgress]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)

        def tell(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        yield tell


class _Lines:
    """A line at every tenth."""

    def __init__(self) -> None:
        self._said: tuple[str, int] | None = None

    def tell(self, what: str, done: int, total: int) -> None:
        tenth = 10 * done // total if total else 10
        if self._said != (what, tenth):
            self._said = (what, tenth)
            typer.echo(f"{what}  {done}/{total}", err=True)
