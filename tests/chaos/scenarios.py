"""Sweeps in which a process is killed at a named place or at a random moment, and what must hold afterwards."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from subprocess import Popen
from typing import TYPE_CHECKING

import psutil

from sweeper.failpoints import FAILPOINTS
from tests.sweep.accounts import check_accounts
from tests.sweep.conftest import GUARD_SECONDS, CommandLine, wait_until, workers_of
from tests.sweep.studies import write_study

if TYPE_CHECKING:
    from tests.launch.conftest import RayNode

N_TRIALS = 3
EPOCHS = 4
QUICK = ("--workers", "2", "--checkpoint-seconds", "0")

DRIVER_FAILPOINTS = tuple(name for name in FAILPOINTS if name.split(".")[0] in ("driver", "mirror", "recorder"))
OTHER_SWEEPS = ("features", "derived", "analysis")
"""What a sweep of digits does not come by; tests of frozen backbones, of finalizing and of analyses do."""
WORKER_FAILPOINTS = tuple(
    name for name in FAILPOINTS if name not in DRIVER_FAILPOINTS and name.split(".")[0] not in OTHER_SWEEPS
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What happened in a scenario, in which everything held that must."""

    n_driver_deaths: int
    n_worker_deaths: int


def kill_at(cli: CommandLine, failpoint: str, *, nth: int = 1, on: RayNode | None = None, **parts: object) -> Outcome:
    """Kill the process that comes by a failpoint for the n-th time, once; resume if that was the driver; check. Workers
    are processes of this machine, or are on a node of a Ray cluster."""
    n_trials = max(N_TRIALS, 2 * nth)  # of two workers, one comes by n times
    write_study(cli.folder, trials=n_trials, epochs=EPOCHS, **parts)
    flag = cli.folder / "killed"
    cli.environment["SWEEPER_FAILPOINTS"] = f"{failpoint}=once:{flag}@{nth}"
    n_driver_deaths = _run_to_end(cli, _options(cli, on))
    assert flag.exists(), f"{failpoint} was not passed {nth} times"
    accounts = check_accounts(cli.folder, n_trials=n_trials)
    assert {trial.state for trial in accounts.trials} == {"COMPLETE"}
    is_driver = failpoint in DRIVER_FAILPOINTS
    assert n_driver_deaths == int(is_driver), f"{failpoint}: the driver died {n_driver_deaths} times"
    return Outcome(n_driver_deaths=n_driver_deaths, n_worker_deaths=int(not is_driver))


def _options(cli: CommandLine, on: RayNode | None) -> tuple[str, ...]:
    """Options of the driver, whose failpoints are its workers' too."""
    if on is None:
        return QUICK
    of_workers = {"env_vars": {"SWEEPER_FAILPOINTS": cli.environment["SWEEPER_FAILPOINTS"]}}
    # As a job server hands on what `ray job submit --runtime-env-json` is given.
    cli.environment["RAY_JOB_CONFIG_JSON_ENV_VAR"] = json.dumps({"runtime_env": of_workers})
    return (*QUICK, "--launcher", "ray", "--address", on.cluster.address)


def _run_to_end(cli: CommandLine, options: tuple[str, ...]) -> int:
    """Start, and resume for as long as the driver dies. Returns how often it died."""
    n_deaths = 0
    arguments: tuple[str, ...] = ("start", "tiny.yaml")
    while True:
        process = cli.begin(*arguments, *options)
        output, _ = process.communicate(timeout=GUARD_SECONDS)
        if process.returncode == 0:
            return n_deaths
        assert process.returncode == -9, f"exit code {process.returncode}:\n{output}"
        n_deaths += 1
        arguments = ("resume", "tiny")
        if cli.call("status", "--json").strip() == "[]":  # it died before the study was stored
            arguments = ("start", "tiny.yaml")


def kill_at_random(
    cli: CommandLine, seed: int, *, n_kills: int, worker_share: float = 0.6, on: RayNode | None = None
) -> Outcome:
    """Kill workers and drivers at random moments; the seed decides which and when, `worker_share` how many of each."""
    write_study(cli.folder, trials=6, epochs=10, batch_size=16)
    cli.slow_down(0.2)
    options = _options(cli, on)

    def workers_now(driver: Popen[str]) -> list[psutil.Process]:
        if on is None:
            return workers_of(driver)
        from tests.ray_cluster import workers_on

        return workers_on(on.node)

    moments = random.Random(seed)
    n_driver_deaths = n_worker_deaths = 0
    arguments: tuple[str, ...] = ("start", "tiny.yaml")
    while n_driver_deaths + n_worker_deaths < n_kills:
        driver = cli.begin(*arguments, *options)
        while driver.poll() is None and n_driver_deaths + n_worker_deaths < n_kills:
            a_worker = moments.random() < worker_share
            if a_worker:  # which take seconds to start, on a busy machine most of the time that a driver lives
                wait_until(lambda driver=driver: workers_now(driver) or driver.poll() is not None, "workers")
            time.sleep(moments.uniform(0.0, 3.0))
            workers = workers_now(driver)
            if workers and a_worker:
                moments.choice(workers).kill()
                n_worker_deaths += 1
            elif driver.poll() is None:
                driver.kill()
                driver.wait()
                n_driver_deaths += 1
                if on is None:
                    assert not psutil.wait_procs(workers, timeout=5.0)[1], "workers outlive their driver"
        if driver.poll() is not None and driver.returncode == 0:
            break
        if driver.poll() is None:
            driver.communicate(timeout=GUARD_SECONDS)
        stored = json.loads(cli.call("status", "--json")) if (cli.folder / "optuna.db").exists() else []
        assert all(status["owner"] is None for status in stored)
        arguments = ("resume", "tiny") if stored else ("start", "tiny.yaml")
    process = cli.begin(*arguments, *options)
    output, _ = process.communicate(timeout=GUARD_SECONDS)
    assert process.returncode == 0, output
    check_accounts(cli.folder, n_trials=6)
    return Outcome(n_driver_deaths=n_driver_deaths, n_worker_deaths=n_worker_deaths)
