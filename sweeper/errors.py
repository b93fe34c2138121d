"""Every error that sweeper raises on purpose.

SweeperError                    anything a caller may want to catch; exit code 1
├── InputError                  the user can mend it: bad file, option, name, environment; exit code 2
│   ├── StudyError              faults in a study, each with its field
│   │   └── StudyFileError      the same in a study file, each with file and line too
│   ├── PluginError             a plugin that cannot be found, imported or registered
│   ├── DataError               a data set that is missing or unreadable
│   ├── AccessError             a server denies access: wrong password, or an account that may only read
│   ├── StudyExistsError        a changed study file under the name of a stored study
│   └── NotFoundError           no such study, trial or run
├── OwnedError                  another driver owns the study, or has the GPUs; exit code 3
├── TrackingError               the tracker (MLflow) refused or is out of reach
├── SectionError                a section of the report that another package has; the rest of the report is written
├── WorkersLostError            no worker is left to train on
├── ClusterLostError            the head of the Ray cluster is out of reach
└── TrialError                  one trial cannot go on; the sweep does
    ├── DivergedError           its loss became NaN or infinite
    └── InfeasibleError         it does not fit into memory, not even one picture at a time
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "AccessError",
    "ClusterLostError",
    "DataError",
    "DivergedError",
    "Fault",
    "InfeasibleError",
    "InputError",
    "NotFoundError",
    "OwnedError",
    "PluginError",
    "SectionError",
    "StudyError",
    "StudyExistsError",
    "StudyFileError",
    "SweeperError",
    "TrackingError",
    "TrialError",
    "WorkersLostError",
]


class SweeperError(Exception):
    """Base of all errors raised on purpose. The message says what failed, what was given, what to do next."""

    exit_code = 1


class InputError(SweeperError):
    """Something the user gave cannot be used."""

    exit_code = 2


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing wrong in a study."""

    source: str
    """The file's path, the command-line option the value came from, or `study` and the name of one made in Python."""
    line: int | None = None
    """1-based line in the file; None where the value did not come from a file."""
    path: tuple[str | int, ...] = ()
    """Where in the study the field is; empty for the study itself."""
    message: str
    """What was given and what is allowed."""

    @property
    def field(self) -> str:
        """Dotted path of the field."""
        return ".".join(map(str, self.path))

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


class StudyError(InputError):
    """A study with faults; all that were found."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in faults))


class StudyFileError(StudyError):
    """A study file with faults, in the file's order."""


class DataError(InputError):
    """A data set that is missing, unreadable or too small for what was asked."""


class PluginError(InputError):
    """A plugin that cannot be found, imported or registered."""


class AccessError(InputError):
    """A server denies access. Never tried again: it takes another password or account."""


class StudyExistsError(InputError):
    """A study of that name is stored with other contents."""


class NotFoundError(InputError):
    """No study, trial or run of that name."""


class OwnedError(SweeperError):
    """Another driver owns the study, or other sweeps have the GPUs."""

    exit_code = 3


class TrackingError(SweeperError):
    """The tracker refused a request or cannot be reached."""


class SectionError(SweeperError):
    """A section of the report that another package has cannot be loaded, or failed."""


class WorkersLostError(SweeperError):
    """Every worker has been retired."""


class ClusterLostError(SweeperError):
    """The head of the Ray cluster is out of reach, and with it everything that places workers."""


class TrialError(SweeperError):
    """A trial that cannot go on. It fails; the sweep goes on."""


class DivergedError(TrialError):
    """The loss of a trial became NaN or infinite."""


class InfeasibleError(TrialError):
    """A trial that does not fit into memory, not even one picture at a time."""
