"""Trials and workers that cannot work: out of memory, crashing, of another version, and under a clock that jumps."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import sweeper
import sweeper.training.loop
from sweeper.study.study import Study
from sweeper.tracking.workspace import Workspace, read_json
from tests.faults.scenarios import slow_epochs
from tests.sweep.accounts import check_accounts, query
from tests.sweep.conftest import GUARD_SECONDS, CommandLine, wait_until
from tests.sweep.studies import study_dict, write_study
from tests.training.test_memory import limit_memory

BATCHES = {"choice": [64, 128, 256]}


def customize(cli: CommandLine, code: str) -> None:
    """Have worker processes run code of the test's before anything else, with `worker` as their index."""
    (cli.folder / "custom").mkdir(exist_ok=True)
    (cli.folder / "custom" / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'sweeper.launch.nursery' in sys.orig_argv:\n"
        "    import sweeper.launch.worker\n"
        "    main = sweeper.launch.worker.main\n"
        "    def run(arguments):\n"
        f"        exec({code!r}, {{'os': os, 'sys': sys, 'worker': int(arguments[1])}})\n"
        "        main(arguments)\n"
        "    sweeper.launch.worker.main = run\n"
    )
    inherited = os.environ.get("PYTHONPATH")
    cli.environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(cli.folder / "custom"), inherited)))


def attempts_of(cli: CommandLine) -> dict[int, Any]:
    return {int(path.parent.name): read_json(path) for path in cli.folder.glob(".sweeper/*/*/trials/*/attempts.json")}


CRASH = """
if worker == 1:
    print('this worker is broken', flush=True)
    os._exit(7)
import sweeper.launch.attempt
def crash(name):
    if name == 'attempt.data_opened' and sys._getframe(1).f_locals['self'].config.training.batch_size == 128:
        print('last words of', name, flush=True)
        os._exit(9)
sweeper.launch.attempt.failpoint = crash
"""


def test_a_trial_that_crashes_its_process_and_a_worker_that_is_broken(cli: CommandLine) -> None:
    customize(cli, CRASH)
    training = {"optimizer": "adam"}
    write_study(cli.folder, trials=3, batch_size=BATCHES, sampler={"name": "grid"}, training=training)
    output = cli.run("start", "tiny.yaml", "--workers", "2")
    accounts = check_accounts(cli.folder, n_trials=3)
    crashed = [trial for trial in accounts.trials if trial.params["training.batch_size"] == "128"]
    assert [trial.state for trial in accounts.trials if trial not in crashed] == ["COMPLETE"] * 2
    (trial,) = crashed
    assert (trial.state, trial.tags["sweeper.reason"], trial.tags["sweeper.attempt"]) == ("FAIL", "crashed", "3")
    attempts = attempts_of(cli)
    assert (attempts[trial.number]["n_started"], attempts[trial.number]["n_deaths"]) == (3, 3)
    assert sum(each["n_deaths"] for each in attempts.values()) == 3, "trials paid for the broken worker"
    (artifact,) = cli.folder.glob(f"mlruns/tiny/{trial.run_id}/artifacts/traceback.txt")
    assert "ended with exit code 9" in artifact.read_text()
    assert "last words of attempt.data_opened" in artifact.read_text()
    assert "worker 1 died (exit code 7); it died too often and is retired" in output


def test_workers_that_are_all_broken_stop_the_sweep(cli: CommandLine) -> None:
    customize(cli, "print('no such device', flush=True)\nos._exit(7)")
    write_study(cli.folder, trials=3)
    output = cli.run("start", "tiny.yaml", "--workers", "2", exit_code=1)
    assert "error: all workers have died too often; the last output was:\nno such device" in output
    assert not attempts_of(cli)
    check_accounts(cli.folder, n_trials=3, finished=False)


def test_a_worker_of_another_version_is_refused(cli: CommandLine) -> None:
    customize(cli, "import sweeper\nsweeper.__version__ = '0.0.0'")
    write_study(cli.folder, trials=3)
    output = cli.run("start", "tiny.yaml", "--workers", "1", exit_code=1)
    assert f"has sweeper 0.0.0, the driver {sweeper.__version__}; install the same version on both" in output
    assert not attempts_of(cli), "it took a trial"
    check_accounts(cli.folder, n_trials=3, finished=False)


@pytest.mark.parametrize("limit", [10, 0, None])
def test_out_of_memory(limit: int | None, folder: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for 10 pictures, for none, and not even for the model."""
    placed = sweeper.training.loop.place_model

    def place(model: nn.Module, device: torch.device) -> nn.Module:
        if limit is None:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        model = placed(model, device)
        limit_memory(model, limit)
        return model

    study = Study.model_validate(study_dict(trials=1, batch_size=32))
    whole = sweeper.start(study, launcher="inline", workspace=workspace)
    assert whole.finished
    monkeypatch.setattr("sweeper.training.loop.place_model", place)
    tight = Study.model_validate(study_dict("tight", trials=1, batch_size=32))
    assert sweeper.start(tight, launcher="inline", workspace=workspace).finished
    (trial,) = check_accounts(folder, "tight", n_trials=1).trials
    (free,) = check_accounts(folder, n_trials=1).trials
    assert trial.params == free.params
    if limit:
        assert trial.state == "COMPLETE"
        assert trial.tags["sweeper.micro_batch"] == "8"
        assert "sweeper.micro_batch" not in free.tags
        losses = [[value for _, value in each.rows["train/loss"]] for each in (trial, free)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4), "another effective batch"
    else:
        assert (trial.state, trial.tags["sweeper.reason"], trial.tags["sweeper.attempt"]) == ("FAIL", "infeasible", "1")
        assert trial.tags["sweeper.error"].startswith("out of memory")
        assert trial.rows == {}
        (reason,) = folder.glob(f"mlruns/tight/{trial.run_id}/artifacts/reason.txt")
        assert "out of memory" in reason.read_text()


CLOCK = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset(void) {
    char text[32] = "";
    int file = open(getenv("CLOCK_OFFSET_FILE"), O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
    close(file);
    return atol(text);
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += offset();
    return result;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int result = syscall(SYS_gettimeofday, now, zone);
    now->tv_sec += offset();
    return result;
}
time_t time(time_t *now) {
    struct timespec full;
    clock_gettime(CLOCK_REALTIME, &full);
    if (now) *now = full.tv_sec;
    return full.tv_sec;
}
"""
"""The clock of the day, with the seconds in a file added. The program `faketime` also breaks `time.sleep` of Python."""


def build_clock(folder: Path) -> Path | None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    (folder / "clock.c").write_text(CLOCK)
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(folder / "clock.so"), str(folder / "clock.c")]
    subprocess.run(command, check=True)
    return folder / "clock.so"


def test_a_clock_that_is_set_back_and_forward(cli: CommandLine, tmp_path: Path) -> None:
    library = build_clock(tmp_path)
    if library is None:
        pytest.skip("there is no C compiler, with which a clock could be built that is set")
    slow_epochs(cli)
    write_study(cli.folder, trials=3, epochs=20, budget={"trials": 3, "timeout_seconds": 3600})
    clock = tmp_path / "offset"
    clock.write_text("0")
    cli.environment |= {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(clock)}
    driver = cli.begin("start", "tiny.yaml", "--workers", "1", "--checkpoint-seconds", "0.1")
    for n_ended, offset in ((0, "-7200"), (1, "7200")):
        wait_until(
            lambda n=n_ended: (
                driver.poll() is not None
                or (
                    len(list(cli.folder.glob(".sweeper/*/*/trials/*/checkpoint.pt"))) > 0
                    and len(list(cli.folder.glob(".sweeper/*/*/trials/*/outcome.json"))) >= n
                )
            ),
            "training",
        )
        assert driver.poll() is None, driver.communicate()[0]
        clock.with_name("next").write_text(offset)
        clock.with_name("next").replace(clock)
    output, _ = driver.communicate(timeout=GUARD_SECONDS)
    assert driver.returncode == 0, output
    assert "died" not in output
    accounts = check_accounts(cli.folder, n_trials=3)
    assert {trial.state for trial in accounts.trials} == {"COMPLETE"}
    assert all(each["n_started"] == 1 for each in attempts_of(cli).values())
    assert query(cli.folder / "mlflow.db", "SELECT count(*) FROM runs WHERE end_time < start_time") == [(0,)]
    times = "SELECT max(timestamp) - min(timestamp) FROM metrics"
    assert query(cli.folder / "mlflow.db", times)[0][0] > 7_000_000, "the clock was not set"
    elapsed = json.loads(next(iter(cli.folder.glob(".sweeper/tiny/*/elapsed.json"))).read_text())["seconds"]
    assert 0 < elapsed < 1800, "the time budget followed the clock"
