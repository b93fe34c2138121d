"""What shells complete: names of studies, runs and parameters, read from the databases without Optuna and pandas."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import typer

from sweeper.errors import SweeperError

if TYPE_CHECKING:
    from sweeper.study.space import Space

__all__ = [
    "complete_assignment",
    "complete_name",
    "complete_parameter",
    "complete_run",
    "complete_section",
    "one_of",
]


def complete_name(incomplete: str) -> list[str]:
    """Names of stored studies."""
    from sweeper.search.glance import read_glances

    try:
        return _starting((glance.name for glance in read_glances(_storage_url())), incomplete)
    except SweeperError:
        return []


def complete_run(incomplete: str) -> list[str]:
    """Names of stored studies; after a name and `/`, its trials that have ended."""
    from sweeper.search.glance import read_states

    study, slash, _ = incomplete.rpartition("/")
    if not slash:
        return [run for name in complete_name(incomplete) for run in (name, f"{name}/")]
    try:
        states = read_states(_storage_url(), study)
    except SweeperError:
        return []
    ended = (number for number, state in states.items() if state not in ("RUNNING", "WAITING"))
    return _starting((f"{study}/{number}" for number in ended), incomplete)


def complete_parameter(context: typer.Context, incomplete: str) -> list[str]:
    """Parameters that the study on the line searches; of several studies the last."""
    # An option that still lacks its value ends the parsing before arguments have their names.
    space = _space(context.args[-1] if context.args else "")
    if space is None:
        return []
    from sweeper.study.assignments import paths_of

    return _starting((*dict.fromkeys(paths_of(space).values()), "configuration"), incomplete)


def complete_assignment(context: typer.Context, incomplete: str) -> list[str]:
    """`path=` for parameters of the study on the line, and the options of a choice."""
    space = _space(context.params.get("name") or "")
    if space is None:
        return []
    from sweeper.study.assignments import paths_of
    from sweeper.study.distributions import ChoiceDistribution

    paths = paths_of(space)
    known = [f"{path}=" for path in paths.values() if not incomplete.startswith(f"{path}=")]
    for name, path in paths.items():
        choice = space.distributions[name]
        if incomplete.startswith(f"{path}=") and isinstance(choice, ChoiceDistribution):
            known += [f"{path}={label}" for label in choice.labels]
    return _starting(dict.fromkeys(known), incomplete)


SECTIONS = (
    *("study", "pictures", "best", "test", "promoted", "curves", "overfitting", "rates", "outputs", "classes"),
    *("confusion", "comparison", "importance", "parameter", "search", "audit", "adversarial", "embedding", "layers"),
    "trials",
)
"""Keys of the report's sections. Importing the sections takes a second; a test holds the one to the other."""


def complete_section(incomplete: str) -> list[str]:
    """Keys of the report's sections, ours and those that installed packages declare."""
    from importlib.metadata import entry_points

    return _starting((*SECTIONS, *sorted(entry_points(group="sweeper.report_sections").names)), incomplete)


def one_of(*values: str) -> Callable[[str], list[str]]:
    """The completion of an option that has one of some values."""
    return lambda incomplete: _starting(values, incomplete)


def _starting(values: Iterable[str], incomplete: str) -> list[str]:
    return [value for value in values if value.startswith(incomplete)]


def _storage_url() -> str:
    from sweeper.tracking.workspace import Workspace

    return Workspace.from_environment().storage_url


def _space(name: str) -> Space | None:
    from sweeper.search.glance import read_space

    try:
        return read_space(_storage_url(), name)
    except SweeperError:
        return None
