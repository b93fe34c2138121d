"""Studies at a glance, held to what Optuna reads of the same database."""

from __future__ import annotations

import getpass
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest

from sweeper.errors import InputError, NotFoundError
from sweeper.search.attributes import STUDY_ATTR, USER_ATTR
from sweeper.search.glance import find_glance, read_glances
from sweeper.search.optimizer import Optimizer
from sweeper.search.storage import Queued, StudyStore
from tests.faults.postgres import PostgresServer
from tests.search.conftest import make_study

ENDS = [("COMPLETE", 0.5), ("COMPLETE", 0.75), ("PRUNED", None), ("COMPLETE", 0.75), ("FAIL", None), ("COMPLETE", 0.5)]


def fill(url: str) -> StudyStore:
    """Two searches with trials in every state, a study of tests, and a study of somebody else."""
    store = StudyStore(url)
    for metric in ("val/accuracy", "val/loss"):
        name = metric.replace("/", "-")
        store.create(make_study(name=name, objective={"metric": metric}), n_trials=9)
        optimizer = Optimizer(store, name)
        proposals = [optimizer.ask() for _ in range(8)]
        for proposal, (state, value) in zip(proposals, ENDS, strict=False):
            optimizer.tell(proposal.number, state, value, None if value else "diverged")
        optimizer.requeue(7)
        optimizer.close()
    store.create(make_study(name="val-loss.final"), n_trials=1, derived={"of": "val-loss", "uuid": "0" * 32})
    store.enqueue("val-loss.final", [Queued(params={}, seed_offset=k, tags={}) for k in range(2)])
    optuna.create_study(study_name="theirs", storage=url).add_trial(optuna.create_trial(value=1.0))
    return store


def check(url: str) -> None:
    store = fill(url)
    glances = read_glances(url)
    assert [glance.name for glance in glances] == store.names() == ["val-accuracy", "val-loss", "val-loss.final"]
    for glance in glances:
        stored = store.read(glance.name)
        best = stored.best
        assert (glance.uuid, glance.n_trials) == (stored.uuid, stored.n_trials)
        attrs = store.storage.get_study_user_attrs(store.storage.get_study_id_from_name(glance.name))
        assert glance.user == attrs[USER_ATTR] == getpass.getuser()
        assert glance.metric == stored.study.objective.metric
        for state in ("COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING"):
            assert glance.count(state) == stored.count(state)
        assert (glance.best_trial, glance.best) == ((best.number, best.value) if best else (None, None))
    assert [glance.best_trial for glance in glances] == [1, 0, None]


def test_what_is_seen_is_what_optuna_reads(url: str) -> None:
    check(url)


@pytest.mark.xdist_group("postgres")
def test_what_is_seen_is_what_optuna_reads_in_postgresql(postgres: PostgresServer) -> None:
    url = postgres.create_database("glance")
    assert read_glances(url) == []
    check(url)


def test_one_study_by_its_name(url: str) -> None:
    with pytest.raises(NotFoundError, match="no studies yet: "):
        find_glance(url, "small")
    StudyStore(url).create(make_study(), n_trials=3)
    assert find_glance(url, "small").n_trials == 3
    with pytest.raises(NotFoundError, match=r"no study 'nope' in .*; studies there: small"):
        find_glance(url, "nope")


def test_a_look_makes_no_file_and_no_table(url: str, tmp_path: Path) -> None:
    assert read_glances(url) == []
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "optuna.db").touch()
    assert read_glances(url) == []
    assert (tmp_path / "optuna.db").stat().st_size == 0


@pytest.mark.parametrize("study", [7, {"name": "other"}, {"name": "small", "objective": "val/loss"}])
def test_a_study_that_cannot_be_read(url: str, tmp_path: Path, study: Any) -> None:
    StudyStore(url).create(make_study(), n_trials=3)
    with closing(sqlite3.connect(tmp_path / "optuna.db")) as database, database:
        update = "UPDATE study_user_attributes SET value_json = ? WHERE key = ?"
        database.execute(update, (json.dumps(study), STUDY_ATTR))
    with pytest.raises(InputError, match=r"the study 'small' in .* cannot be read"):
        read_glances(url)


def test_what_is_no_database_of_optuna(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database, but long enough to be taken for one that is damaged" * 9)
    with pytest.raises(InputError, match=r"cannot open Optuna's database .*: .*file is not a database"):
        read_glances(f"sqlite:///{tmp_path / 'text.db'}")
    with pytest.raises(InputError, match="cannot open Optuna's database"):
        read_glances("postgresql+psycopg://user:hunter2@127.0.0.1:1/db")
