"""The study that a sweep becomes: a base study with the sweep's settings in it."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeper.study.assignments import paths_of
from sweeper.study.parse import Path
from sweeper.study.space import Space, SpaceError
from sweeper.study.wandb.distributions import NotCarriedError
from sweeper.study.wandb.names import OPTIONS
from sweeper.study.wandb.place import put
from sweeper.study.wandb.settings import Note, Setting
from sweeper.study.wandb.sweep_file import SweepFile

__all__ = ["Built", "build_study", "searched_by_base"]

_ORDER = ("name", "description", "objective", "sampler", "pruner", "budget", "keep_models", "trial")
_TRIAL_ORDER = ("data", "model", "training", "seed")
_FLAT = "a Gaussian process as in W&B, with another kernel and acquisition"
_BRANCHED = "tpe instead of W&B's Gaussian process, which would draw parameters that depend on a choice at random: {}"


@dataclass(frozen=True, kw_only=True)
class Built:
    """A study as plain data."""

    raw: dict[str, Any]
    places: Mapping[Path, Setting]
    """What stands at a place by a setting of the sweep."""
    left: Sequence[tuple[Setting, str]]
    """Settings for which there is no place, and why."""
    notes: Sequence[Note]
    """What differs from the sweep."""


def build_study(sweep: SweepFile, base: Mapping[str, Any], settings: Sequence[Setting], *, name: str) -> Built:
    """Put settings into a copy of a base study.

    Args:
        sweep: Where they are from.
        base: What the study has beside them.
        settings: What is put in.
        name: Of the study, where the sweep has none.
    """
    raw = copy.deepcopy(dict(base))
    given = str(sweep.raw.get("name", "")).strip()
    raw["name"] = re.sub(r"[^A-Za-z0-9_.-]+", "-", given or name).strip("-.")[:128] or "imported"
    raw["description"] = sweep.raw.get("description") or f"Imported from {sweep.source}, a sweep file of W&B."
    notes = []
    if given and given != raw["name"]:
        message = f"{raw['name']}: names of studies are letters, digits, `_`, `.` and `-`"
        notes.append(Note(field="name", line=sweep.line("name"), message=message, carried=True))
    trial = raw["trial"] = dict(raw.get("trial") or {})
    places: dict[Path, Setting] = {}
    left: list[tuple[Setting, str]] = []
    # The sampler last: which one it is hangs on the space.
    for setting in sorted(settings, key=lambda each: each.field == "sampler"):
        changes = setting.changes
        if setting.field.startswith("trial."):
            try:
                found = _put(trial, setting)
            except NotCarriedError as error:
                left.append((setting, str(error)))
                continue
            places |= dict.fromkeys((("trial", *path) for path in found), setting)
        elif setting.field == "sampler":
            raw["sampler"], change = _sampler(setting.value, trial, base.get("sampler"))
            changes = (*changes, change) if change else changes
            places["sampler",] = setting
            if setting.value == "grid" and "run_cap" not in sweep.raw and raw.get("budget"):
                raw["budget"].pop("trials", None)
        else:
            raw[setting.field] = setting.value
            places[setting.field,] = setting
        notes += setting.notes(*changes, carried=True)
    raw["trial"] = {key: trial[key] for key in sorted(trial, key=lambda each: _position(each, _TRIAL_ORDER))}
    raw = {key: raw[key] for key in sorted(raw, key=lambda each: _position(each, _ORDER))}
    return Built(raw=raw, places=places, left=left, notes=notes)


def _position(key: str, order: Sequence[str]) -> int:
    return order.index(key) if key in order else len(order)


def _put(trial: dict[str, Any], setting: Setting) -> list[Path]:
    field = setting.field.removeprefix("trial.")
    value = copy.deepcopy(setting.value)
    return put(trial, field, _options(trial, field, value) if field in OPTIONS else value)


def _options(trial: Mapping[str, Any], field: str, value: Any) -> Any:
    """Options by name, each with the fields that it has in the base study."""
    group, _, key = field.partition(".")
    node = (trial.get(group) or {}).get(key)
    before = node["choice"] if isinstance(node, dict) and "choice" in node else [node]
    known = {name: each for each in before if isinstance(name := _name(each), str)}
    names = value["choice"] if isinstance(value, dict) else [value]
    options = [known.get(name, name) for name in names]
    return {"choice": options} if len(options) > 1 else options[0]


def _name(branch: Any) -> Any:
    return branch.get("name") if isinstance(branch, dict) else branch


def _sampler(method: str, trial: Mapping[str, Any], before: Any) -> tuple[dict[str, Any], str]:
    """The sampler of a method, with the seed of the base's; and what to say of it."""
    seed = {"seed": before["seed"]} if isinstance(before, dict) and "seed" in before else {}
    if method != "bayes":
        return {"name": method, **seed}, ""
    try:
        paths = paths_of(Space.parse(trial))
        branched = list(dict.fromkeys(path for name, path in paths.items() if name != path or path.endswith(".repeat")))
    except SpaceError:
        branched = []
    if branched:
        return {"name": "tpe", **seed}, _BRANCHED.format(", ".join(branched[:3]))
    return {"name": "gp", **seed}, _FLAT


def searched_by_base(built: Built) -> list[str]:
    """Fields that the study searches though no setting of the sweep is about them."""
    found: dict[str, None] = {}

    def visit(node: Any, place: Path, field: str) -> None:
        owner = next((built.places[place[:n]] for n in range(len(place), 0, -1) if place[:n] in built.places), None)
        # Of what is chosen by name, the sweep says the names; the fields are the base's.
        is_named = owner is not None and owner.field.removeprefix("trial.") in OPTIONS
        of_base = owner is None or (is_named and field != owner.field)
        if isinstance(node, Mapping):
            if node.keys() & {"float", "int", "choice", "repeat"} and of_base:
                found[field] = None
            for key, child in node.items():
                visit(child, (*place, key), field if key in ("choice", "of") else f"{field}.{key}")
        elif isinstance(node, list):
            for i, child in enumerate(node):
                visit(child, (*place, i), field if place[-1] == "choice" else f"{field}.{i}")

    visit(built.raw["trial"], ("trial",), "trial")
    return list(found)
