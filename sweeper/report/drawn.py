"""What each trial drew: parameters as numbers or categories, for what is computed over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sweeper.report.configurations import SEED
from sweeper.report.determined import find_determined
from sweeper.report.format import as_float, param_text, short_names
from sweeper.report.levels import is_log
from sweeper.report.parameters import expand_lists, tree_order, varied_params
from sweeper.report.study_data import StudyData
from sweeper.tracking.records import RunRecord

__all__ = ["Drawn", "DrawnParameter", "drawn_values"]


def drawn_values(data: StudyData, runs: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Of each run the parameters that varied, lists taken apart into items and length, without those that are fixed in
    the branch that the run took."""
    rows = []
    for run in runs:
        own = data.params[run.run_id]
        values = expand_lists({path: own[path] for path in data.varied if path in own and path != SEED})
        rows.append({path: value for path, value in values.items() if _is_searched(data, path, own)})
    return rows


def _is_searched(data: StudyData, path: str, own: dict[str, Any]) -> bool:
    searched = data.searched.get(path)
    if searched is None or not searched.branches or searched.branch is None:
        return True
    return own.get(searched.branch) in searched.branches


@dataclass(frozen=True, kw_only=True)
class DrawnParameter:
    """A parameter with at least two values."""

    path: str
    label: str
    is_number: bool
    is_log: bool
    options: tuple[float | str, ...]
    """Its values, each once: numbers in order, categories in that of the study file."""


class Drawn:
    """Complete trials of a study as a table of numbers and categories.

    Args:
        data: The study.
    """

    def __init__(self, data: StudyData) -> None:
        self.data = data
        self.runs = sorted(data.complete, key=lambda run: (run.number, run.run_id))
        self._raw = drawn_values(data, self.runs)

    @cached_property
    def values(self) -> list[float]:
        """The objective of each trial."""
        return [float(run.value or 0.0) for run in self.runs]

    @cached_property
    def _varied(self) -> list[str]:
        return sorted(varied_params(self._raw), key=tree_order)

    @cached_property
    def labels(self) -> dict[str, str]:
        """Short names of all that varied, by path."""
        return short_names(self._varied)

    @cached_property
    def determined(self) -> dict[str, str]:
        """Parameters that follow from another one, with the path of that one; see `find_determined`."""
        return find_determined(self._raw, self._varied, self.data.searched)

    @cached_property
    def parameters(self) -> list[DrawnParameter]:
        """Parameters with at least two values among the complete trials, in the order of the tree, without those that
        follow from another one."""
        paths = [path for path in self._varied if path not in self.determined]
        labels = self.labels
        found = []
        for path in paths:
            column = [row[path] for row in self._raw if path in row]
            numbers = [x for value in column if (x := as_float(value)) is not None]
            is_number = len(numbers) == len(column)
            options: tuple[float | str, ...] = tuple(sorted(set(numbers))) if is_number else self._words(path, column)
            if len(options) > 1:
                log = is_number and is_log(self.data, path, numbers)
                found.append(
                    DrawnParameter(path=path, label=labels[path], is_number=is_number, is_log=log, options=options)
                )
        return found

    def _words(self, path: str, column: Sequence[Any]) -> tuple[str, ...]:
        texts = {param_text(value) for value in column}
        searched = self.data.searched.get(path)
        known = [text for text in (searched.order if searched else ()) if text in texts]
        return (*known, *sorted(texts - set(known)))

    @cached_property
    def rows(self) -> list[dict[str, float | str]]:
        """Of each trial the parameters that it has: numbers, or categories as text."""
        kept = {parameter.path: parameter for parameter in self.parameters}
        return [
            {
                path: float(row[path]) if parameter.is_number else param_text(row[path])
                for path, parameter in kept.items()
                if path in row
            }
            for row in self._raw
        ]
