"""Optuna's database written behind: reports that gather become one write, in order, and with the same effect twice."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from sweeper.search.database import Database
from sweeper.search.optimizer import Optimizer
from sweeper.search.storage import StudyStore


class Gate:
    """Lets writes through once it is opened; counts the reports of each write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self.sizes: list[int] = []
        store = Database.set_intermediate_values

        def counted(database: Database, reports: Iterable[tuple[int, int, float]]) -> None:
            reports = list(reports)
            self.sizes.append(len(reports))
            store(database, reports)

        monkeypatch.setattr(Database, "set_intermediate_values", counted)

    def wait(self) -> None:
        assert self.opened.wait(30)


def test_reports_that_gather_behind_a_write_become_one(
    open_study: Callable[..., Optimizer], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    optimizer = open_study(budget={"trials": 3})
    first, second = optimizer.ask(), optimizer.ask()
    assert first.pending.done.wait(30)
    assert second.pending.done.wait(30)
    optimizer.guard(gate.wait)
    third = optimizer.ask()  # its write is held up, and the rest gathers behind it
    for epoch in range(1, 5):
        for proposal in (first, second):
            optimizer.report(proposal.number, epoch, epoch / 10 + proposal.number)
    optimizer.tell(first.number, "COMPLETE", 0.4)
    optimizer.report(second.number, 5, 1.5)
    gate.opened.set()
    optimizer.close()
    assert gate.sizes == [8, 1]
    stored = StudyStore(url).read("small").trials
    assert [trial.state for trial in stored] == ["COMPLETE", "RUNNING", "RUNNING"]
    assert stored[first.number].epochs == {epoch: epoch / 10 for epoch in range(1, 5)}
    assert stored[second.number].epochs == {epoch: epoch / 10 + 1 for epoch in range(1, 6)}
    assert stored[third.number].epochs == {}


def test_reports_wait_for_others(
    open_study: Callable[..., Optimizer], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.search.mirror.GATHER_SECONDS", 60.0)
    gate = Gate(monkeypatch)
    optimizer = open_study(budget={"trials": 1})
    proposal = optimizer.ask()
    assert proposal.pending.done.wait(30)
    number = proposal.number
    for epoch in range(1, 4):
        optimizer.report(number, epoch, epoch / 10)
        time.sleep(0.05)  # longer than a write takes
    assert gate.sizes == []
    optimizer.tell(number, "COMPLETE", 0.3)  # not for long, where something else is to be written
    optimizer.close()
    assert gate.sizes == [3]
    assert StudyStore(url).read("small").trials[number].epochs == {1: 0.1, 2: 0.2, 3: 0.3}


def test_a_report_is_stored_without_others(
    open_study: Callable[..., Optimizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, store = threading.Event(), Database.set_intermediate_values

    def storing(database: Database, reports: Iterable[tuple[int, int, float]]) -> None:
        store(database, reports)
        stored.set()

    monkeypatch.setattr(Database, "set_intermediate_values", storing)
    optimizer = open_study(budget={"trials": 1})
    optimizer.report(optimizer.ask().number, 1, 0.5)
    assert stored.wait(30)
    optimizer.close()


def test_trials_are_stored_as_optuna_stores_them(
    open_study: Callable[..., Optimizer], url: str, tmp_path: Path
) -> None:
    """But for their ids, and for the moment in which they end."""
    optimizer = open_study(budget={"trials": 6, "seeds": 2})
    for _ in range(5):
        optimizer.ask()
    optimizer.close()
    ours = RDBStorage(url)
    trials = ours.get_all_trials(ours.get_study_id_from_name("small"))
    assert {trial.state for trial in trials} == {TrialState.RUNNING, TrialState.WAITING}
    assert any(trial.params and trial.user_attrs for trial in trials)
    theirs = RDBStorage(f"sqlite:///{tmp_path / 'other.db'}")
    study_id = theirs.create_new_study([StudyDirection.MAXIMIZE])
    for trial in trials:
        stored = theirs.get_trial(theirs.create_new_trial(study_id, template_trial=trial))
        stored._trial_id = trial._trial_id
        assert stored == trial


def test_a_trial_is_stored_as_it_was_when_it_was_asked_for(
    open_study: Callable[..., Optimizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, create = Gate(monkeypatch), Database.create_new_trial
    created: list[dict[int, float]] = []

    def logged(database: Database, study_id: int, template_trial: FrozenTrial) -> int:
        created.append(dict(template_trial.intermediate_values))
        return create(database, study_id, template_trial)

    monkeypatch.setattr(Database, "create_new_trial", logged)
    optimizer = open_study(budget={"trials": 1})
    optimizer.guard(gate.wait)
    number = optimizer.ask().number
    optimizer.report(number, 1, 0.5)
    gate.opened.set()
    optimizer.close()
    assert created == [{}]


def test_reports_whose_answer_was_lost_are_stored_once(
    open_study: Callable[..., Optimizer], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, lost = Database.set_intermediate_values, [True, True]

    def losing(database: Database, reports: Iterable[tuple[int, int, float]]) -> None:
        store(database, list(reports))
        if lost and lost.pop():
            raise OperationalError("COMMIT", None, Exception("the connection was lost"))

    monkeypatch.setattr(Database, "set_intermediate_values", losing)
    optimizer = open_study(budget={"trials": 1})
    number = optimizer.ask().number
    for epoch in range(1, 4):
        optimizer.report(number, epoch, epoch / 10)
    optimizer.close()
    assert not lost
    assert StudyStore(url).read("small").trials[number].epochs == {1: 0.1, 2: 0.2, 3: 0.3}


def test_more_reports_than_one_write_takes(
    open_study: Callable[..., Optimizer], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.search.mirror.MAX_REPORTS", 3)
    gate = Gate(monkeypatch)
    optimizer = open_study(budget={"trials": 1})
    optimizer.guard(gate.wait)
    number = optimizer.ask().number
    for epoch in range(1, 9):
        optimizer.report(number, epoch, epoch / 10)
    gate.opened.set()
    optimizer.close()
    assert gate.sizes == [3, 3, 2]
    assert len(StudyStore(url).read("small").trials[number].epochs) == 8


def test_an_epoch_that_has_a_value_keeps_it(open_study: Callable[..., Optimizer], url: str) -> None:
    optimizer = open_study(budget={"trials": 1})
    number = optimizer.ask().number
    optimizer.report(number, 1, 0.5)
    optimizer.close()
    database = StudyStore(url).storage
    [trial] = database.get_all_trials(database.get_study_id_from_name("small"))
    database.set_intermediate_values([(trial._trial_id, 1, 0.9), (trial._trial_id, 2, 0.7)])
    assert StudyStore(url).read("small").trials[number].epochs == {1: 0.5, 2: 0.7}


def test_an_error_that_nobody_foresaw_is_said_and_tried_again(
    open_study: Callable[..., Optimizer], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimizer = open_study(budget={"trials": 1})
    said: list[str | None] = []
    optimizer.on_problem(said.append)
    create, n_tries = Database.create_new_trial, 0

    def fail_twice(database: Database, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        nonlocal n_tries
        n_tries += 1
        if n_tries < 3:
            raise TypeError("what is this?")
        return create(database, study_id, template_trial)

    monkeypatch.setattr(Database, "create_new_trial", fail_twice)
    proposal = optimizer.ask()
    assert proposal.pending.done.wait(30)
    optimizer.close()
    assert said == ["TypeError: what is this?", None]
    assert [trial.state for trial in StudyStore(url).read("small").trials] == ["RUNNING"]


def test_what_gathers_behind_a_write_is_one_transaction(
    open_study: Callable[..., Optimizer], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    optimizer = open_study(budget={"trials": 4})
    optimizer.guard(gate.wait)
    first = optimizer.ask()  # its write is held up, and the rest gathers behind it
    commits: list[None] = []
    event.listen(optimizer._mirror._storage._backend.engine, "commit", lambda connection: commits.append(None))
    for proposal in (first, optimizer.ask(), optimizer.ask()):
        optimizer.report(proposal.number, 1, 0.5)
        optimizer.tell(proposal.number, "COMPLETE", 0.5)
    gate.opened.set()
    optimizer.close()
    assert len(commits) <= 2  # one where the thread has not looked before
    trials = StudyStore(url).read("small").trials
    assert [(trial.state, trial.value, trial.epochs) for trial in trials] == [("COMPLETE", 0.5, {1: 0.5})] * 3


def test_a_write_that_fails_holds_up_only_what_comes_after_it(
    open_study: Callable[..., Optimizer], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction of all is taken back, and each is made alone: nothing is there twice or not at all."""
    gate = Gate(monkeypatch)
    optimizer = open_study(budget={"trials": 4})
    optimizer.guard(gate.wait)
    first, second, third = optimizer.ask(), optimizer.ask(), optimizer.ask()
    optimizer.report(second.number, 1, 0.5)
    optimizer.tell(second.number, "COMPLETE", 0.5)
    fourth = optimizer.ask()
    create, tries = Database.create_new_trial, Counter[int]()
    reached, go_on = threading.Event(), threading.Event()

    def failing(database: Database, study_id: int, template_trial: FrozenTrial) -> int:
        number = template_trial.number
        tries[number] += 1
        if number == fourth.number and tries[number] < 4:
            if tries[number] == 3:
                reached.set()
                assert go_on.wait(30)
            raise OperationalError("INSERT", None, Exception("the connection was lost"))
        return create(database, study_id, template_trial)

    monkeypatch.setattr(Database, "create_new_trial", failing)
    gate.opened.set()
    assert reached.wait(30)
    assert all(proposal.pending.done.is_set() for proposal in (first, second, third))
    assert not fourth.pending.done.is_set()
    assert [trial.state for trial in StudyStore(url).read("small").trials] == ["RUNNING", "COMPLETE", "RUNNING"]
    go_on.set()
    optimizer.close()
    trials = StudyStore(url).read("small").trials
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert [trial.state for trial in trials] == ["RUNNING", "COMPLETE", "RUNNING", "RUNNING"]
    assert trials[second.number].epochs == {1: 0.5}
