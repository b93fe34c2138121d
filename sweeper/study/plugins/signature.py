"""From the signature of a function to a configuration: typed, with defaults, documented by its docstring."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from sweeper.errors import PluginError
from sweeper.study.config.base import to_tuple

__all__ = ["Signature", "create_config", "read_signature"]

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)
_MISSING = object()


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a function takes."""

    fields: dict[str, Any]
    """Parameters that a study file can set: annotation and default, as for `pydantic.create_model`."""
    model: type[BaseModel] | None
    """The model of its parameter `config`, if it takes them as one object."""
    given: frozenset[str]
    """Parameters that sweeper gives."""
    text: str
    """What it is, from its docstring."""


def read_signature(function: Callable[..., Any], *, label: str, n_positional: int, given: Sequence[str]) -> Signature:
    """Read the parameters of a function or class.

    A parameter whose type no study file can express (a callable, a module) keeps its default, and of a union what can
    be expressed is taken. `*args` and `**kwargs` get nothing.

    Args:
        function: The function, or a class, which is called to make an object.
        label: What it is, for messages: `model 'resmlp'`.
        n_positional: How many arguments come first, by position.
        given: Names of parameters that sweeper can give.

    Raises:
        PluginError: A parameter has no type, one without a default has a type that no study file can express, or a
            default is not of its type.
    """
    parameters = [
        p for p in inspect.signature(function).parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if len(parameters) < n_positional:
        raise PluginError(
            f"{label}: {_where(function)} takes {len(parameters)} arguments; it is called with {n_positional} by "
            "position"
        )
    hints = _hints(function)
    text, described = _read_docstring(inspect.getdoc(function) or "")
    if isinstance(function, type):
        described |= _read_docstring(inspect.getdoc(inspect.getattr_static(function, "__init__")) or "")[1]
    fields: dict[str, Any] = {}
    model: type[BaseModel] | None = None
    taken: set[str] = set()
    for parameter in parameters[n_positional:]:
        name = parameter.name
        if name in given:
            taken.add(name)
            continue
        hint = hints.get(name, _MISSING)
        if name == "config" and isinstance(hint, type) and issubclass(hint, BaseModel):
            model = hint
            continue
        if parameter.annotation is inspect.Parameter.empty:
            raise PluginError(
                f"{label}: the parameter {name!r} of {_where(function)} has no type; write one, such as `{name}: int` "
                f"or `{name}: float = 0.1`"
            )
        field = _field(
            parameter, hint, described.get(name), label=f"{label}: the parameter {name!r} of {_where(function)}"
        )
        if field is not None:
            fields[name] = field
    return Signature(fields=fields, model=model, given=frozenset(taken), text=text)


def create_config(name: str, signature: Signature, base: type[BaseModel], *, label: str) -> type[BaseModel]:
    """The configuration of a function: its parameters and its name, which tells it apart from the others.

    Raises:
        PluginError: A parameter has the name of something else.
    """
    own = signature.fields if signature.model is None else dict(signature.model.model_fields)
    if signature.model is not None and signature.fields:
        raise PluginError(
            f"{label}: takes `config` and {', '.join(signature.fields)}; put all into the model of `config`"
        )
    for field in own:
        if field == "name" or (field in base.model_fields and field != "lr") or field.startswith(("_", "model_")):
            raise PluginError(f"{label}: the parameter {field!r} has a name that is taken; give it another")
    title = "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", name))
    bases = base if signature.model is None else (base, signature.model)
    fields: dict[str, Any] = {"name": (Literal[name], name), **signature.fields}
    config: type[BaseModel] = create_model(
        f"{title}{_suffix(base)}", __base__=bases, __doc__=signature.text or None, __module__=__name__, **fields
    )
    return config


def _suffix(base: type[BaseModel]) -> str:
    return base.__name__.removeprefix("Custom")


def _field(parameter: inspect.Parameter, hint: Any, description: str | None, *, label: str) -> Any | None:
    """Annotation and default of one field; None for a parameter that keeps its default."""
    annotation = _MISSING if hint is _MISSING else _expressible(hint)
    default: Any = ... if parameter.default is inspect.Parameter.empty else parameter.default
    if annotation is _MISSING:
        if default is ... and hint is _MISSING:
            raise PluginError(
                f"{label} has the type {parameter.annotation!s}, which is not defined at the top level of its module"
            )
        if default is ...:
            raise PluginError(
                f"{label} has the type {parameter.annotation!s}, which no study file can express; allowed: bool, int, "
                "float, str, Literal, lists, tuples and dicts of these, pydantic models; or a default, which it keeps"
            )
        return None
    if default is None and hint is not None:
        annotation = annotation | None if get_origin(annotation) is not Annotated else Union[annotation, None]  # noqa: UP007
    if default is not ...:
        try:
            default = TypeAdapter(annotation, config=_config_of(annotation)).validate_python(default)
        except ValidationError as error:
            raise PluginError(f"{label} has the default {default!r}: {error.errors()[0]['msg']}") from None
    if description:
        return (Annotated[annotation, Field(description=description)], default)
    return (annotation, default)


def _config_of(annotation: Any) -> ConfigDict | None:
    return None if isinstance(annotation, type) and issubclass(annotation, BaseModel) else _STRICT


def _expressible(hint: Any) -> Any:
    """The type, with lists read as tuples where it has tuples, without members of unions that no file can express;
    `_MISSING` if nothing is left."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        inner = _expressible(arguments[0])
        if inner is _MISSING:
            return _MISSING
        hint = Annotated[(inner, *arguments[1:])]
    elif origin in (Union, types.UnionType):
        members = tuple(m for m in map(_expressible, arguments) if m is not _MISSING)
        if not [m for m in members if m is not type(None)]:
            return _MISSING
        hint = Union[members]  # noqa: UP007  # of a tuple
    elif origin is tuple:
        inner_types = tuple(a if a is ... else _expressible(a) for a in arguments)
        if _MISSING in inner_types:
            return _MISSING
        return Annotated[tuple[inner_types], BeforeValidator(to_tuple)]  # type: ignore[valid-type]
    if hint is Any:
        return _MISSING
    try:
        TypeAdapter(hint, config=_config_of(hint)).json_schema()
    except Exception:  # noqa: BLE001  # pydantic has several ways to say that it cannot
        return _MISSING
    return hint


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Types of parameters; those of names that exist for type checkers alone are left out."""
    target: Any = inspect.getattr_static(function, "__init__") if isinstance(function, type) else function
    target = inspect.unwrap(target)
    try:
        return get_type_hints(target, include_extras=True)
    except Exception:  # noqa: BLE001  # a name that only type checkers see, which need not be that of our parameter
        hints: dict[str, Any] = {}
        for name, annotation in getattr(target, "__annotations__", {}).items():
            one = types.SimpleNamespace(
                __annotations__={name: annotation}, __globals__=getattr(target, "__globals__", {})
            )
            try:
                hints |= get_type_hints(one, one.__globals__, include_extras=True)
            except Exception:  # noqa: BLE001, S112
                continue
        return hints


def _where(function: Callable[..., Any]) -> str:
    name = getattr(function, "__qualname__", repr(function))
    try:
        _, line = inspect.getsourcelines(function)
        return f"{name} ({inspect.getsourcefile(function)}, line {line})"
    except (OSError, TypeError):
        return name


def _read_docstring(doc: str) -> tuple[str, dict[str, str]]:
    """What comes before the first section, and each parameter's description from `Args:` (Google's style)."""
    match = re.search(r"^(?:Args|Arguments|Parameters):[ \t]*\n((?:[ \t]+.*\n?|[ \t]*\n)*)", doc, flags=re.MULTILINE)
    text = re.split(
        r"^(?:Args|Arguments|Parameters|Returns|Yields|Raises|Example|Examples|Note):[ \t]*$", doc, flags=re.MULTILINE
    )[0]
    described: dict[str, str] = {}
    if match:
        lines = inspect.cleandoc("\n" + match[1]).splitlines()
        name = ""
        for line in lines:
            start = re.match(r"\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.*)", line)
            if start and not line.startswith((" ", "\t")):
                name = start[1]
                described[name] = start[2].strip()
            elif name and line.strip():
                described[name] = f"{described[name]} {line.strip()}".strip()
    return text.strip(), described
