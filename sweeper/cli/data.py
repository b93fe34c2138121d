"""Commands about data sets: data show."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.cli.completion import one_of
from sweeper.cli.options import Json, open_workspace
from sweeper.cli.output import console, print_json, print_table

if TYPE_CHECKING:
    from sweeper.data.dataset import Dataset, Split

__all__ = ["register"]

PARTS = ("train", "validation", "test")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Look at data sets.", epilog="Example: sweeper data show stl10 --set image_size=64", no_args_is_help=True
    )
    group.callback()(_group)
    group.command(epilog="Example: sweeper data show studies/digits/mlp.yaml")(show)
    app.add_typer(group, name="data")


def _group() -> None:
    """Look at data sets."""


def _complete(incomplete: str) -> list[str]:
    from sweeper.data.catalog import BUILT_IN

    return [name for name in BUILT_IN if name.startswith(incomplete)]


def _check_part(part: str) -> str:
    if part not in PARTS:
        raise typer.BadParameter(f"given {part!r}; allowed: {', '.join(PARTS)}")
    return part


def show(
    source: Annotated[
        str,
        typer.Argument(
            help="A study file, a data set by name (digits, mnist, stl10 …), or a folder of pictures.",
            metavar="NAME|FILE|FOLDER",
            autocompletion=_complete,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Override a field: of a study file trial.data.image_size=64, else image_size=64.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the pictures. Default: reports/data/NAME.")
    ] = None,
    part: Annotated[
        str,
        typer.Option(
            help="Whose pictures are drawn: train, validation or test.",
            callback=_check_part,
            autocompletion=one_of(*PARTS),
        ),
    ] = "train",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the pictures that are drawn.")] = 0,
    as_json: Json = False,
) -> None:
    """Show what is trained on: pictures of each class, as PNG.

    By given and true labels, in each part.

    pictures.png has four random pictures of each class, with a red frame where the true class is another.
    augmentations.png has one picture before and after each augmentation.
    """
    from sweeper.sweep.shown_data import open_shown_data, write_pictures

    with _Progress() as progress:
        shown = open_shown_data(source, overrides or [], open_workspace(), on_progress=progress.update)
    files = write_pictures(shown, out or Path("reports", "data", shown.title), part=part, seed=seed)
    dataset, config = shown.dataset, shown.config
    if as_json:
        print_json(_as_json(dataset, config.split_seed, files))
        return
    channels, height, width = dataset.input_shape
    typer.echo(
        f"{shown.title}: {dataset.name}, {channels}×{height}×{width}, split {config.split}, seed {config.split_seed}"
    )
    if dataset.class_names:
        print_table(*_table(dataset))
    else:
        sizes = ", ".join(f"{name} {len(part):,}" for name, part in _parts(dataset).items())
        typer.echo(f"{sizes} vectors; outputs {', '.join(dataset.output_names)}")
    typer.echo(f"fingerprint {dataset.fingerprint}")
    for file in files:
        typer.echo(f"written: {file}")


def _parts(dataset: Dataset) -> dict[str, Split]:
    return {name: getattr(dataset, name) for name in PARTS}


def _table(dataset: Dataset) -> tuple[list[str], list[list[Any]]]:
    """A row a class, two columns a part where labels were made wrong."""
    columns: dict[str, list[int]] = {}
    for name, part in _parts(dataset).items():
        true = part.true_class_counts(dataset.n_classes)
        columns[name if true is None else f"{name} given"] = part.class_counts(dataset.n_classes)
        if true is not None:
            columns[f"{name} true"] = true
    rows = [[name, *(counts[k] for counts in columns.values())] for k, name in enumerate(dataset.class_names)]
    return ["class", *columns], [*rows, ["all", *(sum(counts) for counts in columns.values())]]


def _as_json(dataset: Dataset, split_seed: int, files: list[Path]) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "input_shape": dataset.input_shape,
        "class_names": dataset.class_names,
        "output_names": dataset.output_names,
        "parts": {
            name: {
                "n": len(part),
                "given": part.class_counts(dataset.n_classes) if dataset.class_names else None,
                "true": part.true_class_counts(dataset.n_classes),
            }
            for name, part in _parts(dataset).items()
        },
        "split_seed": split_seed,
        "mean": dataset.mean_C.tolist(),
        "deviation": dataset.deviation_C.tolist(),
        "fingerprint": dataset.fingerprint,
        "files": [str(file) for file in files],
    }


class _Progress:
    """A bar on stderr while pictures are decoded, where someone sees it."""

    def __enter__(self) -> _Progress:
        from rich.progress import Progress

        self._bar = Progress(console=console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        self._task = self._bar.add_task("decoding pictures", visible=False)
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, done: int, total: int) -> None:
        """So many of all pictures are decoded."""
        self._bar.update(self._task, completed=done, total=total, visible=True)
