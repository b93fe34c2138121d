"""Faults, and what must hold after each. Tests run a few of each; `python -m tests.chaos` runs many."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import time
from pathlib import Path

import psutil

from sweeper.tracking.workspace import read_json
from tests.faults.disks import SmallDisk
from tests.faults.postgres import Databases, PostgresServer
from tests.sweep.accounts import check_accounts
from tests.sweep.conftest import GUARD_SECONDS, CommandLine, wait_until, workers_of
from tests.sweep.studies import write_study


def two_starts_at_once(
    one: CommandLine, other: CommandLine, *, optuna_db: str | None = None, mlflow_db: str | None = None
) -> None:
    """Exactly one of two simultaneous starts drives; the other is refused, and told who does."""
    both = []
    for command_line in (one, other):
        write_study(command_line.folder, trials=2, epochs=5)
        both.append(command_line.begin("start", "tiny.yaml", "--workers", "1"))
    outputs = [process.communicate(timeout=GUARD_SECONDS)[0] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 3], f"{codes}: {outputs}"
    winner, refused = both[codes.index(0)], outputs[codes.index(3)]
    told = rf"the study 'tiny' is being driven by pid {winner.pid} on \S+, since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"
    assert re.search(told, refused), refused
    check_accounts(one.folder, n_trials=2, optuna_db=optuna_db, mlflow_db=mlflow_db)


def slow_epochs(command_line: CommandLine) -> None:
    """Have each epoch take 0.05 s at least, so that a fault comes while there is training."""
    command_line.environment["SWEEPER_FAILPOINTS"] = "attempt.epoch_sent=sleep:0.05@*"


def restart_postgres(
    command_line: CommandLine, server: PostgresServer, databases: Databases, *, n_restarts: int, seed: int
) -> str:
    """PostgreSQL crashes and comes back several times in one sweep. Returns what the driver printed."""
    moments = random.Random(seed)
    n_trials = 2 + 2 * n_restarts
    slow_epochs(command_line)
    write_study(command_line.folder, trials=n_trials, epochs=20, keep_models=1)
    log = command_line.folder / "printed"
    driver = command_line.begin("start", "tiny.yaml", "--workers", "2", "--checkpoint-seconds", "0.2", log=log)
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
        assert driver.poll() is None, log.read_text()
        time.sleep(moments.uniform(0.0, 0.3))
        server.stop("immediate")
        time.sleep(moments.uniform(0.0, 2.0))
        server.start()
    assert driver.wait(timeout=GUARD_SECONDS) == 0, log.read_text()
    accounts = check_accounts(
        command_line.folder, n_trials=n_trials, optuna_db=databases.optuna, mlflow_db=databases.mlflow
    )
    assert {trial.state for trial in accounts.trials} == {"COMPLETE"}, log.read_text()
    return log.read_text()


def fill_the_disk(command_line: CommandLine, disk: SmallDisk, *, n_times: int, seed: int) -> str:
    """The disk with workspace and databases is full for a while, several times. Returns what the driver printed."""
    moments = random.Random(seed)
    n_trials = 2 + 2 * n_times
    slow_epochs(command_line)
    write_study(command_line.folder, trials=n_trials, epochs=30, keep_models=1)
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


def preempt(command_line: CommandLine, *, n_workers: int, n_drivers: int, seed: int) -> None:
    """SIGTERM to workers, and to drivers, some of them together with all their workers: no retry is spent."""
    moments = random.Random(seed)
    slow_epochs(command_line)
    write_study(command_line.folder, trials=1, epochs=40 * (n_workers + n_drivers))
    options = ("--workers", "1", "--checkpoint-seconds", "1")
    arguments: tuple[str, ...] = ("start", "tiny.yaml")
    for turn in range(n_drivers + 1):
        driver = command_line.begin(*arguments, *options)
        share = n_workers * (turn + 1) // (n_drivers + 1) - n_workers * turn // (n_drivers + 1)
        for _ in range(share):
            worker = _wait_for_training_worker(command_line, driver)
            time.sleep(moments.uniform(0.0, 0.5))
            if driver.poll() is None:
                worker.send_signal(signal.SIGTERM)
                psutil.wait_procs([worker], timeout=GUARD_SECONDS)
        if turn < n_drivers and driver.poll() is None:
            workers = [_wait_for_training_worker(command_line, driver)]
            time.sleep(moments.uniform(0.0, 0.5))
            for process in (driver, *(() if turn % 2 else workers)):
                process.send_signal(signal.SIGTERM)
        output, _ = driver.communicate(timeout=GUARD_SECONDS)
        assert driver.returncode in (0, 130), output
        arguments = ("resume", "tiny")
    assert driver.returncode == 0, output
    accounts = check_accounts(command_line.folder, n_trials=1)
    assert {trial.state for trial in accounts.trials} == {"COMPLETE"}
    attempts = [read_json(path) for path in command_line.folder.glob(".sweeper/*/*/trials/*/attempts.json")]
    assert sum(each["n_started"] for each in attempts) >= 1 + n_workers + n_drivers, attempts
    for each in attempts:
        assert (each["n_deaths"], each["n_errors"]) == (0, 0), "a retry was spent"


def _wait_for_training_worker(command_line: CommandLine, driver: subprocess.Popen[str]) -> psutil.Process:
    def n_recorded() -> int:
        return sum(path.stat().st_size for path in command_line.folder.glob(".sweeper/*/*/trials/*/outbox.jsonl"))

    before = n_recorded()

    def find() -> psutil.Process | bool:
        if driver.poll() is not None:
            raise AssertionError(f"the driver ended: {driver.communicate()[0]}")
        workers = workers_of(driver)
        return workers[0] if workers and n_recorded() > before else False

    found = wait_until(find, "a worker that trains")
    assert isinstance(found, psutil.Process)
    return found


def tear_checkpoints(command_line: CommandLine, *, n_times: int, seed: int) -> int:
    """Kill the driver, and leave its trials' last checkpoints torn. Returns how many were."""
    moments = random.Random(seed)
    slow_epochs(command_line)
    write_study(command_line.folder, trials=2, epochs=40 * n_times)
    options = ("--workers", "2", "--checkpoint-seconds", "0")
    arguments: tuple[str, ...] = ("start", "tiny.yaml")
    n_torn = 0
    for _ in range(n_times):
        driver = command_line.begin(*arguments, *options)
        _wait_for_training_worker(command_line, driver)
        time.sleep(moments.uniform(0.0, 0.5))
        workers = workers_of(driver)
        driver.kill()
        driver.wait()
        psutil.wait_procs(workers, timeout=GUARD_SECONDS)
        for path in command_line.folder.glob(".sweeper/*/*/trials/*/checkpoint.pt"):
            tear(path, moments)
            n_torn += 1
        arguments = ("resume", "tiny")
    command_line.run(*arguments, *options)
    accounts = check_accounts(command_line.folder, n_trials=2)
    assert {trial.state for trial in accounts.trials} == {"COMPLETE"}
    return n_torn


def tear(path: Path, moments: random.Random) -> None:
    """Cut a file somewhere, or make some of its bytes others."""
    content = bytearray(path.read_bytes())
    place = moments.randrange(len(content))
    if moments.random() < 0.5:
        del content[place:]
    else:
        length = moments.randint(1, 64)
        content[place : place + length] = moments.randbytes(len(content[place : place + length]))
    path.write_bytes(content)
