"""A launcher of a plugin, as an option names it: `slurm:partition=gpu,hours=2`."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ValidationError

from sweeper.errors import InputError
from sweeper.study.config import Registration, registry
from sweeper.study.faults import describe_errors
from sweeper.study.words import nearest
from sweeper.study.yaml import parse_yaml

__all__ = ["parse_launcher"]


def parse_launcher(text: str, own: Sequence[str]) -> tuple[BaseModel, Registration]:
    """The launcher that a text names, and its configuration.

    Args:
        text: `name`, or `name:field=value,...`; values as in a study file, without commas.
        own: Names of sweeper's own launchers, for the message.

    Raises:
        InputError: No plugin has it, or its parameters have a fault.
    """
    name, _, rest = text.partition(":")
    found = registry.find("launcher", name)
    if found is None or found.config is None:
        known = [*own, *(custom.name for custom in registry.all("launcher"))]
        hint = nearest(name, known) or ";"
        raise InputError(f"--launcher: given {name!r}{hint} allowed: {', '.join(known)}, or one that --plugin names")
    tree: dict[str, object] = {"name": name}
    for part in rest.split(",") if rest else ():
        field, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"--launcher: given {part!r}; allowed: field=value")
        tree[field.strip()] = parse_yaml(f"x: {value}", "--launcher").data["x"]
    try:
        return found.config.model_validate(tree), found
    except ValidationError as error:
        faults = describe_errors(found.config, tree, error.errors())
        raise InputError(
            "; ".join(f"--launcher: {'.'.join(map(str, path))}: {message}" for path, message in faults)
        ) from None
