"""Search spaces for property tests, as a study file would hold them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

__all__ = ["finite_spaces", "spaces"]

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1000, 1000),
    st.floats(-1e6, 1e6, allow_nan=False),
    st.text(max_size=8),
)
_keys = st.sampled_from(["a", "b", "c", "lr", "width"])


@st.composite
def _ints(draw: st.DrawFn) -> dict[str, Any]:
    low = draw(st.integers(-20, 20))
    high = low + draw(st.integers(0, 12))
    kind = draw(st.sampled_from(["plain", "step", "log"]))
    if kind == "log" and low > 0:
        return {"int": [low, high], "log": True}
    return {"int": [low, high]} | ({"step": draw(st.integers(1, 5))} if kind == "step" else {})


@st.composite
def _steps(draw: st.DrawFn) -> dict[str, Any]:
    low = draw(st.floats(-10, 10))
    step = draw(st.sampled_from([0.1, 0.25, 0.3, 1.0]))
    return {"float": [low, low + draw(st.floats(0, 5)) * step], "step": step}


@st.composite
def _floats(draw: st.DrawFn) -> dict[str, Any]:
    low = draw(st.floats(1e-6, 10))
    return {"float": [low, low + draw(st.floats(0, 1e3))]} | ({"log": True} if draw(st.booleans()) else {})


def _is_new(option: Any, others: list[Any]) -> bool:
    return all(option != other for other in others)


@st.composite
def _choices(draw: st.DrawFn, of: st.SearchStrategy[Any]) -> dict[str, Any]:
    options: list[Any] = []
    for option in draw(st.lists(of, min_size=1, max_size=3)):
        if _is_new(option, options):
            options.append(option)
    return {"choice": options}


@st.composite
def _repeats(draw: st.DrawFn, of: st.SearchStrategy[Any]) -> dict[str, Any]:
    low = draw(st.integers(0, 2))
    high = low + draw(st.integers(0, 1))
    return {"repeat": low if low == high else {"min": low, "max": high}, "of": draw(of)}


def _nodes(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda of: st.one_of(
            st.dictionaries(_keys, of, max_size=2), st.lists(of, max_size=2), _choices(of), _repeats(of)
        ),
        max_leaves=6,
    )


finite_spaces = st.dictionaries(_keys, _nodes(st.one_of(_scalars, _ints(), _steps())), max_size=2)
"""Spaces with a number of points."""
spaces = st.dictionaries(_keys, _nodes(st.one_of(_scalars, _ints(), _steps(), _floats())), max_size=3)
"""Spaces of all kinds."""
