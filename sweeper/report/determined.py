"""Parameters that follow from another one, such as the learning rate that a study file gives each optimizer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sweeper.report.parameters import identity

__all__ = ["describe_determined", "find_determined"]

_N_TRIALS = 2
"""A parameter with fewer trials for each of its values would determine every other one by chance."""


def find_determined(
    rows: Sequence[Mapping[str, Any]], paths: Sequence[str], searched: Collection[str]
) -> dict[str, str]:
    """The parameters that were not searched and are told by the value of one that was, with the path of that one.

    What such a parameter did cannot be told from what the other did.

    Args:
        rows: Parameters of each trial, lists taken apart.
        paths: Those that varied, in their order: of two that tell each other the first is kept.
        searched: Paths of the parameters that the study searched; a list stands for its items and its length.
    """
    columns = {path: [identity(row[path]) if path in row else None for row in rows] for path in paths}

    def is_drawn(path: str) -> bool:
        return path in searched or path.rpartition(".")[0] in searched

    found: dict[str, str] = {}
    for path in (path for path in paths if path not in searched):
        own = [
            other
            for other in paths
            if other not in (path, *found) and is_drawn(other) and _determines(columns[other], columns[path])
        ]
        # The name of its own branch, `training.optimizer.name`, before anything else that happens to go with it.
        own.sort(key=lambda other: not path.startswith(other.removesuffix("name")))
        if own:
            found[path] = own[0]
    return found


def _determines(column: Sequence[str | None], other: Sequence[str | None]) -> bool:
    seen: dict[str | None, str | None] = {}
    if any(seen.setdefault(a, b) != b for a, b in zip(column, other, strict=True)):
        return False
    return len(column) >= _N_TRIALS * len(seen)


def describe_determined(determined: Mapping[str, str], labels: Mapping[str, str]) -> str:
    """A sentence for each parameter that others follow from; empty for none."""
    followers: dict[str, list[str]] = {}
    for path, other in determined.items():
        followers.setdefault(other, []).append(labels[path])
    return " ".join(
        f"What {_listed(own)} did cannot be told from what {labels[other]} did, from which "
        f"{'it follows' if len(own) == 1 else 'they follow'} in every trial: "
        f"{'it is' if len(own) == 1 else 'they are'} not shown."
        for other, own in followers.items()
    )


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
