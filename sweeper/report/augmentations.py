"""Augmentations in a few words: one value to compare trials by, in the place of a parameter for each setting."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sweeper.report.format import param_text
from sweeper.study.config import AugmentConfig

__all__ = ["augment_words", "fold_augmentations"]

_PATH = "data.augment"
_LEAF = re.compile(r"data\.augment\.(\d+)\.(.+)")
_ADAPTER: TypeAdapter[Any] = TypeAdapter(AugmentConfig)


def _setting(key: str, value: Any, *, named: bool) -> str:
    text = f"{param_text(value)}°" if key in ("degrees", "shear") else param_text(value)
    return f"{key} {text}" if named else text


def _one(item: Any) -> str:
    try:
        config = _ADAPTER.validate_python({"name": item} if isinstance(item, str) else item)
    except ValidationError:
        return param_text(item)
    words = [config.name.replace("_", " ")]
    for key, field in type(config).model_fields.items():
        value = getattr(config, key)
        if key != "name" and (field.is_required() or value != field.default):
            words.append(_setting(key, value, named=key not in ("degrees", "share")))
    return " ".join(words)


def augment_words(augment: Sequence[Any]) -> str:
    """`rotation 8°`, `horizontal flip + color jitter hue 0.1`, `none`: settings at their defaults are left out.

    Args:
        augment: The list as a study file has it, with a value at every leaf.
    """
    return " + ".join(map(_one, augment)) if augment else "none"


def fold_augmentations(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with all leaves of `data.augment` replaced by their words."""
    items: dict[int, dict[str, Any]] = {}
    folded: dict[str, Any] = {}
    for path, value in params.items():
        leaf = _LEAF.fullmatch(path)
        if leaf:
            items.setdefault(int(leaf[1]), {})[leaf[2]] = value
        elif path not in (_PATH, f"{_PATH}.repeat"):
            folded[path] = value
    if items or _PATH in params:
        folded[_PATH] = augment_words([items[i] for i in sorted(items)])
    return folded
