"""The driver's loop, with workers that train nothing."""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import sweeper
from sweeper.launch.launcher import WorkerSlot
from sweeper.launch.messages import Attempt, AttemptEnded, EpochDone, Event, WorkerReady
from sweeper.search.optimizer import Optimizer, Proposal
from sweeper.study.study import Study
from sweeper.sweep import start
from sweeper.sweep.api import SilentView
from sweeper.tracking.memory import MemoryTracker
from sweeper.tracking.outbox import OutboxWriter
from sweeper.tracking.workspace import TrialFiles, Workspace, write_json
from tests.sweep.studies import study_dict

N_WORKERS = 4


class EmptyLauncher:
    """Implements `Launcher`: workers are there at once, and each trial has ended when it is looked at next."""

    def __init__(self, log: list[str]) -> None:
        self.slots: Sequence[WorkerSlot] = [WorkerSlot(index=i, device="cpu", n_threads=1) for i in range(N_WORKERS)]
        self._events: list[Event] = []
        self._log = log

    def start(self) -> None:
        for slot in self.slots:
            self.say_ready(slot)

    def say_ready(self, slot: WorkerSlot) -> None:
        host, pid, version = socket.gethostname(), os.getpid(), sweeper.__version__
        self._events.append(
            WorkerReady(worker=slot.index, version=version, host=host, pid=pid, device=slot.device, n_threads=1)
        )

    def submit(self, worker: int, attempt: Attempt) -> None:
        self._events.append(self.complete(worker, attempt))

    def complete(self, worker: int, attempt: Attempt) -> AttemptEnded:
        """As a worker ends its trial."""
        files = TrialFiles(folder=Path(attempt.folder))
        OutboxWriter(files.outbox).close()
        outcome = {"state": "COMPLETE", "value": 0.5, "reason": "", "end_time_ms": 0, "tags": {}}
        write_json(files.outcome, outcome)
        return AttemptEnded(worker=worker, number=attempt.number, how="outcome")

    def poll(self, timeout_seconds: float) -> list[Event]:
        self._log.append("heard")
        events, self._events = self._events, []
        return events

    def prune(self, worker: int, number: int) -> None:
        raise AssertionError

    def proceed(self, worker: int, number: int, epoch: int) -> None:
        raise AssertionError

    def stop(self, worker: int) -> None:
        raise AssertionError

    def restart(self, worker: int) -> None:
        raise AssertionError

    def close(self, *, kill: bool = False) -> None:
        self._log.append("closed")


def test_workers_are_heard_between_any_two_trials_that_are_asked_for(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    ask = Optimizer.ask

    def logged(optimizer: Optimizer) -> Proposal:
        log.append("asked")
        return ask(optimizer)

    monkeypatch.setattr(Optimizer, "ask", logged)
    launcher = EmptyLauncher(log)
    monkeypatch.setattr(start, "_build_launcher", lambda *_: launcher)
    name = start.prepare(workspace, Study.model_validate(study_dict(trials=9)))
    options = start.SweepOptions(slots=tuple(launcher.slots))
    result = start.drive(workspace, name, options=options, view=SilentView(), connect=MemoryTracker)
    assert result.finished
    assert log.count("asked") == 9
    assert all(one != other for one, other in itertools.pairwise(log) if one == "asked")


class ReportingLauncher(EmptyLauncher):
    """Trial 0 ends when trial 1 begins. That trains until trial 2 is being asked for; then it reports an epoch, and has
    ended. Trial 2 ends at once."""

    def __init__(self, log: list[str]) -> None:
        super().__init__(log)
        self.slots = self.slots[:2]
        self.is_asking, self.has_answered = threading.Event(), threading.Event()
        self._training: tuple[int, Attempt] | None = None

    def submit(self, worker: int, attempt: Attempt) -> None:
        if attempt.number == 2:
            super().submit(worker, attempt)
            return
        if self._training is not None:
            super().submit(*self._training)
        self._training = (worker, attempt)

    def poll(self, timeout_seconds: float) -> list[Event]:
        if self._training is not None and self.is_asking.is_set():
            (worker, attempt), self._training = self._training, None
            values = {"value": 0.5, "objective": 0.5, "pictures_per_second": 1.0}
            self._events.append(EpochDone(worker=worker, number=attempt.number, epoch=1, **values))
            self._events.append(self.complete(worker, attempt))
        return super().poll(timeout_seconds)

    def proceed(self, worker: int, number: int, epoch: int) -> None:
        self._log.append("answered")
        self.has_answered.set()


def test_reports_are_answered_while_a_sampler_that_learns_is_asked(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    launcher = ReportingLauncher(log)
    ask, tell = Optimizer.ask, Optimizer.tell

    def slow(optimizer: Optimizer) -> Proposal:
        proposal = ask(optimizer)
        if proposal.number == 2:
            launcher.is_asking.set()
            assert launcher.has_answered.wait(60)
        log.append(f"asked {proposal.number}")
        return proposal

    def logged(optimizer: Optimizer, number: int, *how: Any) -> None:
        log.append(f"told {number}")
        tell(optimizer, number, *how)

    monkeypatch.setattr(Optimizer, "ask", slow)
    monkeypatch.setattr(Optimizer, "tell", logged)
    monkeypatch.setattr(start, "_build_launcher", lambda *_: launcher)
    study = study_dict(trials=3, sampler={"name": "tpe", "n_startup_trials": 1}, pruner="median")
    name = start.prepare(workspace, Study.model_validate(study))
    options = start.SweepOptions(slots=tuple(launcher.slots))
    result = start.drive(workspace, name, options=options, view=SilentView(), connect=MemoryTracker)
    assert result.finished
    # What the sampler knows does not change while it is asked: the end of a trial waits, its report does not.
    assert [entry for entry in log if entry not in ("heard", "closed")] == [
        *("asked 0", "asked 1", "told 0", "answered", "asked 2", "told 1", "told 2")
    ]
