"""The JSON Schema of study files: that of `TrialConfig`, with a distribution allowed in the place of any value."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from sweeper.study.config import TrialConfig
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


def study_schema() -> dict[str, Any]:
    """The schema, draft 2020-12."""
    study = TypeAdapter(Study).json_schema(mode="validation", ref_template="#/$defs/{model}")
    trial = TypeAdapter(TrialConfig).json_schema(mode="validation", ref_template="#/$defs/{model}")
    definitions = trial.pop("$defs")
    definitions["TrialConfig"] = trial
    for definition in definitions.values():
        for name, field in definition.get("properties", {}).items():
            if "const" not in field:  # a name that tells branches apart
                definition["properties"][name] = _or_distribution(field)
    study_definitions = study.pop("$defs", {})
    for definition in (study, *study_definitions.values()):
        for name, field in definition.get("properties", {}).items():
            definition["properties"][name] = _with_bare_names(field)
    study["properties"]["trial"] = {
        "$ref": "#/$defs/TrialConfig",
        "description": study["properties"]["trial"].get("description", ""),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sweeper study",
        **{key: value for key, value in study.items() if key != "title"},
        "$defs": dict(sorted({**definitions, **study_definitions, **_DISTRIBUTIONS}.items())),
    }


def _or_distribution(field: dict[str, Any]) -> dict[str, Any]:
    """A field's schema, with distributions of such values allowed too."""
    about: dict[str, Any] = {key: field[key] for key in ("description", "default", "title") if key in field}
    plain = _with_bare_names({key: value for key, value in field.items() if key not in about})
    repeat = _repeat(plain)
    if plain.get("type") == "array" and "items" in plain:
        plain = {**plain, "items": _or_distribution(plain["items"])}
    options = [plain]
    types = set(_types(plain))
    if "number" in types:
        options.append({"$ref": "#/$defs/FloatDistribution"})
    if types & {"number", "integer"}:
        options.append({"$ref": "#/$defs/IntDistribution"})
    option = {"anyOf": [plain, *options[1:]]} if len(options) > 1 else plain
    options.append(
        {
            "type": "object",
            "description": "One of several values, or of several branches that may hold distributions of their own.",
            "properties": {"choice": {"type": "array", "minItems": 1, "items": option}},
            "required": ["choice"],
            "additionalProperties": False,
        }
    )
    if repeat is not None:
        options.append(repeat)
    return {**about, "anyOf": options}


def _with_bare_names(plain: dict[str, Any]) -> dict[str, Any]:
    """Where one of several named mappings stands, its bare name may stand."""
    names = plain.get("discriminator", {}).get("mapping")
    if not names:
        return plain
    rest = {key: value for key, value in plain.items() if key not in ("discriminator", "oneOf")}
    return {**rest, "anyOf": [*plain["oneOf"], {"enum": sorted(names)}]}


def _types(schema: dict[str, Any]) -> list[str]:
    found = [schema["type"]] if isinstance(schema.get("type"), str) else []
    for key in ("anyOf", "oneOf"):
        for option in schema.get(key, []):
            found.extend(_types(option))
    return found


def _repeat(plain: dict[str, Any]) -> dict[str, Any] | None:
    """The distribution of lists, where `plain` allows lists of any length."""
    arrays = [s for s in [plain, *plain.get("anyOf", [])] if s.get("type") == "array" and "items" in s]
    if not arrays:
        return None
    item = arrays[0]["items"]
    count = {"type": "integer", "minimum": 0, "maximum": 1000}
    return {
        "type": "object",
        "description": "A list of so many items, each drawn for itself.",
        "properties": {
            "repeat": {
                "anyOf": [
                    count,
                    {
                        "type": "object",
                        "properties": {"min": count, "max": count},
                        "required": ["min", "max"],
                        "additionalProperties": False,
                    },
                ]
            },
            "of": _or_distribution(item),
        },
        "required": ["repeat", "of"],
        "additionalProperties": False,
    }
