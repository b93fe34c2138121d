"""Width and number of hidden layers, two parameters of a sweep, as the one list of widths that a study has."""

from __future__ import annotations

from typing import Any

from sweeper.study.wandb.distributions import NotCarriedError
from sweeper.study.wandb.sweep_file import is_integer
from sweeper.study.words import show

__all__ = ["hidden_layers"]

MAX_LISTS = 64
"""So many lists of widths are written out as a choice between them."""


def hidden_layers(width: Any, n_layers: Any, model: Any) -> Any:
    """`model.hidden` from the width that all layers share and their number; what is not given is the base's.

    Args:
        width: A width, a distribution of it, or None.
        n_layers: A number, a distribution of it, or None.
        model: The model of the base study, or None.

    Raises:
        NotCarriedError: A list of widths cannot say it.
    """
    if isinstance(model, dict) and "choice" in model:
        raise NotCarriedError("the base study has a choice between models; say whose by --map NAME=model[mlp].hidden.0")
    hidden = model.get("hidden") if isinstance(model, dict) else None
    if n_layers is None:
        if hidden is not None and not (isinstance(hidden, list) and len(hidden) == 1):
            remedy = "--map NAME=model.hidden.0 says which layer"
            if not isinstance(hidden, list) or not hidden:
                remedy = "a base with one layer takes it, such as hidden: [64]"
            raise NotCarriedError(f"a width of one layer, where the base study has hidden: {show(hidden)}; {remedy}")
        return [width]
    low, high = _range(n_layers)
    if width is None:
        if isinstance(hidden, dict) and "repeat" in hidden:
            return _repeat(low, high, hidden["of"])
        if isinstance(hidden, list) and hidden and all(each == hidden[0] for each in hidden):
            return _repeat(low, high, hidden[0])
        raise NotCarriedError(f"a number of layers, whose widths are not known: hidden is {show(hidden)}")
    if low == high == 1:
        return [width]
    if is_integer(width):
        return _repeat(low, high, width)
    widths = _values(width)
    if widths is None or len(widths) * (high - low + 1) > MAX_LISTS:
        raise NotCarriedError(
            "one width for all of several layers: a study draws each for itself; allowed: a choice between lists, "
            "as `hidden: {choice: [[64], [64, 64]]}`"
        )
    return {"choice": [[each] * n for n in range(low, high + 1) for each in widths]}


def _repeat(low: int, high: int, of: Any) -> dict[str, Any]:
    return {"repeat": low if low == high else {"min": low, "max": high}, "of": of}


def _values(raw: Any) -> list[int] | None:
    """The values of a width that has few of them."""
    if isinstance(raw, dict) and "choice" in raw:
        return list(raw["choice"])
    if isinstance(raw, dict) and "int" in raw and not raw.get("log"):
        low, high = raw["int"]
        return list(range(low, high + 1, raw.get("step", 1)))
    return None


def _range(n_layers: Any) -> tuple[int, int]:
    """Smallest and largest number of layers, where all between are as likely."""
    values = [n_layers] if is_integer(n_layers) else _values(n_layers) or []
    are_counts = bool(values) and all(is_integer(n) and n > 0 for n in values)
    if not are_counts or sorted(values) != [*range(min(values), max(values) + 1)]:
        raise NotCarriedError(f"a number of layers of {show(n_layers)}; allowed: a number, or all from one to another")
    return min(values), max(values)
