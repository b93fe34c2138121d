"""The parameters of a W&B sweep as settings of a study: each at the field that its name stands for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sweeper.study.wandb.distributions import Converted, NotCarriedError, convert_distribution
from sweeper.study.wandb.hidden import hidden_layers
from sweeper.study.wandb.names import HIDDEN, LAYERS, OPTIONS, WIDTH, field_of, option_of
from sweeper.study.wandb.place import takes_integers
from sweeper.study.wandb.settings import Found, Setting
from sweeper.study.wandb.sweep_file import Parameter, SweepFile

__all__ = ["find_parameters"]

_ABOVE = {"training.optimizer.lr": 0.0}
_BELOW = dict.fromkeys(("model.dropout", "training.optimizer.momentum", "training.loss.label_smoothing"), 1.0)
"""Ends that a range of W&B often has and a field does not take."""


def find_parameters(sweep: SweepFile, base: Mapping[str, Any], mapped: Mapping[str, str]) -> Found:
    """What is said of parameters.

    Args:
        sweep: The sweep.
        base: The study that gives what the sweep does not say.
        mapped: Fields below `trial` by W&B's names, by the user's word.
    """
    found = Found()
    converted: dict[str, tuple[Parameter, Converted]] = {}
    for field, parameter in _one_a_field(sweep, mapped, found).items():
        try:
            converted[field] = parameter, _convert(parameter, field, grid=sweep.raw["method"] == "grid")
        except NotCarriedError as error:
            found.leave(parameter.field, parameter.line, f"for {field}: {error}")
    _add_hidden(converted, (base.get("trial") or {}).get("model"), found)
    # What is chosen by name goes first, so that fields of its options find them.
    for field in sorted(converted, key=lambda each: each not in OPTIONS):
        parameter, of = converted[field]
        is_said = mapped.get(parameter.name) == field
        found.settings.append(
            Setting(
                sources=((parameter.field, parameter.line),),
                field=f"trial.{field}",
                value=of.raw,
                changes=of.changes,
                option=f"--map {parameter.name}={field}" if is_said else None,
            )
        )
    return found


def _one_a_field(sweep: SweepFile, mapped: Mapping[str, str], found: Found) -> dict[str, Parameter]:
    """The parameter for each field; of several that the user has not told apart, none."""
    by_field: dict[str, list[Parameter]] = defaultdict(list)
    for parameter in sweep.parameters:
        field = mapped.get(parameter.name) or field_of(parameter.name)
        if field is None:
            message = f"no field is known by this name; say which by --map {parameter.name}=PATH"
            found.leave(parameter.field, parameter.line, message)
        else:
            by_field[field].append(parameter)
    chosen: dict[str, Parameter] = {}
    for field, parameters in by_field.items():
        rivals = [each for each in parameters if each.name in mapped] or parameters
        if len(rivals) == 1:
            chosen[field] = rivals[0]
        for parameter in parameters:
            if parameter is not chosen.get(field):
                others = " and ".join(each.name for each in parameters if each is not parameter)
                message = f"{others} stands for {field} too; say which does by --map {parameter.name}={field}"
                found.leave(parameter.field, parameter.line, message)
    return chosen


def _convert(parameter: Parameter, field: str, *, grid: bool) -> Converted:
    integer = field in (HIDDEN, WIDTH, LAYERS) or takes_integers(field)
    above, below = _ABOVE.get(field), _BELOW.get(field)
    converted = convert_distribution(parameter, integer=integer, grid=grid, above=above, below=below)
    return _by_name(field, converted) if field in OPTIONS else converted


def _by_name(field: str, converted: Converted) -> Converted:
    """Names of options in the words of a study; those that it does not have are left out, and said to be.

    Raises:
        NotCarriedError: It has none of them.
    """
    raw = converted.raw
    names = raw["choice"] if isinstance(raw, dict) and "choice" in raw else [raw]
    options = {str(name): option_of(field, str(name)) for name in names}
    unknown = [name for name, option in options.items() if option is None]
    known = list(dict.fromkeys(option for option in options.values() if option is not None))
    message = (
        f"no {field.rpartition('.')[2]} here is known as {', '.join(unknown)}; allowed: {', '.join(OPTIONS[field])}"
    )
    if not known:
        raise NotCarriedError(message)
    changes = (*converted.changes, *([message] if unknown else []))
    return Converted(raw={"choice": known} if len(known) > 1 else known[0], changes=changes)


def _add_hidden(converted: dict[str, tuple[Parameter, Converted]], model: Any, found: Found) -> None:
    """Width and number of layers become the one list that a study has of them."""
    parts = {field: converted.pop(field) for field in (WIDTH, LAYERS) if field in converted}
    if not parts:
        return
    raws = {field: of.raw for field, (_, of) in parts.items()}
    try:
        if HIDDEN in converted:
            raise NotCarriedError(f"{converted[HIDDEN][0].name} gives the widths of all layers")
        value = hidden_layers(raws.get(WIDTH), raws.get(LAYERS), model)
    except NotCarriedError as error:
        for parameter, _ in parts.values():
            found.leave(parameter.field, parameter.line, str(error).replace("NAME", parameter.name))
        return
    sources = tuple((parameter.field, parameter.line) for parameter, _ in parts.values())
    changes = tuple(change for _, of in parts.values() for change in of.changes)
    found.settings.append(Setting(sources=sources, field=f"trial.{HIDDEN}", value=value, changes=changes))
