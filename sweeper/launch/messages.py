"""What a driver and its workers say to each other: small frozen records that travel as JSON.

Nothing that is received is ever executed: a worker is given a finished configuration, never code or a name of code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

__all__ = [
    "EXIT_PREEMPTED",
    "Attempt",
    "AttemptEnded",
    "EpochDone",
    "Event",
    "Order",
    "Preparing",
    "Proceed",
    "Prune",
    "Shutdown",
    "Stop",
    "WorkerDied",
    "WorkerReady",
    "from_json",
    "to_json",
]


EXIT_PREEMPTED = 143
"""Exit code of a worker that was asked to leave by SIGTERM, and did."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Order: train a trial, from its last checkpoint if it has one."""

    number: int
    attempt: int
    """1 for the first."""
    config: Mapping[str, Any]
    """A `TrialConfig` as plain data."""
    folder: str
    """Of the trial's files."""
    metric: str
    maximize: bool
    at: Literal["best", "last"]
    keep_model: bool
    prunable: bool
    """Whether epochs are looked at by a pruner; the worker then is at most one epoch ahead of the driver."""
    checkpoint_seconds: float
    """Seconds between checkpoints; one is made at the end of the epoch in which they have passed."""
    measure_test: bool = False
    """Whether the test part is measured too, after each epoch."""
    memory_share: float | None = None
    """Part of the GPU's memory that it may use, above 0 and below 1, where others train beside it. None: all."""
    kept_from: float | None = None
    """The value from which on its model is kept, as others that are better have taken all places. None: any value."""


@dataclass(frozen=True, kw_only=True)
class Prune:
    """Order: end the current trial now, as pruned."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Proceed:
    """Order: the values up to an epoch have been looked at, and the trial is not pruned for them."""

    number: int
    epoch: int


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Order: finish the epoch, make a checkpoint, and leave the trial to be continued."""


@dataclass(frozen=True, kw_only=True)
class Shutdown:
    """Order: end the process."""


@dataclass(frozen=True, kw_only=True)
class WorkerReady:
    """A worker has started."""

    worker: int
    version: str
    host: str
    pid: int
    device: str
    n_threads: int
    place: str = ""
    """Machine and device, where only the worker knows them; workers on one GPU say the same."""


@dataclass(frozen=True, kw_only=True)
class Preparing:
    """A worker does what comes before the first epoch of a trial: it computes the outputs of a frozen backbone. Sent at
    the beginning and then about once a second."""

    worker: int
    number: int
    done: int
    """Pictures and views whose outputs are cached."""
    total: int


@dataclass(frozen=True, kw_only=True)
class EpochDone:
    """A worker has finished an epoch."""

    worker: int
    number: int
    epoch: int
    value: float
    """The objective's metric at this epoch."""
    objective: float
    """The trial's value if it ended here: at its best epoch or at the last."""
    pictures_per_second: float
    peak_bytes: int | None = None
    """Most memory of the GPU that the attempt has taken so far; None on a CPU."""


@dataclass(frozen=True, kw_only=True)
class AttemptEnded:
    """A worker has ended an attempt."""

    worker: int
    number: int
    how: Literal["outcome", "stopped", "preempted", "no_space", "outgrown", "error", "bad_input"]
    """`outcome`: the trial's outcome is in its files. `stopped`: it has a checkpoint and waits. `preempted`: so too,
    and the worker leaves. `no_space`: the disk is full. `outgrown`: its share of the GPU's memory is too small. `error`
    and `bad_input`: it raised."""
    reason: str = ""
    traceback: str = ""


@dataclass(frozen=True, kw_only=True)
class WorkerDied:
    """A worker's process has ended without being told to."""

    worker: int
    exit_code: int | None
    output: str
    """The last lines that it printed."""
    reason: str = ""
    """Where more is known than the exit code: its machine was lost."""

    @property
    def why(self) -> str:
        """The reason, or the exit code."""
        return self.reason or f"exit code {self.exit_code}"


Order: TypeAlias = Attempt | Proceed | Prune | Stop | Shutdown
Event: TypeAlias = WorkerReady | Preparing | EpochDone | AttemptEnded | WorkerDied

_TYPES = {
    cls.__name__: cls
    for cls in (Attempt, Proceed, Prune, Stop, Shutdown, WorkerReady, Preparing, EpochDone, AttemptEnded, WorkerDied)
}


def to_json(message: Order | Event) -> bytes:
    """A message as bytes."""
    return json.dumps({"type": type(message).__name__, **asdict(message)}).encode()


def from_json(data: bytes) -> Any:
    """The message that `to_json` wrote."""
    fields = json.loads(data)
    return _TYPES[fields.pop("type")](**fields)
