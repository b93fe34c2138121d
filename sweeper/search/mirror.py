"""Optuna's database written behind: a driver decides from memory, and a thread brings the database up to date.

A driver is alone on its study, so what it holds in memory is the truth, and asking, reporting and pruning cost a tenth
of what they cost over a database. Nothing that was acted on can be lost: a trial is dispatched only after it is stored
(`Pending.done`), its outcome lies in its files before Optuna is told, and reports are made again from its outbox.
Writes are made in order, and again until they succeed; all have the same effect twice as once, so that one whose answer
was lost may be made again. Where the database denies access, the thread ends. What gathers behind a write is written in
one transaction, since a disk takes as long for many as for one, and reports gather for a moment, so that the thread
keeps up with hundreds of workers.
"""

from __future__ import annotations

import copy
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from sweeper.denials import Denial
from sweeper.errors import AccessError, OwnedError, SweeperError
from sweeper.failpoints import failpoint
from sweeper.search.database import Database
from sweeper.search.urls import access_error, reason_of

__all__ = ["Mirror", "Pending"]

MAX_BACKOFF_SECONDS = 10.0
MAX_TOGETHER = 100
"""Writes in one transaction."""
MAX_REPORTS = 500
"""In one write; a database bounds the values of a statement."""
LOOK_SECONDS = 0.5
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


@dataclass(frozen=True)
class _Stored:
    """A trial as it was written last: to read it back takes more queries than to write what is new."""

    trial_id: int
    trial: FrozenTrial
    epochs: frozenset[int]
    """Those whose values are stored."""


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
        self.denial = Denial()
        """What the database says when it denies access, which ends all writing too."""
        self._storage = storage
        self._study_id = study_id
        self._stored = [_Stored(t._trial_id, t, frozenset(t.intermediate_values)) for t in trials]
        """By number."""
        self._queue: queue.SimpleQueue[Pending | _Report | None] = queue.SimpleQueue()
        self._held: list[Pending | _Report] = []
        """What was taken from the queue too early."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._thread.start()

    def create_trial(self, trial: FrozenTrial) -> Pending:
        """Store a new trial with all that it has."""
        trial = _snapshot(trial)

        def write() -> None:
            if len(self._stored) > trial.number:
                return
            trial_id = self._storage.create_new_trial(self._study_id, template_trial=trial)
            self._stored.append(_Stored(trial_id, trial, frozenset(trial.intermediate_values)))

        return self._submit(write)

    def update_trial(self, trial: FrozenTrial) -> Pending:
        """Store parameters, attributes and state of a trial that is stored already; state last."""
        trial = _snapshot(trial)

        def write() -> None:
            trial_id, stored = self._stored[trial.number].trial_id, self._stored[trial.number].trial
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
            epochs = trial.intermediate_values.keys() - self._stored[trial.number].epochs
            self._write_reports([_Report(trial.number, epoch, trial.intermediate_values[epoch]) for epoch in epochs])
            if trial.state != TrialState.RUNNING:
                self._storage.set_trial_state_values(trial_id, trial.state, trial.values)
            self._stored[trial.number] = replace(self._stored[trial.number], trial=trial)

        return self._submit(write)

    def report(self, number: int, epoch: int, value: float) -> None:
        """Store a finite value reported for an epoch."""
        self._queue.put(_Report(number, epoch, value))

    def read_study_attr(self, key: str, call: Callable[[Any], None]) -> Pending:
        """Have `call` given an attribute of the study that others write, None where there is none; in the thread, after
        all writes asked for so far, and again until the database answers."""
        return self._submit(lambda: call(self._storage.get_study_user_attrs(self._study_id).get(key)))

    def flush(self, timeout_seconds: float | None = None) -> bool:
        """Wait until everything asked for so far is stored; False when that took too long, or nothing is stored any
        more."""
        done, until = self._submit(lambda: None).done, math.inf if timeout_seconds is None else timeout_seconds
        until += time.monotonic()
        while not done.wait(min(LOOK_SECONDS, max(0.0, until - time.monotonic()))):
            if self.denial.error is not None or time.monotonic() >= until:
                return False
        return True

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Write what is left and end the thread.

        Raises:
            AccessError: The database denies access. Nothing is lost: the trials' files have it.
            SweeperError: It did not take everything in time; the same holds.
        """
        complete = self.flush(timeout_seconds)
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout=5.0)
        if self.denial.error is not None:
            raise self.denial.error
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

    def _next(self) -> list[Pending]:
        """The writes that wait, in order, with reports that follow each other as one; none when it is time to end."""
        writes: list[Pending] = []
        if self._closing.is_set():
            return writes
        item = self._take(None)
        while item is not None:
            if isinstance(item, _Report):
                item, reports = self._gather(item, wait=not writes)
                writes.append(Pending(partial(self._write_reports, reports)))
            else:
                writes.append(item)
                item = self._take(0.0)
            if len(writes) == MAX_TOGETHER and item is not None:
                self._held.append(item)
                break
        return writes

    def _take(self, timeout: float | None) -> Pending | _Report | None:
        """What was asked for next; None where nothing was in time, or it is time to end."""
        if self._held:
            return self._held.pop()
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            return None

    def _gather(self, first: _Report, *, wait: bool) -> tuple[Pending | _Report | None, list[_Report]]:
        """What comes after reports that follow each other, and these; with `wait`, more may come for a moment."""
        reports, until = [first], time.monotonic() + (GATHER_SECONDS if wait else 0.0)
        while isinstance(item := self._take(max(0.0, until - time.monotonic())), _Report):
            if len(reports) == MAX_REPORTS:
                break
            reports.append(item)
        return item, reports

    def _write_reports(self, reports: Sequence[_Report]) -> None:
        if not reports:
            return
        self._storage.set_intermediate_values((self._stored[r.number].trial_id, r.epoch, r.value) for r in reports)
        for report in reports:
            stored = self._stored[report.number]
            self._stored[report.number] = replace(stored, epochs=stored.epochs | {report.epoch})

    def _run(self) -> None:
        try:
            while writes := self._next():
                if not self._write_together(writes):
                    for pending in writes:
                        self._write(pending)
        except OwnedError:
            return
        except AccessError as error:
            self.denial.found(error)

    def _write_together(self, writes: Sequence[Pending]) -> bool:
        """Try to make all writes in one transaction; where that fails, each is to be made alone."""
        if self._closing.is_set():
            return False
        try:
            with self._as_stored(), self._storage.transaction():
                for pending in writes:
                    pending.write()
            failpoint("mirror.written")
        except OwnedError:
            raise
        except Exception:  # noqa: BLE001  # of the write that fails it is said when it is made alone
            return False
        for pending in writes:
            pending.done.set()
        return True

    def _write(self, pending: Pending) -> None:
        """Make a write, again and again until it succeeds. Optuna makes its transactions: where the answer to one was
        lost, it finds what is there already by an error, for which it takes a transaction back."""
        failing = False
        backoff = 0.1
        while not self._closing.is_set():
            try:
                with self._as_stored():
                    pending.write()
            except UpdateFinishedTrialError:  # it is as it should be
                break
            except OwnedError:
                raise
            # Whatever it is, the thread must not die of it unheard: training goes on, and files have all results.
            except Exception as error:
                if denied := access_error(error, self._storage.url):
                    raise denied from error
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

    @contextmanager
    def _as_stored(self) -> Iterator[None]:
        """Make sure that the study is ours; what a block that fails says of trials as stored is taken back."""
        before = list(self._stored)
        try:
            self.guard()
            yield
        except BaseException:
            self._stored = before
            raise
