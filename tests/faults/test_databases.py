"""Databases that come and go: PostgreSQL under a sweep, and commits that fail or whose answer is lost."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sweeper.search.optimizer import Optimizer
from sweeper.search.storage import StudyStore, TrialRecord
from sweeper.study.study import Study
from tests.faults.postgres import Databases, PostgresServer
from tests.faults.scenarios import restart_postgres
from tests.sweep.conftest import CommandLine
from tests.sweep.studies import study_dict

pytestmark = pytest.mark.xdist_group("postgres")


def test_postgresql_restarted_in_the_middle_of_a_sweep(
    machine: Callable[[str], CommandLine], databases: Databases, postgres: PostgresServer
) -> None:
    one = machine("one")
    output = restart_postgres(one, postgres, databases, n_restarts=2, seed=1)
    assert "the database works again" in output
    assert "Traceback" not in output
    (status,) = json.loads(one.call("status", "--json"))
    assert (status["state"], status["n_complete"], status["n_left"]) == ("finished", 6, 0)
    best = json.loads(one.call("best", "tiny", "--json"))
    assert best[0]["value"] == status["best"]
    assert len(json.loads(one.call("runs", "tiny", "--json"))) == 6
    one.call("report", "tiny", "--out", "report")
    assert "tiny" in (one.folder / "report" / "report.md").read_text()
    assert one.call("sync") == "tiny: all sent\n"


class Faults:
    """Breaks commits of a storage: before they are carried out, or after, when only the answer is lost."""

    def __init__(self, store: StudyStore, seed: int) -> None:
        engine: Any = store.storage._backend.engine  # type: ignore[attr-defined]
        self._dialect = engine.dialect
        self._commit = self._dialect.do_commit
        self._error = {"sqlite": sqlite3.OperationalError, "postgresql": psycopg.OperationalError}[self._dialect.name]
        self._draws = random.Random(seed)
        self._first = [0.0] * 4 + [1.0] * 4  # of each kind some, however few commits there are
        self._draws.shuffle(self._first)
        self.n_before = self.n_after = 0
        self._dialect.do_commit = self._do_commit

    def _do_commit(self, connection: Any) -> None:
        draw = self._first.pop() if self._first else self._draws.random()
        if draw < 0.35:
            self.n_before += 1
            raise self._error("the server closed the connection before the commit")
        self._commit(connection)
        if draw > 0.65:
            self.n_after += 1
            raise self._error("the server closed the connection after the commit")

    def end(self) -> None:
        """Break nothing more."""
        self._dialect.do_commit = self._commit


def drive(optimizer: Optimizer) -> None:
    """All that a driver asks of Optuna: new trials, replicates, reports, each end, a trial put back and asked again."""
    for turn in range(4):
        first = optimizer.ask()
        for epoch in (1, 2):
            optimizer.report(first.number, epoch, 0.1 * turn + 0.01 * epoch)
        if turn == 1:
            optimizer.requeue(first.number)
            assert optimizer.ask().number == first.number
            optimizer.report(first.number, 3, 0.5)
        state, value, reason = [
            ("COMPLETE", 0.1 * turn, None),
            ("COMPLETE", 0.5, None),
            ("PRUNED", None, None),
            ("FAIL", None, "diverged"),
        ][turn]
        optimizer.tell(first.number, state, value, reason)
    optimizer.close()


def without_times(store: StudyStore) -> list[dict[str, Any]]:
    def plain(trial: TrialRecord) -> dict[str, Any]:
        fields = {name: getattr(trial, name) for name in ("number", "state", "value", "params", "epochs", "attrs")}
        return fields | {"began": trial.start is not None, "ended": trial.end is not None}

    return [plain(trial) for trial in store.read("tiny").trials]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_commits_that_fail_and_answers_that_are_lost(
    kind: str, seed: int, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [f"sqlite:///{tmp_path / name}.db" for name in ("undisturbed", "disturbed")]
    if kind == "postgresql":
        urls[1] = request.getfixturevalue("databases").optuna
    study = Study.model_validate(
        study_dict(budget={"trials": 2, "seeds": 2}, sampler={"name": "random", "seed": seed}, training={"epochs": 3})
    )
    monkeypatch.setattr("optuna.storages._rdb.storage.time.sleep", lambda seconds: None)
    monkeypatch.setattr("sweeper.search.mirror.MAX_BACKOFF_SECONDS", 0.1)
    monkeypatch.setattr("sweeper.search.mirror.MAX_TOGETHER", (1, 3, 100)[seed])
    stores = [StudyStore(url) for url in urls]
    for store in stores:
        store.create(study, n_trials=4)
    drive(Optimizer(stores[0], "tiny"))
    in_memory = Optimizer(stores[1], "tiny")
    faults = Faults(stores[1], seed)
    drive(in_memory)
    faults.end()
    assert faults.n_before > 3
    assert faults.n_after > 3
    expected = without_times(stores[0])
    assert without_times(stores[1]) == expected
    assert without_times(StudyStore(urls[1])) == expected, "another process reads something else"
    assert [trial.state for trial in in_memory.trials()] == [trial["state"] for trial in expected]
