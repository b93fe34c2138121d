"""What the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["Finding", "Mend"]

Mend: TypeAlias = Literal[
    "recover",  # as `resume` would, without training
    "send",  # what the tracker does not have
    "send_rows",  # all rows again; those that are there stay as they are
    "send_state",
    "new_run",  # made again from the trial's files
    "delete_run",  # into MLflow's trash
    "new_parent",
    "link_parent",
    "send_parent",
    "remove",  # a file that nothing needs any more
    "set_aside",  # a folder that nothing needs, but that holds results
]
"""How a finding can be mended safely."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    level: Literal["ok", "note", "fault"]
    """A note is worth knowing, a fault should be mended."""
    where: str
    """A place, a study, or a trial of a study."""
    what: str
    remedy: str = ""
    """What mends it."""
    mend: Mend | None = None
    """How `--fix` mends it; None for what needs a decision."""
    number: int | None = None
    """The trial's."""
    target: str = ""
    """The file, folder or run."""

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "level": self.level,
            "where": self.where,
            "what": self.what,
            "remedy": self.remedy,
            "fixable": self.mend is not None,
        }
