"""What MLflow's SQLite database says of a sweep, whoever tracked it."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["TrackedRun", "idle_seconds", "read_runs", "seconds_per_trial"]

ACCURACIES = ("val/accuracy", "val_accuracy")
SECONDS = "seconds"


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """One trial. Times are in seconds since 1970."""

    start: float
    end: float
    n_epochs: int
    best_accuracy: float
    training_start: float | None = None
    """When its first epoch began; None where the seconds of an epoch are not tracked."""
    training_end: float | None = None
    """When its last epoch ended."""


def read_runs(database: Path) -> list[TrackedRun]:
    """The runs that have accuracies, in the order of their start."""
    names = ",".join("?" * (1 + len(ACCURACIES)))
    query = (
        "SELECT r.run_uuid, r.start_time, r.end_time, m.key, m.timestamp, m.value FROM runs r "
        f"JOIN metrics m ON m.run_uuid = r.run_uuid WHERE m.key IN ({names}) AND r.status = 'FINISHED' ORDER BY m.step"
    )
    rows_of: dict[str, list[tuple[float, float, str, float, float]]] = {}
    connection = sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)
    try:
        for run, start, end, key, timestamp, value in connection.execute(query, (SECONDS, *ACCURACIES)):
            rows_of.setdefault(run, []).append((start / 1000, end / 1000, key, timestamp / 1000, value))
    finally:
        connection.close()
    return sorted((_run_of(rows) for rows in rows_of.values()), key=lambda run: run.start)


def _run_of(rows: Sequence[tuple[float, float, str, float, float]]) -> TrackedRun:
    accuracies = [value for *_, key, _, value in rows if key in ACCURACIES]
    epochs = [(time, value) for *_, key, time, value in rows if key == SECONDS]
    return TrackedRun(
        start=rows[0][0],
        end=rows[0][1],
        n_epochs=len(accuracies),
        best_accuracy=max(accuracies),
        training_start=epochs[0][0] - epochs[0][1] if epochs else None,
        training_end=epochs[-1][0] if epochs else None,
    )


def seconds_per_trial(runs: Sequence[TrackedRun], *, n_workers: int) -> float:
    """What a trial takes of a worker's time, from the start of the first to the end of the last."""
    return (max(run.end for run in runs) - min(run.start for run in runs)) * n_workers / len(runs)


def idle_seconds(runs: Sequence[TrackedRun], *, n_workers: int) -> list[float]:
    """How long a worker trained nothing between two trials: from the end of the last epoch of one to the beginning of
    the first epoch of the next.

    Runs do not say which worker had them: the worker that waited longest is taken to have the next one.
    """
    begun = sorted((run for run in runs if run.training_start is not None), key=lambda run: run.training_start or 0.0)
    ends = sorted(run.training_end or 0.0 for run in begun)
    waiting = deque(ends)
    return [(run.training_start or 0.0) - waiting.popleft() for run in begun[n_workers:]]
