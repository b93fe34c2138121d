"""Optuna's database written behind: a driver decides from memory, and a thread brings the database up to date.

A driver is alone on its study, so what it holds in memory is the truth, and asking, reporting and pruning cost a tenth
of what they cost over a database. Nothing that was acted on can be lost: a trial is dispatched only after it is stored
(`Pending.done`), its outcome lies in its files before Optuna is told, and reports are made again from its outbox.
Writes are made one after the other, in order, and each is made again until it succeeds; all have the same effect twice
as once, so that one whose answer was lost may be made again. Reports gather for a moment and become one write, so that
the thread keeps up with hundreds of workers.
"""

from __future__ import annotations

import copy
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from sweeper.errors import OwnedError, SweeperError
from sweeper.failpoints import failpoint
from sweeper.search.database import Database
from sweeper.search.urls import reason_of

__all__ = ["Mirror", "Pending"]

MAX_BACKOFF_SECONDS = 10.0
MAX_REPORTS = 500
"""In one write; a database bounds the values of a statement."""
GATHER_SECONDS = 0.5
"""How long a report waits for others, unless something else is to be written: a write costs some ms of CPU time, and so
as much as an epoch of a small trial."""


@dataclass
class Pending:
    """A write that has been asked for."""

    write: Callable[[], None]
    done: threading.Event = field(default_factory=threading.Event)


def _snapshot(trial: FrozenTrial) -> FrozenTrial:
    """The trial as it is now: Optuna adds to its dictionaries when it reports. What they hold, it leaves as it is."""
    copied = copy.copy(trial)
    copied.params, copied.distributions = dict(trial.params), dict(trial.distributions)
    copied.user_attrs, copied.system_attrs = dict(trial.user_attrs), dict(trial.system_attrs)
    copied.intermediate_values = dict(trial.intermediate_values)
    return copied


class _Report(NamedTuple):
    """A value reported for an epoch of a trial."""

    number: int
    epoch: int
    value: float


class Mirror:
    """Writes the changes of one study to its database, in a thread.

    Args:
        storage: The database.
        study_id: The study's id there.
        trials: Its trials there, by number.
        on_problem: Told when the database begins to fail, with the reason, and when it works again, with None.
    """

    def __init__(
        self,
        storage: Database,
        study_id: int,
        trials: Sequence[FrozenTrial],
        *,
        on_problem: Callable[[str | None], None] = lambda problem: None,
    ) -> None:
        self.on_problem = on_problem
        self.guard: Callable[[], None] = lambda: None
        """Called before each write. What it raises as `OwnedError` ends all writing: the study is another's."""
        self._storage = storage
        self._study_id = study_id
        self._trial_ids = [trial._trial_id for trial in trials]
        self._stored = list(trials)
        """Each as it was written last: to read it back takes more queries than to write what is new."""
        self._epochs = [set(trial.intermediate_values) for trial in trials]
        """By trial: epochs whose values are stored."""
        self._queue: queue.SimpleQueue[Pending | _Report | None] = queue.SimpleQueue()
        self._held: list[Pending | None] = []
        """What was taken from the queue too early."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._thread.start()

    def create_trial(self, trial: FrozenTrial) -> Pending:
        """Store a new trial with all that it has."""
        trial = _snapshot(trial)

        def write() -> None:
            if len(self._trial_ids) > trial.number:
                return
            self._trial_ids.append(self._storage.create_new_trial(self._study_id, template_trial=trial))
            self._stored.append(trial)
            self._epochs.append(set(trial.intermediate_values))

        return self._submit(write)

    def update_trial(self, trial: FrozenTrial) -> Pending:
        """Store parameters, attributes and state of a trial that is stored already; state last."""
        trial = _snapshot(trial)

        def write() -> None:
            trial_id = self._trial_ids[trial.number]
            stored = self._stored[trial.number]
            if stored.state.is_finished():
                return
            if stored.state == TrialState.WAITING and trial.state != TrialState.WAITING:
                self._storage.set_trial_state_values(trial_id, TrialState.RUNNING)
            for name, distribution in trial.distributions.items():
                if name not in stored.params:
                    value = distribution.to_internal_repr(trial.params[name])
                    self._storage.set_trial_param(trial_id, name, value, distribution)
            for key, attr in trial.user_attrs.items():
                if stored.user_attrs.get(key) != attr:
                    self._storage.set_trial_user_attr(trial_id, key, attr)
            for key, attr in trial.system_attrs.items():
                if stored.system_attrs.get(key) != attr:
                    self._storage.set_trial_system_attr(trial_id, key, attr)
            epochs = trial.intermediate_values.keys() - self._epochs[trial.number]
            self._write_reports([_Report(trial.number, epoch, trial.intermediate_values[epoch]) for epoch in epochs])
            if trial.state != TrialState.RUNNING:
                self._storage.set_trial_state_values(trial_id, trial.state, trial.values)
            self._stored[trial.number] = trial

        return self._submit(write)

    def report(self, number: int, epoch: int, value: float) -> None:
        """Store a finite value reported for an epoch."""
        self._queue.put(_Report(number, epoch, value))

    def read_study_attr(self, key: str, call: Callable[[Any], None]) -> Pending:
        """Have `call` given an attribute of the study that others write, None where there is none; in the thread, after
        all writes asked for so far, and again until the database answers."""
        return self._submit(lambda: call(self._storage.get_study_user_attrs(self._study_id).get(key)))

    def flush(self, timeout_seconds: float | None = None) -> bool:
        """Wait until everything asked for so far is stored; False when that took too long."""
        return self._submit(lambda: None).done.wait(timeout_seconds)

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Write what is left and end the thread.

        Raises:
            SweeperError: The database did not take everything in time. Nothing is lost: the trials' files have it.
        """
        complete = self.flush(timeout_seconds)
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout=5.0)
        if not complete:
            raise SweeperError(
                "Optuna's database did not take the last results in time; they are safe in the workspace, and "
                "`sweeper resume` stores them"
            )

    def abandon(self) -> None:
        """End the thread; what is not written belongs to somebody else."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout=5.0)

    def _submit(self, write: Callable[[], None]) -> Pending:
        pending = Pending(write)
        self._queue.put(pending)
        return pending

    def _next(self) -> Pending | None:
        """The next write; None when it is time to end."""
        item = self._held.pop() if self._held else self._queue.get()
        reports: list[_Report] = []
        until = time.monotonic() + GATHER_SECONDS
        while isinstance(item, _Report):
            reports.append(item)
            if len(reports) == MAX_REPORTS:
                break
            try:
                item = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
        else:
            if not reports:
                return item
            self._held.append(item)
        return Pending(lambda: self._write_reports(reports))

    def _write_reports(self, reports: Sequence[_Report]) -> None:
        if not reports:
            return
        self._storage.set_intermediate_values((self._trial_ids[r.number], r.epoch, r.value) for r in reports)
        for report in reports:
            self._epochs[report.number].add(report.epoch)

    def _run(self) -> None:
        while (pending := self._next()) is not None:
            failing = False
            backoff = 0.1
            while not self._closing.is_set():
                try:
                    self.guard()
                    pending.write()
                    failpoint("mirror.written")
                except UpdateFinishedTrialError:  # it is as it should be
                    break
                except OwnedError:
                    return
                # Whatever it is, the thread must not die of it unheard: training goes on, and files have all results.
                except Exception as error:  # noqa: BLE001
                    if not failing:
                        known = isinstance(error, (StorageInternalError, SQLAlchemyError, OSError))
                        self.on_problem(reason_of(error) if known else f"{type(error).__name__}: {error}")
                    failing = True
                    self._closing.wait(backoff)
                    backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
                else:
                    break
            if failing and not self._closing.is_set():
                self.on_problem(None)
            pending.done.set()
