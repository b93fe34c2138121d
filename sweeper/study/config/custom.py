"""Where plugins come in: configurations that are not part of sweeper, and unions that they join.

A plugin registers a function under a kind and a name (see `sweeper.study.plugins`); the configuration made from its
signature is found here by its name, wherever one of the built-in ones may stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Union, get_args

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema, core_schema

from sweeper.study.config.base import Config
from sweeper.study.words import show

__all__ = [
    "CustomAugmentationConfig",
    "CustomConfig",
    "CustomLauncherConfig",
    "CustomLoopConfig",
    "CustomLossConfig",
    "CustomMetricConfig",
    "CustomModelConfig",
    "CustomOptimizerConfig",
    "CustomScheduleConfig",
    "Extensible",
    "Registration",
    "Registry",
    "registration_of",
    "registry",
]


@dataclass(frozen=True, kw_only=True)
class Registration:
    """One function of a plugin."""

    kind: str
    """`model`, `dataset`, ...; see `sweeper.study.plugins.kinds`."""
    name: str
    function: Callable[..., Any]
    config: type[BaseModel] | None
    """Its parameters, with `name`; None for kinds that have none."""
    parameters: tuple[str, ...] = ()
    """Names of the parameters that come from the configuration."""
    takes: frozenset[str] = frozenset()
    """Names of the parameters that sweeper gives, of those that it could."""
    takes_config: bool = False
    """Whether the function takes the configuration as one object, as `config`."""
    source: str = ""
    """The file that it was defined in."""
    package: str = ""
    """Name and version of the package that it was found in by its entry point, such as `resmlp 1.0`."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the decorator was told besides."""

    def call(self, config: Any, *arguments: Any, **given: Any) -> Any:
        """Call the function with what sweeper gives, as far as it takes it, and with its parameters."""
        keywords = {name: value for name, value in given.items() if name in self.takes}
        if self.takes_config:
            keywords["config"] = config
        else:
            keywords |= {name: getattr(config, name) for name in self.parameters}
        return self.function(*arguments, **keywords)


class Registry:
    """All that plugins have registered in this process, and the names that are taken by sweeper itself."""

    def __init__(self) -> None:
        self._built_in: dict[str, tuple[type[BaseModel], ...]] = {}
        self._registered: dict[tuple[str, str], Registration] = {}
        self._by_config: dict[type[BaseModel], Registration] = {}
        self._adapters: dict[str, TypeAdapter[Any]] = {}

    def set_built_in(self, kind: str, configs: tuple[type[BaseModel], ...]) -> None:
        """Say which configurations of a kind are sweeper's own."""
        self._built_in[kind] = configs

    def built_in_names(self, kind: str) -> frozenset[str]:
        """Names that no plugin may take."""
        return frozenset(name for config in self._built_in.get(kind, ()) for name in _names_of(config))

    def add(self, registration: Registration) -> None:
        """Register; what had that kind and name before is replaced."""
        self._registered[registration.kind, registration.name] = registration
        if registration.config is not None:
            self._by_config[registration.config] = registration
        self._adapters.pop(registration.kind, None)

    def get(self, kind: str, name: str) -> Registration | None:
        """What is registered already under a name."""
        return self._registered.get((kind, name))

    def find(self, kind: str, name: str) -> Registration | None:
        """What is registered under a name, or can be found: a package may declare it as an entry point."""
        if (kind, name) not in self._registered and name not in self.built_in_names(kind):
            from sweeper.study.plugins.sources import (
                load_entry_point,
            )  # knows the kinds, which derive from what is here

            load_entry_point(kind, name)
        return self.get(kind, name)

    def of(self, config: type[BaseModel]) -> Registration | None:
        """What a configuration was made for."""
        return self._by_config.get(config)

    def all(self, kind: str | None = None) -> tuple[Registration, ...]:
        """All that is registered, of a kind if given, in the order of registration."""
        return tuple(r for r in self._registered.values() if kind in (None, r.kind))

    def configs(self, base: type[BaseModel]) -> list[type[BaseModel]]:
        """Configurations of plugins that derive from `base`."""
        return [r.config for r in self.all() if r.config is not None and issubclass(r.config, base)]

    def adapter(self, kind: str) -> TypeAdapter[Any] | None:
        """Of the built-in configurations of a kind and those of plugins; None without plugins."""
        if kind not in self._adapters:
            configs = [r.config for r in self.all(kind) if r.config is not None]
            if not configs:
                return None
            self._adapters[kind] = TypeAdapter(_union((*self._built_in.get(kind, ()), *configs)))
        return self._adapters[kind]


_ANY_NAMED = {
    "anyOf": [
        {"type": "string"},
        {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    ]
}
"""JSON Schema of what only plugins have, where none is loaded."""

registry = Registry()
"""Of this process: a decorator has no other place to put what it decorates."""


def registration_of(config: BaseModel) -> Registration | None:
    """The plugin that a configuration belongs to; None for one of sweeper's own."""
    return registry.of(type(config))


class CustomConfig(Config):
    """Base of the configurations of plugins. Each has a `name` of its own, and the parameters of its function."""

    name: str
    """The name that it is registered under."""


class CustomModelConfig(CustomConfig):
    """A model of a plugin."""


class CustomLossConfig(CustomConfig):
    """A loss of a plugin."""


class CustomOptimizerConfig(CustomConfig):
    """An optimizer of a plugin."""

    lr: float = Field(default=1e-3, gt=0.0, le=1e6)
    """Learning rate."""


class CustomScheduleConfig(CustomConfig):
    """A schedule of a plugin."""


class CustomAugmentationConfig(CustomConfig):
    """An augmentation of a plugin."""


class CustomLoopConfig(CustomConfig):
    """A training loop of a plugin."""


class CustomMetricConfig(CustomConfig):
    """A metric of a plugin."""


class CustomLauncherConfig(CustomConfig):
    """A launcher of a plugin."""


class Extensible:
    """Marks a union of named configurations, or one configuration with a name, that plugins add to."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        members = tuple(m for m in (get_args(source) or (source,)) if not issubclass(m, CustomConfig))
        registry.set_built_in(self.kind, members)
        return core_schema.no_info_wrap_validator_function(
            self._validate,
            handler.generate_schema(_union(members)) if members else core_schema.any_schema(),
            serialization=core_schema.simple_ser_schema("any"),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        adapter = registry.adapter(self.kind)
        if adapter is None and not registry.built_in_names(self.kind):
            return dict(_ANY_NAMED)
        return handler(schema if adapter is None else {**schema, "schema": adapter.core_schema})

    def _validate(self, value: Any, handler: Callable[[Any], Any]) -> Any:
        name = value.get("name") if isinstance(value, Mapping) else getattr(value, "name", None)
        if not isinstance(name, str) and not registry.built_in_names(self.kind):
            raise ValueError("`name` is missing; allowed: a mapping with a name, or the bare name")
        if not isinstance(name, str) or name in registry.built_in_names(self.kind):
            return handler(value)
        registry.find(self.kind, name)
        adapter = registry.adapter(self.kind)
        if adapter is None and not registry.built_in_names(self.kind):
            raise ValueError(f"given {show(name)}, which no plugin has; name the module that has it under `plugins`")
        return handler(value) if adapter is None else adapter.validate_python(value)


def _union(members: tuple[type[BaseModel], ...]) -> Any:
    if len(members) == 1:
        return members[0]
    return Annotated[Union[members], Field(discriminator="name")]  # noqa: UP007  # of a tuple


def _names_of(config: type[BaseModel]) -> tuple[str, ...]:
    annotation = config.model_fields["name"].annotation
    return tuple(name for name in get_args(annotation) if isinstance(name, str))
