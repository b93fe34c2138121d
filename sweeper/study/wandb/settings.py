"""What is put into a study for something that a W&B sweep says, and notes on what is not, or differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Found", "Note", "Setting"]


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something that the study does not say, or says otherwise, than the sweep."""

    field: str
    """In the W&B file, such as `parameters.dropout`."""
    line: int
    message: str
    carried: bool = False
    """Whether it is in the study, with this difference."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Something to be put into the study."""

    sources: tuple[tuple[str, int], ...]
    """Fields of the W&B file that say it, with their lines."""
    field: str
    """Of the study: `objective`, `trial.training.epochs`."""
    value: Any
    changes: tuple[str, ...] = ()
    """In what it differs from W&B's."""
    option: str | None = None
    """The `--map` that says where it belongs."""

    def notes(self, *messages: str, carried: bool) -> Iterator[Note]:
        """A note of each source for each message."""
        for source, line in self.sources:
            for message in messages:
                yield Note(field=source, line=line, message=message, carried=carried)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Settings and notes, as they are found."""

    settings: list[Setting] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def add(
        self,
        source: str,
        line: int,
        target: str,
        value: Any,
        changes: Sequence[str] = (),
        *,
        option: str | None = None,
    ) -> None:
        """Something of the sweep belongs to a field of the study."""
        setting = Setting(sources=((source, line),), field=target, value=value, changes=tuple(changes), option=option)
        self.settings.append(setting)

    def leave(self, source: str, line: int, message: str) -> None:
        """Something of the sweep has no counterpart in a study."""
        self.notes.append(Note(field=source, line=line, message=message))
