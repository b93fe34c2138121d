"""Everything of a W&B sweep as settings of a study, with the user's word on names that are not the usual ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sweeper.errors import InputError
from sweeper.study.wandb.parameters import find_parameters
from sweeper.study.wandb.search import find_search
from sweeper.study.wandb.settings import Found
from sweeper.study.wandb.sweep_file import SweepFile
from sweeper.study.words import nearest

__all__ = ["find_settings"]


def find_settings(sweep: SweepFile, base: Mapping[str, Any], maps: Sequence[str] = ()) -> Found:
    """What is to be put into the study, and what cannot be.

    Args:
        sweep: The sweep.
        base: The study that gives what the sweep does not say.
        maps: `NAME=PATH`: fields for parameters, or the objective for the metric, by the user's word.

    Raises:
        InputError: A `--map` that fits nothing.
    """
    metric = sweep.raw.get("metric", {}).get("name")
    names = [parameter.name for parameter in sweep.parameters]
    metrics: dict[str, str] = {}
    fields: dict[str, str] = {}
    for name, path in map(_parse_map, maps):
        is_metric = "/" in path
        if name not in (metric, *names):
            known = [*names, *([metric] if metric else [])]
            hint = nearest(name, known) or ";"
            raise InputError(f"--map {name}={path}: {sweep.source} has no {name!r}{hint} it has: {', '.join(known)}")
        if is_metric and name != metric:
            raise InputError(f"--map {name}={path}: {name} is a parameter; allowed: a field, such as model.hidden.0")
        if not is_metric and name not in names:
            raise InputError(f"--map {name}={path}: {name} is the metric; allowed: a study's, such as val/accuracy")
        (metrics if is_metric else fields)[name] = path
    search, parameters = find_search(sweep, base, metrics), find_parameters(sweep, base, fields)
    return Found(settings=search.settings + parameters.settings, notes=search.notes + parameters.notes)


def _parse_map(text: str) -> tuple[str, str]:
    """`NAME=PATH` as name and path, without the `trial.` that all paths begin with."""
    name, _, path = (part.strip() for part in text.partition("="))
    if not name or not re.fullmatch(r"(train|val)/.+|[^.[\]=/]+(\.[^.[\]/]+|\[[^\]]+\])*", path):
        raise InputError(f"--map: given {text!r}; allowed: NAME=PATH, such as width=trial.model.hidden.0")
    return name, path.removeprefix("trial.")
