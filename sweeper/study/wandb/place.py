"""Putting a value into the tree of a study by its path, into every branch of a choice that has the field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from sweeper.study.config import CustomConfig, TrialConfig
from sweeper.study.distributions import DISTRIBUTIONS, labels_of
from sweeper.study.parse import Path
from sweeper.study.wandb.distributions import NotCarriedError
from sweeper.study.words import nearest, show

__all__ = ["has_field", "models_at", "put", "takes_integers"]

_DEFAULT_NAMES = {"training.loss": "cross_entropy", "training.schedule": "constant"}
"""What a branch is that a study does not mention."""


@cache
def models_at(field: str) -> tuple[type[BaseModel], ...]:
    """The configurations that may stand at a field below `trial`: those of the optimizers at `training.optimizer`."""
    models: tuple[type[BaseModel], ...] = (TrialConfig,)
    for key in field.split(".") if field else ():
        models = tuple(
            inner
            for model in models
            if key in model.model_fields
            for inner in _models(model.model_fields[key].annotation)
        )
    return models


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    is_model = isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel)
    if is_model and not issubclass(annotation, CustomConfig):  # a base, which has no name of its own
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


@cache
def takes_integers(field: str) -> bool:
    """Whether a field below `trial`, or each item of it, is a whole number."""
    parent, _, key = re.sub(r"\[[^]]*\]|\.\d+", "", field).rpartition(".")
    annotations = [model.model_fields[key].annotation for model in models_at(parent) if key in model.model_fields]
    types = {leaf for annotation in annotations for leaf in _leaves(annotation)}
    return int in types and float not in types


def _leaves(annotation: Any) -> Iterator[Any]:
    arguments = get_args(annotation)
    if not arguments:
        yield annotation
    for argument in arguments:
        yield from _leaves(argument)


def has_field(field: str, option: str | None, key: str) -> bool:
    """Whether what stands at a field has a field of its own: sgd has a momentum; None stands for any option."""
    models = models_at(field)
    named = [model for model in models if _name_of(model) == option] if option is not None else []
    return any(key in model.model_fields for model in named or models) or not models


def _name_of(model: type[BaseModel]) -> str | None:
    name = model.model_fields.get("name")
    return name.default if name is not None and isinstance(name.default, str) else None


def put(trial: dict[str, Any], field: str, value: Any) -> list[Path]:
    """Put a value at a field below `trial`, such as `training.optimizer.lr` or `training.optimizer[sgd].momentum`.

    Returns:
        The places that hold it now.

    Raises:
        NotCarriedError: There is no such place.
    """
    keys = re.findall(r"\[[^]]*\]|[^.[]+", field)
    places = list(_put(trial, keys, value, (), ""))
    if not places:
        parents = [".".join(key for key in keys[:n] if not key.startswith("[")) for n in range(len(keys))]
        lacking = [n for n, key in enumerate(keys) if not key.startswith("[") and not has_field(parents[n], None, key)]
        n = lacking[0] if lacking else len(keys) - 1
        names = _names_at(trial, parents[n])
        models = [model for model in models_at(parents[n]) if _name_of(model) in names] or models_at(parents[n])
        hint = nearest(keys[n], sorted({key for model in models for key in model.model_fields} - {keys[n]}))
        what = f"{parents[n]} {' or '.join(names)}".strip() or "trial"
        raise NotCarriedError(f"{what} has no {keys[n]}{hint}")
    return places


def _put(node: Any, keys: list[str], value: Any, at: Path, field: str) -> Iterator[Path]:
    """Walk down to the place; `field` is the path so far, without the choices on it."""
    key, rest = keys[0], keys[1:]
    if isinstance(node, dict) and "choice" in node:
        yield from _put_into_options(node["choice"], keys, value, (*at, "choice"), field)
        return
    if key.startswith("["):
        raise NotCarriedError(f"{field} is no choice, and has no option {key[1:-1]}")
    if isinstance(node, list):
        if not key.isdecimal() or int(key) >= len(node):
            raise NotCarriedError(f"{field} is {show(node)}, and has no {key}")
        index = int(key)
        yield from _descend(node, index, rest, value, at, f"{field}.{index}")
        return
    if not isinstance(node, dict) or node.keys() & DISTRIBUTIONS.keys():
        raise NotCarriedError(f"{field} is {show(node)}, and has no {key}")
    name = node.get("name")
    if not has_field(field, name if isinstance(name, str) else None, key):
        return
    yield from _descend(node, key, rest, value, at, f"{field}.{key}".lstrip("."))


def _descend(node: Any, key: Any, rest: list[str], value: Any, at: Path, field: str) -> Iterator[Path]:
    if not rest:
        node[key] = value
        yield (*at, key)
        return
    child = node[key] if isinstance(node, list) else node.get(key)
    if child is None:
        child = {"name": _DEFAULT_NAMES[field]} if field in _DEFAULT_NAMES else {}
    elif isinstance(child, str):
        child = {"name": child}
    places = list(_put(child, rest, value, (*at, key), field))
    if places:
        node[key] = child
    yield from places


def _put_into_options(options: list[Any], keys: list[str], value: Any, at: Path, field: str) -> Iterator[Path]:
    labels = [str(label) for label in labels_of(options)]
    wanted = keys[0][1:-1] if keys[0].startswith("[") else None
    if wanted is not None and wanted not in labels:
        raise NotCarriedError(f"{field} has no option {wanted}; allowed there: {', '.join(labels)}")
    for i, option in enumerate(options):
        if wanted in (None, labels[i]):
            child = {"name": option} if isinstance(option, str) else option
            places = list(_put(child, keys[1:] if wanted else keys, value, (*at, i), field))
            if places:
                options[i] = child
            yield from places


def _names_at(trial: dict[str, Any], field: str) -> list[str]:
    """What stands at a field, by name: of `model` logistic, of `training.optimizer` adam and adamw."""
    node: Any = trial
    for key in field.split(".") if field else ():
        node = node.get(key) if isinstance(node, dict) else None
    options = node["choice"] if isinstance(node, dict) and "choice" in node else [node]
    names = [each.get("name") if isinstance(each, dict) else each or _DEFAULT_NAMES.get(field) for each in options]
    return [str(name) for name in names if name]
