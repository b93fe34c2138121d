"""How often a trial is tried again, by the kind of its failure.

infrastructure   the process was killed, or its machine: not the trial's fault, high cap
trial            an exception, or repeated deaths without a new checkpoint: low cap
diverged         not tried again (the worker itself says so in the outcome)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from sweeper.tracking.workspace import TrialFiles, read_json, write_json

__all__ = ["Attempts", "RetryPolicy"]


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Caps on how often a trial is tried."""

    max_deaths: int = 20
    """Deaths of the worker's process, in all."""
    max_deaths_in_a_row: int = 3
    """Deaths of the worker's process without a new checkpoint in between."""
    max_errors: int = 2
    """Exceptions raised by the trial."""


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """What has happened to a trial so far; kept in its files."""

    n_started: int = 0
    n_deaths: int = 0
    n_deaths_in_a_row: int = 0
    n_errors: int = 0
    checkpoint: str = ""
    """Which checkpoint there was at the last death."""

    @classmethod
    def read(cls, files: TrialFiles) -> Attempts:
        """The attempts of a trial."""
        return cls(**(read_json(files.attempts) or {}))

    def write(self, files: TrialFiles) -> None:
        """Keep them."""
        write_json(files.attempts, asdict(self), durable=False)

    def started(self) -> Attempts:
        """With one more attempt."""
        return replace(self, n_started=self.n_started + 1)

    def died(self, files: TrialFiles) -> Attempts:
        """With one more death of the process."""
        checkpoint = ""
        if files.checkpoint.exists():
            status = files.checkpoint.stat()
            checkpoint = f"{status.st_ino}/{status.st_mtime_ns}"  # told apart, not compared: clocks go back
        in_a_row = 1 if checkpoint != self.checkpoint else self.n_deaths_in_a_row + 1
        return replace(self, n_deaths=self.n_deaths + 1, n_deaths_in_a_row=in_a_row, checkpoint=checkpoint)

    def raised(self) -> Attempts:
        """With one more exception."""
        return replace(self, n_errors=self.n_errors + 1)

    def verdict(self, policy: RetryPolicy) -> str | None:
        """Why the trial is not tried again; None when it is."""
        if self.n_errors >= policy.max_errors:
            return "error"
        if self.n_deaths_in_a_row >= policy.max_deaths_in_a_row or self.n_deaths >= policy.max_deaths:
            return "crashed"
        return None
