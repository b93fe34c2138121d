"""A tracker in memory, for tests: counts what it holds and fails on request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweeper.errors import TrackingError
from sweeper.tracking.outbox import Row
from sweeper.tracking.tracker import NOTHING, RunInfo

__all__ = ["MemoryRun", "MemoryTracker"]


@dataclass
class MemoryRun:
    """A run as `MemoryTracker` holds it."""

    run_id: str
    experiment_id: str
    info: RunInfo
    parent_run_id: str | None
    status: str = "RUNNING"
    end_time_ms: int | None = None
    params: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    rows: Counter[tuple[str, int, float]] = field(default_factory=Counter)
    """How often each (metric, epoch, value) was logged with different timestamps."""
    artifacts: dict[str, bytes] = field(default_factory=dict)


class MemoryTracker:
    """Implements `Tracker` in memory.

    Args:
        fault: Called with the name of each call; may raise. With `after=True` it has been carried out already, as when
            the answer is lost on the way.
    """

    def __init__(self, fault: Callable[[str, bool], None] = lambda call, after: None) -> None:
        self.runs: dict[str, MemoryRun] = {}
        self.experiments: dict[str, str] = {}
        self._fault = fault
        self._seen: set[tuple[str, str, int, int, str]] = set()

    def open_experiment(self, name: str, tags: Mapping[str, str]) -> str:
        self._fault("open_experiment", False)
        experiment_id = self.experiments.setdefault(name, str(len(self.experiments) + 1))
        self._fault("open_experiment", True)
        return experiment_id

    def find_runs(self, experiment_id: str, key: str) -> list[str]:
        self._fault("find_runs", False)
        return [r.run_id for r in self.runs.values() if r.info.key == key and r.experiment_id == experiment_id]

    def create_run(self, experiment_id: str, info: RunInfo, parent_run_id: str | None) -> str:
        self._fault("create_run", False)
        run_id = f"run-{len(self.runs) + 1}"
        self.runs[run_id] = MemoryRun(
            run_id=run_id, experiment_id=experiment_id, info=info, parent_run_id=parent_run_id, tags=dict(info.tags)
        )
        self._fault("create_run", True)
        return run_id

    def log_batch(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any] = NOTHING,
        rows: Sequence[Row] = (),
        tags: Mapping[str, str] = NOTHING,
    ) -> None:
        self._fault("log_batch", False)
        run = self._run(run_id)
        for key, value in params.items():
            if run.params.setdefault(key, value) != value:
                raise TrackingError(
                    f"the parameter {key} of {run_id} is {run.params[key]!r} and cannot become {value!r}"
                )
        for row in rows:
            for metric, value in row.values.items():
                identity = (run_id, metric, row.epoch, row.timestamp_ms, repr(value))  # NaN is not equal to itself
                if identity not in self._seen:
                    self._seen.add(identity)
                    run.rows[(metric, row.epoch, value)] += 1
        run.tags.update(tags)
        self._fault("log_batch", True)

    def log_artifact(self, run_id: str, path: Path, folder: str) -> None:
        self._fault("log_artifact", False)
        self._run(run_id).artifacts[f"{folder}/{path.name}" if folder else path.name] = path.read_bytes()
        self._fault("log_artifact", True)

    def set_status(
        self, run_id: str, status: str, end_time_ms: int | None, *, tags: Mapping[str, str] = NOTHING
    ) -> None:
        self._fault("set_status", False)
        run = self._run(run_id)
        run.tags.update(tags)
        run.status = status
        if end_time_ms is not None:
            run.end_time_ms = end_time_ms
        self._fault("set_status", True)

    def delete_run(self, run_id: str) -> None:
        self._fault("delete_run", False)
        self.runs.pop(run_id, None)
        self._fault("delete_run", True)

    def _run(self, run_id: str) -> MemoryRun:
        if run_id not in self.runs:
            raise TrackingError(f"no run {run_id}")
        return self.runs[run_id]
