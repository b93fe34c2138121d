"""Faults, and what must hold after each. Tests run a few of each; `python -m tests.chaos` runs many."""

from __future__ import annotations

import random
import re
import time

from tests.faults.disks import SmallDisk
from tests.faults.postgres import Databases, PostgresServer
from tests.sweep.accounts import check_accounts
from tests.sweep.conftest import GUARD_SECONDS, CommandLine, wait_until
from tests.sweep.studies import write_study


def two_starts_at_once(
    one: CommandLine, other: CommandLine, *, optuna_db: str | None = None, mlflow_db: str | None = None
) -> None:
    """Exactly one of two simultaneous starts drives; the other is refused, and told who does."""
    both = []
    for command_line in (one, other):
        write_study(command_line.folder, trials=2, epochs=20)
        both.append(command_line.begin("start", "tiny.yaml", "--workers", "1"))
    outputs = [process.communicate(timeout=GUARD_SECONDS)[0] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 3], f"{codes}: {outputs}"
    winner, refused = both[codes.index(0)], outputs[codes.index(3)]
    told = rf"the study 'tiny' is being driven by pid {winner.pid} on \S+, since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"
    assert re.search(told, refused), refused
    check_accounts(one.folder, n_trials=2, optuna_db=optuna_db, mlflow_db=mlflow_db)


def restart_postgres(
    command_line: CommandLine, server: PostgresServer, databases: Databases, *, n_restarts: int, seed: int
) -> str:
    """PostgreSQL crashes and comes back several times in one sweep. Returns what the driver printed."""
    moments = random.Random(seed)
    n_trials = 2 + 2 * n_restarts
    write_study(command_line.folder, trials=n_trials, epochs=60, batch_size=32, keep_models=1)
    driver = command_line.begin("start", "tiny.yaml", "--workers", "2", "--checkpoint-seconds", "0.2")
    database = databases.optuna.rpartition("/")[2]
    count = "SELECT count(*) FROM trials WHERE state = 'COMPLETE'"
    wait_until(
        lambda: driver.poll() is not None or list(command_line.folder.glob(".sweeper/*/*/trials/*/checkpoint.pt")),
        "a checkpoint",
    )
    for restart in range(n_restarts):
        # Two trials lie between two restarts, so that the sweep is not over before the last one.
        wait_until(
            lambda n=2 * restart: server.execute(count, database)[0][0] >= n or driver.poll() is not None, "trials"
        )
        assert driver.poll() is None, driver.communicate()[0]
        time.sleep(moments.uniform(0.0, 0.3))
        server.stop("immediate")
        time.sleep(moments.uniform(0.0, 2.0))
        server.start()
    output, _ = driver.communicate(timeout=GUARD_SECONDS)
    assert driver.returncode == 0, output
    accounts = check_accounts(
        command_line.folder, n_trials=n_trials, optuna_db=databases.optuna, mlflow_db=databases.mlflow
    )
    assert {trial.state for trial in accounts.trials} == {"COMPLETE"}, output
    return output


def fill_the_disk(command_line: CommandLine, disk: SmallDisk, *, n_times: int, seed: int) -> str:
    """The disk with workspace and databases is full for a while, several times. Returns what the driver printed."""
    moments = random.Random(seed)
    n_trials = 2 + 2 * n_times
    write_study(command_line.folder, trials=n_trials, epochs=60, batch_size=32, keep_models=1)
    log = command_line.folder.parent / "printed"
    driver = command_line.begin("start", "tiny.yaml", "--workers", "2", "--checkpoint-seconds", "0.05", log=log)
    for time_ in range(n_times):
        wait_until(
            lambda n=2 * time_: (
                driver.poll() is not None
                or (
                    len(list(command_line.folder.glob(".sweeper/*/*/trials/*/outcome.json"))) >= n
                    and list(command_line.folder.glob(".sweeper/*/*/trials/*/checkpoint.pt"))
                )
            ),
            "a checkpoint",
        )
        assert driver.poll() is None, log.read_text()
        time.sleep(moments.uniform(0.0, 0.3))
        disk.fill()
        wait_until(
            lambda n=time_ + 1: log.read_text().count("the disk is full") >= n or driver.poll() is not None,
            "the driver to notice",
        )
        time.sleep(moments.uniform(0.0, 2.0))
        assert driver.poll() is None, log.read_text()
        disk.clear()
    assert driver.wait(timeout=GUARD_SECONDS) == 0, log.read_text()
    accounts = check_accounts(command_line.folder, n_trials=n_trials)
    assert {trial.state for trial in accounts.trials} == {"COMPLETE"}, log.read_text()
    return log.read_text()
