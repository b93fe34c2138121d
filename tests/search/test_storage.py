"""Optuna's database: what is stored, what is found, what is said when it cannot be opened."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from sweeper.errors import InputError, NotFoundError
from sweeper.search.optimizer import Optimizer
from sweeper.search.storage import StudyStore
from sweeper.search.urls import masked
from tests.search.conftest import make_study


def test_a_study_is_read_back_as_stored(url: str) -> None:
    study = make_study(
        description="ümläut", objective={"metric": "val/loss"}, sampler={"name": "tpe", "seed": 3}, pruner="median"
    )
    StudyStore(url).create(study, n_trials=7)
    stored = StudyStore(url).read("small")
    assert stored.study == study
    assert stored.n_trials == 7
    assert stored.trials == ()
    assert stored.best is None
    assert optuna.load_study(study_name="small", storage=url).direction.name == "MINIMIZE"


def test_studies_of_others_are_left_alone(url: str) -> None:
    store = StudyStore(url)
    theirs = optuna.create_study(study_name="theirs", storage=url)
    theirs.add_trial(optuna.create_trial(value=1.0))
    store.create(make_study(), n_trials=3)
    assert store.names() == ["small"]
    assert not store.exists("theirs")
    with pytest.raises(NotFoundError, match=r"'theirs' .* was not made by sweeper"):
        store.read("theirs")
    with pytest.raises(InputError, match="the name 'theirs' is taken"):
        store.create(make_study(name="theirs"), n_trials=3)
    kept = optuna.load_study(study_name="theirs", storage=url)
    assert (len(kept.trials), kept.user_attrs, kept.direction.name) == (1, {}, "MINIMIZE")


def test_an_empty_study_of_somebody_else_is_left_alone(url: str) -> None:
    optuna.create_study(study_name="theirs", storage=url, direction="minimize").set_user_attr("owner", "them")
    with pytest.raises(InputError, match="the name 'theirs' is taken"):
        StudyStore(url).create(make_study(name="theirs"), n_trials=3)
    assert optuna.load_study(study_name="theirs", storage=url).user_attrs == {"owner": "them"}


def test_a_study_that_is_not_there_names_those_that_are(url: str) -> None:
    store = StudyStore(url)
    with pytest.raises(NotFoundError, match=r"no study 'nope' in .*; studies there: none yet"):
        store.read("nope")
    store.create(make_study(), n_trials=3)
    with pytest.raises(NotFoundError, match="studies there: small"):
        store.read("nope")


def test_a_missing_file_is_made_only_to_store_something(url: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no studies yet: .*optuna.db does not exist; start one"):
        StudyStore(url, create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_deleted_study_makes_room_for_another(url: str) -> None:
    store = StudyStore(url)
    store.create(make_study(), n_trials=3)
    uuid = store.read("small").uuid
    store.delete("small")
    assert store.names() == []
    store.create(make_study(), n_trials=4)
    assert store.read("small").uuid != uuid


@pytest.mark.parametrize(("metric", "best"), [("val/accuracy", 1), ("val/loss", 0)])
def test_of_equal_values_the_earlier_trial_is_best(metric: str, best: int, url: str) -> None:
    store = StudyStore(url)
    store.create(make_study(objective={"metric": metric}), n_trials=4)
    optimizer = Optimizer(store, "small")
    for value in (0.1, 0.9, 0.9, 0.1):
        optimizer.tell(optimizer.ask().number, "COMPLETE", value)
    optimizer.close()
    found = StudyStore(url).read("small").best
    assert found is not None
    assert found.number == best


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://user:hunter2@127.0.0.1:1/db",
        "postgresql+nodriver://user:hunter2@127.0.0.1/db",
        "postgresql://user:hunter2@127.0.0.1:port/db",
        "nosuch://user:hunter2@127.0.0.1/db",
        "user:hunter2@127.0.0.1",
        "postgresql+psycopg://127.0.0.1:1/db?user=me&password=hunter2",
        "sqlite:////no/such/folder/hunter2/../optuna.db",
    ],
)
def test_a_database_that_cannot_be_opened_is_one_message_without_password(url: str) -> None:
    with pytest.raises(InputError) as raised:
        StudyStore(url)
    message = str(raised.value)
    assert message.startswith("cannot open Optuna's database ")
    assert "\n" not in message
    if not url.startswith("sqlite"):
        assert "hunter2" not in message
        assert "hunter2" not in masked(url)
