"""One driver for a study, on machines that share nothing but PostgreSQL."""

from __future__ import annotations

import json
import multiprocessing
import socket
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path

import psutil
import pytest

from sweeper.errors import OwnedError
from sweeper.search.locks import DatabaseLock, Holder, holder_of
from sweeper.sweep.owner import Ownership, own, read_owner
from tests.faults.contenders import contend
from tests.faults.postgres import Databases, PostgresServer
from tests.faults.scenarios import two_starts_at_once
from tests.sweep.accounts import check_accounts, query
from tests.sweep.conftest import CommandLine, open_workspace, wait_until, workers_of
from tests.sweep.studies import study_dict, write_study

pytestmark = pytest.mark.xdist_group("postgres")
Machine = Callable[[str], CommandLine]


def test_two_machines_start_one_study_at_once(machine: Machine, databases: Databases) -> None:
    two_starts_at_once(machine("one"), machine("two"), optuna_db=databases.optuna, mlflow_db=databases.mlflow)


def test_pairs_at_the_same_moment_on_empty_databases(postgres: PostgresServer, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")  # threads do not survive a fork
    with context.Manager() as manager, ProcessPoolExecutor(2, mp_context=context) as processes:
        barrier = manager.Barrier(2, timeout=60)
        for pair, shared in product(range(5), ("sqlite", "postgresql")):
            folders = [tmp_path / f"{shared}-{pair}-{side if shared == 'postgresql' else 0}" for side in range(2)]
            database = None if shared == "sqlite" else postgres.create_database(f"pair_{pair}")
            environ = {"SWEEPER_STORAGE": database} if database else {}
            both = [processes.submit(contend, barrier, folder, environ, study_dict()) for folder in folders]
            results = dict(future.result(timeout=90) for future in both)
            (winner,) = (pid for pid, refusal in results.items() if not refusal)
            (refusal,) = filter(None, results.values())
            assert f"driven by pid {winner} on {socket.gethostname()}, since 20" in refusal
            optuna_db = database or folders[0] / "optuna.db"
            for table in ("studies", "version_info", "alembic_version"):
                assert query(optuna_db, f"SELECT count(*) FROM {table}") == [(1,)], table
            uuids = query(optuna_db, "SELECT count(*) FROM study_user_attributes WHERE key = 'sweeper.uuid'")
            assert uuids == [(1,)]


def test_of_two_locks_one_is_held_and_says_by_whom(databases: Databases) -> None:
    first, second = DatabaseLock(databases.optuna, "a study"), DatabaseLock(databases.optuna, "a study")
    assert holder_of(databases.optuna, "a study") is None
    assert first.acquire()
    assert not second.acquire()
    assert holder_of(databases.optuna, "a study") == first.holder
    assert DatabaseLock(databases.optuna, "another study").acquire()
    first.release()
    assert holder_of(databases.optuna, "a study") is None
    assert second.acquire()
    assert not first.verify()
    second.release()


def test_a_holder_is_read_back_from_the_name_of_its_connection() -> None:
    for user in ("ada", ""):
        holder = Holder(host="a-host", pid=4194304, since=1795343844, user=user)
        assert Holder.from_name(holder.to_name()) == holder
    spaced = Holder(host="a-host", pid=4194304, since=1795343844, user="Ada of Lovelace and more")
    assert Holder.from_name(spaced.to_name()) == replace(spaced, user="Ada_of_Lovelace_")
    assert Holder.from_name("psql") is None
    assert Holder.from_name("sweeper is what I call this") is None
    long = Holder(host="h" * 64, pid=4194304, since=1795343844).to_name()
    assert len(long) == 63
    assert Holder.from_name(long) is not None


def test_a_lock_whose_connection_is_lost_is_taken_again(postgres: PostgresServer, databases: Databases) -> None:
    lock = DatabaseLock(databases.optuna, "a study")
    assert lock.acquire()
    postgres.stop()
    postgres.start()
    assert holder_of(databases.optuna, "a study") is None
    assert lock.verify()
    assert holder_of(databases.optuna, "a study") == lock.holder
    lock.release()


def test_a_connection_that_only_its_owner_knows_to_be_dead(databases: Databases) -> None:
    lock = DatabaseLock(databases.optuna, "a study")
    assert lock.acquire()
    connection, lock._connection = lock._connection, None  # as if it were lost on the way, and PostgreSQL had not heard
    assert lock.verify()
    assert connection is not None
    connection.invalidate()
    lock.release()


def test_an_owner_whose_lock_was_taken_is_told(databases: Databases, postgres: PostgresServer) -> None:
    lock = DatabaseLock(databases.optuna, "tiny")
    assert lock.acquire()
    ownership = Ownership("tiny", lock)
    told: list[OwnedError] = []
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sweeper %'", "postgres"
    )
    thief = DatabaseLock(databases.optuna, "tiny")
    assert thief.acquire()
    ownership.watch(told.append)
    wait_until(lambda: told, "the owner to be told")
    assert told == [ownership.lost]
    assert "another driver has taken the study 'tiny'" in str(told[0])
    with pytest.raises(OwnedError):
        ownership.verify()
    ownership.end()
    thief.release()


def test_an_owner_on_another_machine_is_named(cache_dir: Path, tmp_path: Path, databases: Databases) -> None:
    workspaces = (open_workspace(tmp_path / name, cache_dir, databases.environment()) for name in ("one", "two"))
    one, two = (workspace.study_files("tiny", "0f8e" * 8) for workspace in workspaces)
    assert read_owner(two) is None
    with own(one, "tiny"):
        owner = read_owner(one)
        assert owner is not None
        seen = read_owner(two)
        assert seen is not None
        assert replace(seen, since=owner.since) == owner
        assert seen.since <= owner.since  # the database has it from the moment of its lock
        with pytest.raises(OwnedError) as refused, own(two, "tiny"):
            pass
        assert f"driven by {seen}" in str(refused.value)
    assert read_owner(two) is None
    with own(two, "tiny"):
        pass


def test_a_driver_that_loses_its_study_ends_and_leaves_it_alone(
    machine: Machine, databases: Databases, postgres: PostgresServer
) -> None:
    one = machine("one")
    write_study(one.folder, trials=1, epochs=5000)
    driver = one.begin("start", "tiny.yaml", "--workers", "1", "--checkpoint-seconds", "0.05")
    wait_until(lambda: list(one.folder.glob(".sweeper/*/*/trials/*/checkpoint.pt")), "a checkpoint")
    workers = workers_of(driver)
    thief = DatabaseLock(databases.optuna, "tiny")
    postgres.stop()
    postgres.start()
    # Whoever is faster has it. Unlike a driver, this one does not care whether another is there.
    held = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sweeper %'"
    while not thief.acquire():
        postgres.execute(held)
    output, _ = driver.communicate(timeout=60)
    assert driver.returncode == 3, output
    assert "another driver has taken the study 'tiny' meanwhile" in output
    assert not psutil.wait_procs(workers, timeout=5.0)[1]
    assert postgres.execute("SELECT state FROM trials", databases.optuna.rpartition("/")[2]) == [("RUNNING",)]
    thief.release()
    one.call("stop", "tiny")


def test_an_owner_that_died_is_taken_over(machine: Machine, databases: Databases) -> None:
    one, two = machine("one"), machine("two")
    for command_line in (one, two):
        write_study(command_line.folder, trials=2, epochs=40)
    one.slow_down(1.0)
    driver = one.begin("start", "tiny.yaml", "--workers", "1", "--checkpoint-seconds", "0.05")
    wait_until(lambda: list(one.folder.glob(".sweeper/*/*/trials/*/checkpoint.pt")), "a checkpoint")
    one.slow_down(0.0)
    refused = two.call("start", "tiny.yaml", exit_code=3)
    assert f"pid {driver.pid} on " in refused
    (status,) = json.loads(two.call("status", "--json"))
    assert (status["state"], status["owner"]["pid"]) == ("running", driver.pid)
    for request in (("stop", "tiny"), ("enqueue", "tiny", "lr=0.002")):
        assert "is driven from another workspace, by pid" in two.call(*request, exit_code=1)
    driver.kill()
    driver.wait()
    wait_until(lambda: json.loads(two.call("status", "--json"))[0]["state"] == "crashed", "the lock to be free")
    message = two.call("resume", "tiny", exit_code=2)
    assert "1 trials of the study 'tiny' were begun in another workspace" in message
    assert "go on with: sweeper resume tiny" in two.call("enqueue", "tiny", "lr=0.002")
    one.call("resume", "tiny", "--launcher", "inline")
    accounts = check_accounts(one.folder, n_trials=2, optuna_db=databases.optuna, mlflow_db=databases.mlflow)
    assert [float(trial.params["training.optimizer.lr"]) == 0.002 for trial in accounts.trials] == [False, True]
    two.call(
        "start", "tiny.yaml", "--trials", "1", "--launcher", "inline"
    )  # all that was begun has ended: any machine will do
    check_accounts(two.folder, n_trials=3, optuna_db=databases.optuna, mlflow_db=databases.mlflow)


def test_optuna_and_mlflow_in_one_database_are_refused(
    machine: Machine, databases: Databases, postgres: PostgresServer
) -> None:
    one = machine("one")
    write_study(one.folder, trials=1)
    one.environment["SWEEPER_STORAGE"] = databases.mlflow
    message = one.call("start", "tiny.yaml", exit_code=2)
    assert (
        "SWEEPER_STORAGE and MLFLOW_TRACKING_URI name one database, postgresql+psycopg://postgres@127.0.0.1" in message
    )
    one.environment["MLFLOW_TRACKING_URI"] = databases.mlflow.replace("127.0.0.1", "localhost")
    assert "is MLflow's database; Optuna needs one of its own" in one.call("start", "tiny.yaml", exit_code=2)
    assert postgres.execute("SELECT 1 FROM pg_tables WHERE tablename = 'studies'", "mlflow_template") == []
    one.environment["SWEEPER_STORAGE"] = "sqlite:///both.db"
    one.environment["MLFLOW_TRACKING_URI"] = "sqlite:///both.db"
    assert "name one database" in one.call("start", "tiny.yaml", exit_code=2)
