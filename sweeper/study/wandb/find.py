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
    mapped = dict(_parse_map(text) for text in maps)
    metric = sweep.raw.get("metric", {}).get("name")
    known = [parameter.name for parameter in sweep.parameters] + ([metric] if metric else [])
    for name, path in mapped.items():
        if name not in known:
            hint = nearest(name, known) or ";"
            message = f"{sweep.source} has no {name!r}{hint} it has: {', '.join(known)}"
            raise InputError(f"--map {name}={path}: {message}")
    metrics = {name: path for name, path in mapped.items() if "/" in path}
    fields = {name: path for name, path in mapped.items() if "/" not in path}
    search, parameters = find_search(sweep, base, metrics), find_parameters(sweep, base, fields)
    return Found(settings=search.settings + parameters.settings, notes=search.notes + parameters.notes)


def _parse_map(text: str) -> tuple[str, str]:
    """`NAME=PATH` as name and path, without the `trial.` that all paths begin with."""
    name, _, path = (part.strip() for part in text.partition("="))
    if not name or not re.fullmatch(r"(train|val)/.+|[^.[\]=/]+(\.[^.[\]/]+|\[[^\]]+\])*", path):
        raise InputError(f"--map: given {text!r}; allowed: NAME=PATH, such as width=trial.model.hidden.0")
    return name, path.removeprefix("trial.")
