"""The JSON Schema of study files: that of `TrialConfig`, with a distribution allowed in the place of any value."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from sweeper.study.config import LoopTrialConfig, TrialConfig, registry
from sweeper.study.config.base import METRIC_PATTERN
from sweeper.study.study import Study

__all__ = ["study_schema"]

_NUMBER_PAIR = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
_INTEGER_PAIR = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
_DISTRIBUTIONS: dict[str, Any] = {
    "FloatDistribution": {
        "description": "A float in [low, high]: uniform, uniform in the logarithm, or on a grid.",
        "type": "object",
        "properties": {
            "float": {**_NUMBER_PAIR, "description": "[low, high], both included."},
            "log": {"type": "boolean", "default": False, "description": "Uniform in the logarithm."},
            "step": {"type": "number", "exclusiveMinimum": 0, "description": "Only low, low + step, and so on."},
        },
        "required": ["float"],
        "additionalProperties": False,
    },
    "IntDistribution": {
        "description": "An integer in [low, high]: uniform, uniform in the logarithm, or every step.",
        "type": "object",
        "properties": {
            "int": {**_INTEGER_PAIR, "description": "[low, high], both included."},
            "log": {"type": "boolean", "default": False, "description": "Uniform in the logarithm."},
            "step": {"type": "integer", "minimum": 1, "description": "Only low, low + step, and so on."},
        },
        "required": ["int"],
        "additionalProperties": False,
    },
}


_COUNT = {"type": "integer", "minimum": 0, "maximum": 1000}
_REPEAT = {
    "anyOf": [
        _COUNT,
        {
            "type": "object",
            "properties": {"min": _COUNT, "max": _COUNT},
            "required": ["min", "max"],
            "additionalProperties": False,
        },
    ]
}
_ABOUT = ("title", "description", "default")


def study_schema() -> dict[str, Any]:
    """The schema, draft 2020-12, with what plugins have registered."""
    definitions: dict[str, Any] = dict(_DISTRIBUTIONS)
    for model in (TrialConfig, LoopTrialConfig):
        trial = TypeAdapter(model).json_schema(mode="validation")
        definitions |= {**trial.pop("$defs", {}), model.__name__: trial}
    for name, definition in definitions.items():
        if name not in _DISTRIBUTIONS:
            _require_name(definition)
            for field, schema in definition["properties"].items():
                if "const" not in schema:
                    definition["properties"][field] = _or_distribution(schema, f"#/$defs/{name}/properties/{field}")
    study = TypeAdapter(Study).json_schema(mode="validation")
    for name, definition in study.pop("$defs").items():
        _require_name(definition)
        definitions[name] = _with_bare_names(definition)
    study = _with_bare_names(study)
    study["description"] = study["description"].partition("\n\n")[0]  # what follows is for Python
    study["properties"]["trial"] |= {"anyOf": [{"$ref": "#/$defs/TrialConfig"}, {"$ref": "#/$defs/LoopTrialConfig"}]}
    del study["properties"]["trial"]["type"]
    metrics = "".join(f"|^(train|val)/{custom.name}$" for custom in registry.all("metric"))
    own_metrics = {"properties": {"objective": {"properties": {"metric": {"pattern": METRIC_PATTERN + metrics}}}}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **study,
        "if": {"properties": {"trial": {"required": ["loop"]}}},
        "else": own_metrics,  # a loop of one's own may have any
        "title": "sweeper study",
        "$defs": dict(sorted(definitions.items())),
    }


def _require_name(model: dict[str, Any]) -> None:
    """The name that tells branches apart has a default in Python, but must stand in a file."""
    if "const" in model["properties"].get("name", {}):
        model["required"] = ["name", *model.get("required", [])]
        model["properties"]["name"].pop("default", None)


def _or_distribution(schema: dict[str, Any], pointer: str) -> dict[str, Any]:
    """What `schema` allows, or a distribution of it.

    Args:
        schema: Of plain values.
        pointer: Where the result will stand. It refers to itself, since options of a choice may be distributions too.
    """
    about = {key: schema[key] for key in _ABOUT if key in schema}
    plain = _with_bare_names({key: value for key, value in schema.items() if key not in _ABOUT})
    options: list[dict[str, Any]] = [plain]
    types = {option.get("type") for option in plain.get("anyOf", [plain])}
    if "number" in types:
        options.append({"$ref": "#/$defs/FloatDistribution"})
    if types & {"number", "integer"}:
        options.append({"$ref": "#/$defs/IntDistribution"})
    for i, option in enumerate(plain.get("anyOf", [plain])):
        if option.get("type") == "array":
            place = f"{pointer}/anyOf/0/anyOf/{i}" if "anyOf" in plain else f"{pointer}/anyOf/0"
            item = _replace_items(option, place)
            options.append(
                {
                    "description": "A list of so many items, each drawn for itself.",
                    "type": "object",
                    "properties": {"repeat": _REPEAT, "of": {"$ref": item}},
                    "required": ["repeat", "of"],
                    "additionalProperties": False,
                }
            )
    options.append(
        {
            "description": "One of several values, or of several branches that may hold distributions of their own.",
            "type": "object",
            "properties": {"choice": {"type": "array", "minItems": 1, "items": {"$ref": pointer}}},
            "required": ["choice"],
            "additionalProperties": False,
        }
    )
    return {**about, "anyOf": options}


def _replace_items(array: dict[str, Any], pointer: str) -> str:
    """Allow distributions of the items of an array in place. Returns the pointer to the schema of an item."""
    if "items" in array:
        array["items"] = _or_distribution(array["items"], f"{pointer}/items")
        return f"{pointer}/items"
    array["prefixItems"] = [
        _or_distribution(item, f"{pointer}/prefixItems/{i}") for i, item in enumerate(array["prefixItems"])
    ]
    return f"{pointer}/prefixItems/0"


def _with_bare_names(schema: Any) -> Any:
    """Where one of several named mappings stands, its bare name may stand: at any depth of a schema."""
    if isinstance(schema, list):
        return [_with_bare_names(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    names = schema.get("discriminator", {}).get("mapping")
    rest = {key: _with_bare_names(item) for key, item in schema.items() if key not in ("discriminator", "oneOf")}
    return {**rest, "anyOf": [*schema["oneOf"], {"enum": sorted(names)}]} if names else rest
