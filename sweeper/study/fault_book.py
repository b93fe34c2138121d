"""Faults of a study as they are found, each with the place that it came from: a line of the file, or an option."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sweeper.errors import Fault, StudyError, StudyFileError
from sweeper.study.parse import Path

__all__ = ["FaultBook"]


class FaultBook:
    """Collects faults and knows the line of every place.

    Args:
        source: What has the faults: the path of a file, or a few words.
        lines: The 1-based line of every place in the file. None: the study is in no file.
    """

    def __init__(self, source: str, lines: Mapping[Path, int] | None) -> None:
        self._source = source
        self._error = StudyError if lines is None else StudyFileError
        self._lines = lines or {}
        self._overridden: dict[Path, str] = {}
        self._faults: dict[Fault, bool] = {}
        """With whether each lies in the study, not in an option."""

    @property
    def places(self) -> set[Path]:
        """Where faults are."""
        return {fault.path for fault, in_study in self._faults.items() if in_study}

    def override(self, path: Path, option: str) -> None:
        """Note that what is at a place comes from an option of the command line."""
        self._overridden[path] = option

    def add(self, path: Path, message: str, *, line: int | None = None) -> None:
        """Add a fault; its line is that of the place, if not given."""
        source = self._source
        if line is None:
            source, line = self._place(path)
        self._faults.setdefault(Fault(source=source, line=line, path=path, message=message), True)

    def add_unless(self, broken: Iterable[Path], path: Path, message: str) -> None:
        """Add a fault, unless it may be the echo of one at a broken place: there, above it or below it."""
        if not any(place[: len(path)] == path or path[: len(place)] == place for place in broken):
            self.add(path, message)

    def add_override(self, option: str, field: str, message: str) -> None:
        """Add a fault of an option itself."""
        self._faults[Fault(source=option, path=(field,) if field else (), message=message)] = False

    def _place(self, path: Path) -> tuple[str, int | None]:
        for n in range(len(path), -1, -1):
            if path[:n] in self._overridden:
                return self._overridden[path[:n]], None
            if path[:n] in self._lines:
                return self._source, self._lines[path[:n]]
        return self._source, None

    def raise_if_any(self) -> None:
        """Raise what there is, sorted by line.

        Raises:
            StudyError: There are faults; a `StudyFileError` where they are in a file.
        """
        if self._faults:
            raise self._error(sorted(self._faults, key=lambda f: (f.line is None, f.line or 0)))
