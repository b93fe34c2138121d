"""Sweeps on a real Ray cluster whose nodes come and go: nothing lost, nothing twice."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import psutil
import pytest

from sweeper.sweep.attempts import Attempts
from sweeper.tracking.workspace import TrialFiles
from tests.ray_cluster import Cluster, ray_cluster, workers_on
from tests.sweep.accounts import check_accounts
from tests.sweep.conftest import GUARD_SECONDS, INLINE, CommandLine, wait_until
from tests.sweep.studies import write_study

pytestmark = pytest.mark.xdist_group("ray")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Not shared: its nodes are killed."""
    with ray_cluster() as cluster:
        yield cluster


def trial_files(cli: CommandLine, number: int) -> TrialFiles:
    (folder,) = (cli.folder / ".sweeper").glob(f"*/*/trials/{number:05d}")
    return TrialFiles(folder=folder)


def trial_on(node: object) -> int | None:
    """The trial that the worker on a node has, by the lock that it holds."""
    for worker in workers_on(node):
        try:
            paths = [file.path for file in worker.open_files()]
        except psutil.NoSuchProcess:
            continue
        for path in paths:
            if match := re.search(r"/trials/(\d+)/", path):
                return int(match[1])
    return None


def test_a_node_that_is_lost_and_one_that_is_added(cli: CommandLine, cluster: Cluster) -> None:
    write_study(cli.folder, trials=24, epochs=6, batch_size=32)
    nodes = [cluster.add_node(n_cpus=1) for _ in range(3)]
    options = ("--launcher", "ray", "--address", cluster.address, "--checkpoint-seconds", "0")
    driver = cli.begin("start", "tiny.yaml", "--workers", "4", *options)

    # Each worker is held in the middle of a trial, so that nothing here depends on how fast the machine is.
    held: list[psutil.Process] = []
    for node in nodes:

        def has_checkpoint(node: object = node) -> bool:
            number = trial_on(node)
            return driver.poll() is not None or (number is not None and trial_files(cli, number).checkpoint.exists())

        wait_until(has_checkpoint, "a checkpoint of a trial on each node")
        assert driver.poll() is None, driver.communicate()[0]
        (worker,) = workers_on(node)
        worker.suspend()
        held.append(worker)

    added = cluster.add_node(n_cpus=1)
    number_on_added = wait_until(lambda: trial_on(added), "a trial on the node that was added")

    lost, *kept = held
    number_on_lost = trial_on(nodes[0])
    cluster.kill_node(nodes[0])
    for worker in kept:
        worker.resume()
    output, _ = driver.communicate(timeout=GUARD_SECONDS)
    assert driver.returncode == 0, output
    assert not lost.is_running()
    assert "died (its node or its Ray actor was lost); starting another" in output

    accounts = check_accounts(cli.folder, n_trials=24)
    assert {trial.state for trial in accounts.trials} == {"COMPLETE"}
    assert {trial.number: trial.tags["sweeper.attempt"] for trial in accounts.trials} == {
        number: "2" if number == number_on_lost else "1" for number in range(24)
    }
    assert number_on_lost is not None
    assert Attempts.read(trial_files(cli, number_on_lost)).n_deaths == 1
    assert number_on_added != number_on_lost
    assert not workers_on(added)


def ray_job(cluster: Cluster, *arguments: str) -> str:
    """Run `ray job`; returns what it printed."""
    command, *rest = arguments
    ray = Path(sys.executable).with_name("ray")
    done = subprocess.run(
        [ray, "job", command, "--address", cluster.job_address, *rest],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=GUARD_SECONDS,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.timeout(900)
def test_a_driver_as_a_job_that_is_stopped(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp_cors", reason="ray[default] has the server for jobs")
    monkeypatch.setenv("RAY_JOB_STOP_WAIT_TIME_S", str(int(GUARD_SECONDS)))  # a busy machine takes more than 10 s
    write_study(cli.folder, trials=3, epochs=100)
    in_folder = ("env", "-C", str(cli.folder), f"SWEEPER_CACHE={cli.environment['SWEEPER_CACHE']}")
    sweeper = (*in_folder, sys.executable, "-m", "sweeper")
    with ray_cluster(takes_jobs=True) as cluster:
        # Other tests start heads on this machine, of which a job would take the last.
        options = ("--launcher", "ray", "--address", cluster.address, "--checkpoint-seconds", "0")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SWEEPER_FAILPOINTS", "attempt.epoch_sent=sleep:1@*")  # its trials end after all patience
            node = cluster.add_node(n_cpus=1)
        ray_job(
            cluster, "submit", "--submission-id", "first", "--no-wait", "--", *sweeper, "start", "tiny.yaml", *options
        )

        def has_checkpoint() -> bool:
            number = trial_on(node)
            return number is not None and trial_files(cli, number).checkpoint.exists()

        wait_until(has_checkpoint, "a checkpoint")
        ray_job(cluster, "stop", "first")
        log = ray_job(cluster, "logs", "first")
        assert "go on with: sweeper resume tiny" in log, log
        assert "stopped" in ray_job(cluster, "status", "first")
        begun = check_accounts(cli.folder, n_trials=3, finished=False).trials
        assert any(trial.rows for trial in begun)
        assert {trial.state for trial in begun} == {"WAITING"}

        cluster.kill_node(node)
        cluster.add_node(n_cpus=1)
        log = ray_job(cluster, "submit", "--submission-id", "second", "--", *sweeper, "resume", "tiny", *options)
        assert "'second' succeeded" in log, log
    trials = check_accounts(cli.folder, n_trials=3).trials
    assert {trial.state for trial in trials} == {"COMPLETE"}
    assert trials[0].tags["sweeper.attempt"] == "2"


def test_a_driver_as_ray_jobs_are_run_and_a_head_that_is_lost(cli: CommandLine, cluster: Cluster) -> None:
    """A job has no terminal, the address in its environment, and SIGTERM when it is stopped."""
    node = cluster.add_node(n_cpus=1)
    options = ("--launcher", "ray", "--checkpoint-seconds", "0")
    cli.environment["RAY_ADDRESS"] = cluster.address
    write_study(cli.folder, trials=3, epochs=100)
    for command in (("start", "tiny.yaml"), ("resume", "tiny")):
        driver = cli.begin(*command, *options)

        def has_checkpoint(driver: Popen[str] = driver) -> bool:
            number = trial_on(node)
            return driver.poll() is not None or (number is not None and trial_files(cli, number).checkpoint.exists())

        wait_until(has_checkpoint, "a checkpoint")
        assert driver.poll() is None, driver.communicate()[0]
        (worker,) = workers_on(node)
        worker.suspend()  # in the middle of a trial
        if command[0] == "start":
            driver.send_signal(signal.SIGTERM)
            worker.resume()
            output, _ = driver.communicate(timeout=GUARD_SECONDS)
            assert driver.returncode == 130, output
            assert "go on with: sweeper resume tiny" in output
            assert any(trial.rows for trial in check_accounts(cli.folder, n_trials=3, finished=False).trials)
    cluster.kill_node(cluster.head)
    output, _ = driver.communicate(timeout=GUARD_SECONDS)
    assert driver.returncode == 1, output
    assert "has been out of reach for 40 s" in output
    assert "Traceback" not in output
    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, "the worker's end")
    check_accounts(cli.folder, n_trials=3, finished=False)
    cli.call("resume", "tiny", *INLINE)
    assert {trial.state for trial in check_accounts(cli.folder, n_trials=3).trials} == {"COMPLETE"}
