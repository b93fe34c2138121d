"""Drivers and workers killed at random moments, stopped and interrupted: nothing lost, nothing twice."""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from pathlib import Path
from subprocess import Popen

import psutil
import pytest

from tests.sweep.accounts import check_accounts
from tests.sweep.conftest import GUARD_SECONDS, CommandLine, interrupt, wait_until, workers_of
from tests.sweep.studies import write_study

QUICK = ("--workers", "2", "--checkpoint-seconds", "0.05")


def trial_files(cli: CommandLine, name: str) -> list[Path]:
    return list((cli.folder / ".sweeper").glob(f"*/*/trials/*/{name}"))


def wait_for_training(cli: CommandLine, process: Popen[str], *, n_checkpoints: int = 1) -> None:
    wait_until(
        lambda: len(trial_files(cli, "checkpoint.pt")) >= n_checkpoints or process.poll() is not None, "a checkpoint"
    )
    assert process.poll() is None, process.communicate()[0]


@pytest.mark.xdist_group("kills")
def test_a_driver_that_is_killed_again_and_again(cli: CommandLine) -> None:
    write_study(cli.folder, trials=6, epochs=12, batch_size=16)
    moments = random.Random(1)
    for attempt in range(3):
        arguments = ("start", "tiny.yaml") if attempt == 0 else ("resume", "tiny")
        driver = cli.begin(*arguments, *QUICK)
        wait_until(lambda driver=driver: workers_of(driver) or driver.poll() is not None, "workers")
        workers = workers_of(driver)
        seconds = moments.uniform(0.0, 8.0)
        sys.stdout.write(f"attempt {attempt}: killed after {seconds:.2f} s\n")
        time.sleep(seconds)
        driver.kill()
        driver.wait()
        _, alive = psutil.wait_procs(workers, timeout=5.0)
        assert not alive, "workers outlive their driver"
    assert json.loads(cli.call("status", "--json"))[0]["owner"] is None
    cli.run("resume", "tiny", *QUICK)
    check_accounts(cli.folder, n_trials=6)
    assert cli.call("sync") == "tiny: all sent\n"


@pytest.mark.xdist_group("kills")
def test_a_worker_that_is_killed(cli: CommandLine) -> None:
    write_study(cli.folder, trials=3, epochs=12, batch_size=16)
    cli.slow_down(0.2)
    driver = cli.begin("start", "tiny.yaml", *QUICK)
    wait_for_training(cli, driver)
    moments = random.Random(2)
    for _ in range(2):
        seconds = moments.uniform(0.0, 1.0)
        sys.stdout.write(f"killed after {seconds:.2f} s\n")
        time.sleep(seconds)
        workers = workers_of(driver)
        if workers:
            moments.choice(workers).kill()
    output, _ = driver.communicate(timeout=GUARD_SECONDS)
    assert driver.returncode == 0, output
    accounts = check_accounts(cli.folder, n_trials=3)
    assert {trial.state for trial in accounts.trials} == {"COMPLETE"}
    assert "died (exit code -9); starting another" in output


@pytest.mark.xdist_group("interrupts")
def test_ctrl_c_once_and_twice(cli: CommandLine) -> None:
    write_study(cli.folder, trials=3, epochs=20, batch_size=32)
    driver = cli.begin("start", "tiny.yaml", *QUICK)
    wait_for_training(cli, driver)
    interrupt(driver)
    output, _ = driver.communicate(timeout=GUARD_SECONDS)
    assert driver.returncode == 130, output
    assert "stopped on request" in output
    assert "go on with: sweeper resume tiny" in output
    accounts = check_accounts(cli.folder, n_trials=3, finished=False)
    waiting = [trial for trial in accounts.trials if trial.state == "WAITING" and trial.run_id]
    assert waiting
    assert any(trial.rows for trial in waiting)
    assert json.loads(cli.call("status", "--json"))[0]["state"] == "stopped"

    driver = cli.begin("resume", "tiny", *QUICK)
    workers = wait_until(lambda: workers_of(driver), "workers")
    wait_for_training(cli, driver)
    interrupt(driver)
    interrupt(driver)
    output, _ = driver.communicate(timeout=GUARD_SECONDS)
    assert driver.returncode == 130, output
    assert not psutil.wait_procs(workers, timeout=5.0)[1]
    check_accounts(cli.folder, n_trials=3, finished=False)

    cli.run("resume", "tiny", *QUICK)
    check_accounts(cli.folder, n_trials=3)


@pytest.mark.xdist_group("interrupts")
def test_sigterm_drains(cli: CommandLine) -> None:
    write_study(cli.folder, trials=1, epochs=5000)
    driver = cli.begin("start", "tiny.yaml", "--workers", "1", "--checkpoint-seconds", "0.05")
    wait_for_training(cli, driver)
    driver.send_signal(signal.SIGTERM)
    output, _ = driver.communicate(timeout=GUARD_SECONDS)
    assert driver.returncode == 130, output
    (trial,) = check_accounts(cli.folder, n_trials=1, finished=False).trials
    assert trial.state == "WAITING"
    assert trial.rows


@pytest.mark.xdist_group("control")
def test_a_driver_in_the_background(cli: CommandLine) -> None:
    write_study(cli.folder, trials=4, epochs=5000)
    output = cli.run("start", "tiny.yaml", "--detach", "--launcher", "inline", *QUICK)
    assert "tiny runs in the background, pid " in output
    (status,) = json.loads(cli.call("status", "--json"))
    assert status["state"] == "running"
    owner = status["owner"]
    assert f"pid {owner['pid']}, log" in output
    assert psutil.pid_exists(owner["pid"])

    refused = cli.run("start", "tiny.yaml", exit_code=3)
    assert f"driven by pid {owner['pid']} on {owner['host']}, since {owner['since']}" in refused
    for command in (("resume", "tiny"), ("resume", "tiny", "--trials", "5")):
        assert f"pid {owner['pid']}" in cli.call(*command, exit_code=3)
    assert f"pid {owner['pid']}" in cli.call("sync", "tiny", exit_code=None)
    assert json.loads(cli.call("status", "--json"))[0]["n_trials"] == 4, "a refused start changed the budget"

    wait_until(lambda: trial_files(cli, "checkpoint.pt"), "a checkpoint")
    assert not psutil.Process(owner["pid"]).children(), "inline: the driver trains by itself"
    watch = cli.begin("watch", "tiny")
    assert cli.run("stop", "tiny") == "tiny has stopped; go on with: sweeper resume tiny\n"
    watched, _ = watch.communicate(timeout=GUARD_SECONDS)
    assert "tiny has ended: 0 of 4 trials" in watched or "tiny is not running" in watched
    assert json.loads(cli.call("status", "--json"))[0]["state"] == "stopped"
    check_accounts(cli.folder, n_trials=4, finished=False)

    cli.run("resume", "tiny", "--detach", *QUICK)
    pid = json.loads(cli.call("status", "--json"))[0]["owner"]["pid"]
    workers = wait_until(lambda: psutil.Process(pid).children(recursive=True)[1:], "workers")
    cli.run("stop", "tiny", "--now")
    assert not psutil.wait_procs(workers, timeout=5.0)[1]
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", "the driver's end")
    check_accounts(cli.folder, n_trials=4, finished=False)


@pytest.mark.xdist_group("control")
def test_two_starts_at_once(cli: CommandLine) -> None:
    (cli.folder / "optuna.db").unlink()
    write_study(cli.folder, trials=3, epochs=10)
    both = [cli.begin("start", "tiny.yaml", "--workers", "1") for _ in range(2)]
    outputs = [process.communicate(timeout=GUARD_SECONDS)[0] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 3], outputs
    winner = both[codes.index(0)]
    refused = outputs[codes.index(3)]
    assert f"the study 'tiny' is being driven by pid {winner.pid} on " in refused
    assert ", since 20" in refused
    assert "sweeper watch tiny" in refused
    assert "sweeper stop tiny" in refused
    check_accounts(cli.folder, n_trials=3)
