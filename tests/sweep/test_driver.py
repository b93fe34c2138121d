"""The driver's loop, with workers that train nothing."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

import sweeper
from sweeper.launch.launcher import WorkerSlot
from sweeper.launch.messages import Attempt, AttemptEnded, Event, WorkerReady
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
