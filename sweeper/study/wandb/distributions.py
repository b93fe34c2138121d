"""From W&B's distributions to a study's, where these draw the same values with the same probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sweeper.study.wandb.sweep_file import Parameter
from sweeper.study.words import show

__all__ = ["Converted", "NotCarriedError", "convert_distribution"]

OPEN_SHARE = 1e-9
"""An end that a field does not take moves inwards by this share of the range: no draw would have met it."""


class NotCarriedError(ValueError):
    """Something that a study cannot say, and why."""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A distribution, or a value, as a study file has it."""

    raw: Any
    changes: tuple[str, ...] = ()
    """In what it differs from W&B's."""


def convert_distribution(
    parameter: Parameter, *, integer: bool, grid: bool, above: float | None = None, below: float | None = None
) -> Converted:
    """A parameter's distribution in the form of a study file.

    Args:
        parameter: The parameter.
        integer: Whether its field takes whole numbers only.
        grid: Whether W&B would walk over its values.
        above: A bound that values of the field must be above.
        below: A bound that they must be below.

    Raises:
        NotCarriedError: A study has nothing that draws the same.
    """
    kind, spec = parameter.distribution, parameter.spec
    if any(isinstance(value, dict) for value in (spec.get("value"), *spec.get("values", ()))):
        raise NotCarriedError("a mapping, which W&B hands to the script as it is; give its parts as nested parameters")
    if kind == "constant":
        return Converted(raw=_whole(spec["value"]) if integer else spec["value"])
    if kind.startswith("categorical"):
        return _convert_values(spec["values"], spec.get("probabilities"), integer=integer)
    if kind == "int_uniform":
        return Converted(raw={"int": [spec["min"], spec["max"]]})
    if kind.endswith(("normal", "beta")):
        what = "it has no bounds" if kind.endswith("normal") else "a study has no such shape"
        raise NotCarriedError(f"{kind}: {what}; allowed in a study: uniform, or uniform in the logarithm, in a range")
    low, high = _bounds(kind, spec["min"], spec["max"])
    log = "log_uniform" in kind
    changes: tuple[str, ...] = ()
    if kind in ("log_uniform", "q_log_uniform") and spec["min"] > 0 and spec["max"] <= 1:  # nobody means 1 to 2.7
        meant = "W&B's log_uniform_values takes the values themselves"
        changes = (f"log_uniform takes exponents: this draws from {low:.6g} to {high:.6g}; {meant}",)
    if kind.startswith("q_"):
        converted = _convert_steps(low, high, spec.get("q", 1), log=log, integer=integer, grid=grid)
        return Converted(raw=converted.raw, changes=(*changes, *converted.changes))
    if integer:
        raise NotCarriedError(
            f"{kind} draws fractions, and the field takes whole numbers; "
            f"W&B's {'q_' if log else 'int_'}{kind.removeprefix('inv_') if log else kind} draws whole ones"
        )
    if above is not None and low <= above < high and not log:
        moved = _rounded(above + (high - above) * OPEN_SHARE)
        changes = (*changes, f"from {moved} instead of {low:g}: the field takes numbers above {above:g} only")
        low = moved
    if below is not None and low < below <= high:
        moved = _rounded(below - (below - low) * OPEN_SHARE)
        changes = (*changes, f"to {moved} instead of {high:g}: the field takes numbers below {below:g} only")
        high = moved
    return Converted(raw={"float": [float(low), float(high)], **({"log": True} if log else {})}, changes=changes)


def _bounds(kind: str, low: float, high: float) -> tuple[float, float]:
    """The smallest and the largest value. log(1/X) is uniform where log(X) is, so that an inverse one is a plain one:
    between the inverses of its bounds if these are exponents, between the same values if they are values."""
    if kind.endswith("log_uniform"):
        low, high = (-high, -low) if kind.startswith("inv_") else (low, high)
        try:
            return math.exp(low), math.exp(high)
        except OverflowError:
            raise NotCarriedError(f"{kind} with max {show(high)}: exp(max) is no number") from None
    return low, high


def _rounded(value: float) -> float:
    return float(f"{value:.12g}")


def _whole(value: Any) -> Any:
    """5.0 as 5, in lists too."""
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _convert_values(values: Sequence[Any], shares: Sequence[float] | None, *, integer: bool) -> Converted:
    options: list[Any] = []
    weights: list[float] = []
    for i, value in enumerate(values):
        option, weight = (_whole(value) if integer else value), 1.0 if shares is None else shares[i]
        if option in options:  # as Python, and Optuna with it, compares: 1, 1.0 and true are one
            weights[options.index(option)] += weight
        elif weight > 0:
            options.append(option)
            weights.append(weight)
    changes: tuple[str, ...] = ()
    if len(options) == 1:
        return Converted(raw=options[0])
    if not all(math.isclose(weight, weights[0]) for weight in weights):
        given = ", ".join(f"{weight / sum(weights):.3g}" for weight in weights)
        changes = (f"the probabilities {given} are not carried over: each of {show(options)} is as likely",)
    return Converted(raw={"choice": options}, changes=changes)


def _convert_steps(low: float, high: float, q: float, *, log: bool, integer: bool, grid: bool) -> Converted:
    """round(X / q) · q, for X between low and high."""
    step = Decimal(str(q))
    first, last = (round(Decimal(str(bound)) / step) * step for bound in (low, high))
    whole = step == step.to_integral_value()
    if integer and not whole:
        raise NotCarriedError(f"q of {q} makes fractions, and the field takes whole numbers")
    if log:
        if not (whole and step == 1):
            kind, cast = ("int", int) if whole else ("float", float)
            ends = f"[{cast(first)}, {cast(last)}]"
            raise NotCarriedError(
                f"steps of {q} in the logarithm: a distribution has log or step; "
                f"allowed: {{{kind}: {ends}, log: true}} or {{{kind}: {ends}, step: {q}}}"
            )
        if first < 1:
            raise NotCarriedError("it rounds to 0, which has no logarithm; allowed: values of at least 1")
        return Converted(raw={"int": [int(first), int(last)], "log": True}, changes=(_rare_ends(q, first, last),))
    if grid:  # W&B's grid counts from min, and leaves max out
        first = Decimal(str(low))
        last = first + ((Decimal(str(high)) - first) / step).to_integral_value("ROUND_CEILING") * step - step
        whole = whole and first == first.to_integral_value()
    if first == last:
        return Converted(raw=int(first) if whole else float(first))
    changes = () if grid else (_rare_ends(q, first, last),)
    if whole:
        return Converted(raw={"int": [int(first), int(last)], "step": int(step)}, changes=changes)
    if integer:
        raise NotCarriedError(f"from {low} by {q} there are fractions, and the field takes whole numbers")
    return Converted(raw={"float": [float(first), float(last)], "step": float(step)}, changes=changes)


def _rare_ends(q: float, first: Decimal, last: Decimal) -> str:
    return f"W&B rounds to multiples of {q}, and so draws the ends {first} and {last} less often than what lies between"
