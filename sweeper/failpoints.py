"""Named places where a test can make the program fail. Off, a failpoint is a call of a function that does nothing.

`SWEEPER_FAILPOINTS` holds clauses separated by `;`, each `name=action` or `name=action@n`, for the n-th time that a
process comes by (default: the first; `@*`: each time). Actions: `kill` (SIGKILL to this process), `once:PATH` (the
same, but only for the process that creates the file PATH), `full` (raise "no space left on device"),
`sleep:SECONDS`, `until:PATH` (wait until the file PATH exists).
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

__all__ = ["FAILPOINTS", "failpoint"]

FAILPOINTS = (
    "attempt.begun",
    "attempt.data_opened",
    "features.vector_written",
    "features.batch_written",
    "attempt.epoch_recorded",
    "attempt.epoch_sent",
    "checkpoint.written",
    "checkpoint.previous_moved",
    "checkpoint.moved",
    "checkpoint.released",
    "attempt.model_written",
    "attempt.rows_released",
    "attempt.outcome_written",
    "driver.asked",
    "driver.begun",
    "driver.submitted",
    "driver.epoch_reported",
    "driver.told",
    "driver.ended",
    "mirror.written",
    "recorder.study_opened",
    "recorder.creating",
    "recorder.created",
    "recorder.rows_sent",
    "recorder.artifacts_sent",
    "recorder.status_sent",
    "recorder.model_sent",
    "derived.created",
    "derived.planned",
    "derived.copied",
    "derived.enqueued",
    "analysis.fold_written",
)
"""All names; each stands once in the code."""
EACH_TIME = 0


def _parse(text: str) -> dict[str, tuple[str, int]]:
    clauses: dict[str, tuple[str, int]] = {}
    for clause in filter(None, text.split(";")):
        name, _, rest = clause.partition("=")
        action, _, n = rest.partition("@")
        if name not in FAILPOINTS:
            raise ValueError(f"SWEEPER_FAILPOINTS: no failpoint {name!r}; there are {', '.join(FAILPOINTS)}")
        clauses[name] = (action, EACH_TIME if n == "*" else int(n or 1))
    return clauses


def _armed(clauses: dict[str, tuple[str, int]]) -> Callable[[str], None]:
    passed: Counter[str] = Counter()

    def failpoint(name: str) -> None:
        if name not in clauses:
            return
        passed[name] += 1
        action, n = clauses[name]
        if n in (passed[name], EACH_TIME):
            _act(action)

    return failpoint


def _act(action: str) -> None:
    kind, _, argument = action.partition(":")
    if kind == "once":
        try:
            Path(argument).touch(exist_ok=False)
        except FileExistsError:
            return
        kind = "kill"
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    elif kind == "sleep":
        time.sleep(float(argument))
    elif kind == "until":
        while not Path(argument).exists():
            time.sleep(0.02)
    else:
        raise ValueError(
            f"SWEEPER_FAILPOINTS: no action {kind!r}; there are kill, once:PATH, full, sleep:SECONDS, until:PATH"
        )


def _nothing(name: str) -> None:
    """A failpoint that is off."""


_clauses = _parse(os.environ.get("SWEEPER_FAILPOINTS", ""))
failpoint: Callable[[str], None] = _armed(_clauses) if _clauses else _nothing
