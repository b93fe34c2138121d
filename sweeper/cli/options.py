"""Options and arguments that several commands share, and what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from sweeper.cli.completion import complete_name, complete_run, one_of

if TYPE_CHECKING:
    from sweeper.launch.placement import Placement
    from sweeper.study.study import Study
    from sweeper.tracking.workspace import Workspace

__all__ = [
    "Address",
    "CheckpointSeconds",
    "Csv",
    "Devices",
    "Files",
    "Json",
    "Launcher",
    "Name",
    "Overrides",
    "PerGpu",
    "Quiet",
    "Run",
    "WorkerCpus",
    "Workers",
    "name_plugins",
    "open_workspace",
    "read_placement",
    "to_options",
    "with_named_plugins",
]


def open_workspace() -> Workspace:
    """The workspace of the current folder and environment."""
    from sweeper.tracking.workspace import Workspace

    return Workspace.from_environment()


def name_plugins(plugins: list[str]) -> tuple[str, ...]:
    """Import what `--plugin` names; returns the names by which any process finds them."""
    from sweeper.study.plugins.sources import load_plugin, resolve_plugin

    resolved = [resolve_plugin(plugin, Path.cwd()) for plugin in plugins]
    for plugin in resolved:
        load_plugin(plugin)
    return tuple(resolved)


def with_named_plugins(study: Study, context: typer.Context) -> Study:
    """A study that has the plugins of `--plugin` too, so that whoever goes on with it has them."""
    named: tuple[str, ...] = context.obj or ()
    if not named:
        return study
    return study.model_copy(update={"plugins": tuple(dict.fromkeys((*study.plugins, *named)))})


def read_placement(
    workers: int | None,
    devices: str | None,
    per_gpu: str = "1",
    *,
    launcher: str = "local",
    address: str | None = None,
    worker_cpus: float | None = None,
) -> Placement:
    """Where workers are to go, from the options that say so."""
    from sweeper.launch.placement import Placement

    parts = None if devices is None else [part.strip() for part in devices.split(",")]
    names = None if parts is None else [f"cuda:{part}" if part.isdecimal() else part for part in parts]
    return Placement(
        launcher=launcher,
        workers=workers,
        devices=names,
        per_gpu="auto" if per_gpu == "auto" else int(per_gpu),
        address=address,
        worker_cpus=worker_cpus,
    )


def to_options(placement: Placement) -> list[str]:
    """The options that `read_placement` reads back."""
    given = {
        "--launcher": placement.launcher,
        "--per-gpu": placement.per_gpu,
        "--workers": placement.workers,
        "--devices": None if placement.devices is None else ",".join(placement.devices),
        "--address": placement.address,
        "--worker-cpus": placement.worker_cpus,
    }
    return [part for option, value in given.items() if value is not None for part in (option, str(value))]


def _check_per_gpu(value: str) -> str:
    if value != "auto" and not (value.isdecimal() and int(value) > 0):
        raise typer.BadParameter(f"given {value!r}; allowed: a number from 1 up, or auto")
    return value


def _check_launcher(name: str) -> str:
    from sweeper.launch.placement import LAUNCHERS

    if name in LAUNCHERS:
        return name
    from sweeper.errors import InputError
    from sweeper.study.plugins.launchers import parse_launcher

    try:
        parse_launcher(name, LAUNCHERS)
    except InputError as error:
        raise typer.BadParameter(str(error).removeprefix("--launcher: ")) from None
    return name


def _complete_launcher(incomplete: str) -> list[str]:
    from sweeper.launch.placement import LAUNCHERS

    return [name for name in LAUNCHERS if name.startswith(incomplete)]


Files: TypeAlias = Annotated[list[Path], typer.Argument(help="Study files.", metavar="FILE...")]
Name: TypeAlias = Annotated[str, typer.Argument(help="Name of a study.", autocompletion=complete_name)]
Run: TypeAlias = Annotated[
    str,
    typer.Argument(
        help="STUDY (its best trial), STUDY/NUMBER (one of its trials), or MLflow's id of a run.",
        metavar="RUN",
        autocompletion=complete_run,
    ),
]
Overrides: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Override a field of the file: trial.training.epochs=3"),
]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Number of workers. Default: one a GPU, else one a CPU, at most 4."),
]
Devices: TypeAlias = Annotated[str | None, typer.Option(help="GPUs to use, such as 0,2; or cpu. Default: all GPUs.")]
PerGpu: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="N",
        help="Workers on each GPU; auto: as many as fit beside each other.",
        callback=_check_per_gpu,
        autocompletion=one_of("auto"),
    ),
]
Launcher: TypeAlias = Annotated[
    str,
    typer.Option(
        help=(
            "Where trials run: local (processes), ray (a Ray cluster), inline (debugging), or a plugin's: "
            "NAME:FIELD=VALUE,..."
        ),
        callback=_check_launcher,
        autocompletion=_complete_launcher,
    ),
]
Address: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="Ray cluster for --launcher ray. Default: RAY_ADDRESS, else the one on this machine."
    ),
]
WorkerCpus: TypeAlias = Annotated[
    float | None,
    typer.Option(metavar="X", help="CPUs that Ray keeps for each worker; 0.5: two workers share one. Default: 1."),
]
CheckpointSeconds: TypeAlias = Annotated[
    float, typer.Option(metavar="X", min=0.0, help="Seconds between checkpoints of a trial; what a crash can cost.")
]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Print only problems and the result.")]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Csv: TypeAlias = Annotated[bool, typer.Option("--csv", help="Print CSV, for scripts.")]
