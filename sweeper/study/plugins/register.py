"""Decorators by which a function joins the parts that a study file can name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

from sweeper.errors import PluginError
from sweeper.study.config import Registration, registry
from sweeper.study.plugins.kinds import KINDS, Kind
from sweeper.study.plugins.signature import create_config, read_signature

__all__ = ["add", "decorator"]

F = TypeVar("F", bound=Callable[..., Any])
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def decorator(kind: str, name: str, facts: dict[str, Any]) -> Callable[[F], F]:
    """What registers the function that it decorates, and leaves it as it is.

    Raises:
        PluginError: In the place of a name stands what is to be decorated.
    """
    if not isinstance(name, str):
        given = getattr(name, "__name__", str(name))
        source = _source(name) if callable(name) else ""
        where = f" of {source}" if source else ""
        raise PluginError(
            f"@sweeper.{kind} above {given}{where}: the name that study files use is missing; "
            f"write @sweeper.{kind}({given.replace('_', '-').lower()!r})"
        )

    def register(function: F) -> F:
        add(KINDS[kind], name, function, facts=facts)
        return function

    return register


def add(
    kind: Kind, name: str, function: Callable[..., Any], *, facts: dict[str, Any], package: str = ""
) -> Registration:
    """Register a function.

    Raises:
        PluginError: The name is taken or none, or its parameters cannot be those of a study file.
    """
    label = f"{kind.words} {name!r}"
    if not _NAME.fullmatch(name):
        raise PluginError(f"{label}: a name has letters, digits, '_' and '-', and begins with a letter")
    if not callable(function):
        raise PluginError(f"{label}: {function!r} is no function")
    source = _source(function)
    _check_free(kind, name, function, source, label)
    signature = read_signature(function, label=label, n_positional=kind.n_positional, given=kind.given)
    fields = signature.fields if signature.model is None else signature.model.model_fields
    for required in kind.required:
        if required not in fields:
            raise PluginError(f"{label}: needs a parameter {required!r}, such as `{required}: float = 0.001`")
    config = None if kind.base is None else create_config(name, signature, kind.base, label=label)
    if config is None and fields:
        raise PluginError(f"{label}: takes {', '.join(fields)}, but a {kind.words} has no parameters in a study file")
    registration = Registration(
        kind=kind.name,
        name=name,
        function=function,
        config=config,
        parameters=tuple(signature.fields),
        takes=signature.given,
        takes_config=signature.model is not None,
        source=source,
        package=package,
        facts=facts,
    )
    registry.add(registration)
    return registration


def _check_free(kind: Kind, name: str, function: Callable[..., Any], source: str, label: str) -> None:
    if name in registry.built_in_names(kind.name) | kind.reserved:
        raise PluginError(f"{label}: the name is taken by one of sweeper's own; give it another")
    other = registry.get(kind.name, name)
    if other is None or other.function is function:
        return
    # The same function once more: a cell of a notebook, a module under two names.
    if (other.source, other.function.__qualname__) != (source, function.__qualname__):
        where = other.source or other.function.__module__
        raise PluginError(
            f"{label}: the name is taken by {other.function.__qualname__} of {where}; give one of them another"
        )


def _source(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsourcefile(inspect.unwrap(function)) or ""
    except TypeError:
        return ""
