"""What every launcher does: train, prune, stop and go on to the same bits, tell what went wrong, leave no process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import psutil
import pytest
import torch

from sweeper.launch.inline import InlineLauncher
from sweeper.launch.launcher import Launcher, WorkerSlot
from sweeper.launch.local import LocalLauncher
from sweeper.launch.messages import Attempt, AttemptEnded, EpochDone, Event, WorkerDied, WorkerReady
from sweeper.launch.nursery import start_early
from sweeper.places import Places
from sweeper.tracking.outbox import Row, read_released
from sweeper.tracking.workspace import TrialFiles, read_json

GUARD_SECONDS = 120.0
EPOCHS = 4

MakeAttempt: TypeAlias = Callable[..., Attempt]


@pytest.fixture
def make_attempt(tmp_path: Path) -> MakeAttempt:
    """Builds an attempt at a small MLP on digits; keywords replace its fields, `config` parts of its configuration."""

    def make(
        number: int = 0, *, config: dict[str, Any] | None = None, folder: str = "trials", **fields: Any
    ) -> Attempt:
        tree = {
            "data": {"name": "digits", "validation": 0.2},
            "model": {"name": "mlp", "hidden": [16], "dropout": 0.1},
            "training": {"epochs": EPOCHS, "batch_size": 64, "optimizer": {"name": "adam", "lr": 3e-3}},
            "seed": 3,
        }
        defaults: dict[str, Any] = {
            "attempt": 1,
            "config": {**tree, **(config or {})},
            "folder": str(tmp_path / folder / f"{number:05d}"),
            "metric": "val/accuracy",
            "maximize": True,
            "at": "best",
            "keep_model": True,
            "prunable": False,
            "checkpoint_seconds": 1000.0,
        }
        return Attempt(number=number, **{**defaults, **fields})

    return make


PROCESSES = pytest.mark.xdist_group("workers")
FORKED, STARTED = (pytest.param(kind, marks=PROCESSES) for kind in ("forked", "started"))
RAY = pytest.param("ray", marks=pytest.mark.xdist_group("ray"))
KINDS = ["inline", FORKED, STARTED, RAY]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The number of threads decides the last bits; workers have one here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def start_local(cache_dir: Path, log_dir: Path, n: int = 1, *, fork: bool) -> LocalLauncher:
    slots = [WorkerSlot(index=i, device="cpu", n_threads=1) for i in range(n)]
    launcher = LocalLauncher(slots, places=Places(cache_dir=cache_dir), log_dir=log_dir, fork=fork)
    launcher.start()
    return launcher


def start(kind: str, request: pytest.FixtureRequest, cache_dir: Path, log_dir: Path) -> Launcher:
    """A launcher of a kind with one worker."""
    if kind in ("forked", "started"):
        return start_local(cache_dir, log_dir, fork=kind == "forked")
    launcher: Launcher
    if kind == "inline":
        launcher = InlineLauncher(device="cpu", places=Places(cache_dir=cache_dir))
    else:
        from tests.launch.test_ray import build_launcher

        launcher = build_launcher(request.getfixturevalue("ray_node"), cache_dir, log_dir)
    launcher.start()
    return launcher


@pytest.fixture(scope="module", params=KINDS)
def launcher(
    request: pytest.FixtureRequest, cache_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Launcher]:
    """A launcher of each kind whose one worker is ready, for all tests that leave it as it was."""
    shared = start(request.param, request, cache_dir, tmp_path_factory.mktemp("workers"))
    wait_for(shared, WorkerReady)
    yield shared
    shared.close(kill=True)


@pytest.fixture(params=KINDS)
def fresh_launcher(request: pytest.FixtureRequest, cache_dir: Path, tmp_path: Path) -> Iterator[Launcher]:
    """A launcher of each kind that was started a moment ago, for tests that stop or end it."""
    fresh = start(request.param, request, cache_dir, tmp_path / "workers")
    yield fresh
    fresh.close(kill=True)


def events(launcher: Launcher) -> Iterator[Event]:
    """Events as they come."""
    deadline = time.monotonic() + GUARD_SECONDS
    while time.monotonic() < deadline:
        yield from launcher.poll(0.1)
    raise AssertionError("no event came")


def wait_for(launcher: Launcher, kind: type[Event]) -> list[Event]:
    """The events up to the first of a kind, that one included."""
    seen: list[Event] = []
    for event in events(launcher):
        seen.append(event)
        if isinstance(event, kind):
            return seen
    raise AssertionError


def train(launcher: Launcher, attempt: Attempt) -> list[Event]:
    """The events of an attempt that nobody disturbs."""
    launcher.submit(0, attempt)
    return wait_for(launcher, AttemptEnded)


def files_of(attempt: Attempt) -> TrialFiles:
    return TrialFiles(folder=Path(attempt.folder))


def measured(attempt: Attempt) -> list[tuple[int, dict[str, float]]]:
    """What the outbox holds, but for what the clock decides."""
    rows: list[Row] = read_released(files_of(attempt).outbox)[0]
    clocked = ("seconds", "pictures_per_second")
    return [(row.epoch, {k: v for k, v in row.values.items() if k not in clocked}) for row in rows]


def test_a_trial_from_start_to_end_and_another(fresh_launcher: Launcher, make_attempt: MakeAttempt) -> None:
    launcher = fresh_launcher
    (ready,) = wait_for(launcher, WorkerReady)
    assert isinstance(ready, WorkerReady)
    assert (ready.worker, ready.device) == (0, "cpu")
    assert psutil.pid_exists(ready.pid)
    for number in (0, 1):
        attempt = make_attempt(number)
        *epochs, end = train(launcher, attempt)
        assert [e.epoch for e in epochs if isinstance(e, EpochDone)] == [1, 2, 3, 4]
        assert end == AttemptEnded(worker=0, number=number, how="outcome")
        outcome = read_json(files_of(attempt).outcome)
        assert outcome["state"] == "COMPLETE"
        assert outcome["value"] == max(e.value for e in epochs if isinstance(e, EpochDone))
        assert [epoch for epoch, _ in measured(attempt)] == [1, 2, 3, 4]
        assert files_of(attempt).model.exists()
        names = {file.name for file in files_of(attempt).artifacts.iterdir()}
        assert names == {"config.json", "confusion.json", "data.json", "layers.json", "model.json"}
    launcher.close()


def test_stop_and_go_on_gives_the_same_bits(fresh_launcher: Launcher, make_attempt: MakeAttempt) -> None:
    launcher = fresh_launcher
    wait_for(launcher, WorkerReady)
    whole = make_attempt(folder="whole")
    train(launcher, whole)
    parts = make_attempt(folder="parts", checkpoint_seconds=0.0)
    for attempt_number in range(1, 10):
        launcher.submit(0, make_attempt(folder="parts", attempt=attempt_number, prunable=True))
        for end in events(launcher):
            if isinstance(end, AttemptEnded):
                break
            if isinstance(end, EpochDone) and end.epoch > 1:  # it waits to hear what becomes of the epoch before
                launcher.stop(0)
                launcher.proceed(0, end.number, end.epoch - 1)
        if end.how == "outcome":
            break
        assert end.how == "stopped"
        assert not files_of(parts).outcome.exists()
    assert attempt_number == EPOCHS
    assert measured(parts) == measured(whole)
    keys = ("state", "value")
    one, other = (read_json(files_of(attempt).outcome) for attempt in (parts, whole))
    assert [one[key] for key in keys] == [other[key] for key in keys]
    assert one["tags"]["sweeper.best_epoch"] == other["tags"]["sweeper.best_epoch"]
    models = [torch.load(files_of(attempt).model, weights_only=True) for attempt in (parts, whole)]
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[1])
    for artifact in ("confusion.json", "data.json", "layers.json"):
        assert read_json(files_of(parts).artifacts / artifact) == read_json(files_of(whole).artifacts / artifact)
    check_torn_checkpoints(launcher, make_attempt, whole)


def check_torn_checkpoints(launcher: Launcher, make_attempt: MakeAttempt, whole: Attempt) -> None:
    """Of a trial that is stopped after each epoch, the last checkpoint is torn, and both are."""
    torn = make_attempt(folder="torn")
    for attempt_number in (1, 2):
        launcher.submit(0, make_attempt(folder="torn", attempt=attempt_number))
        launcher.stop(0)
        wait_for(launcher, AttemptEnded)
    checkpoint = files_of(torn).checkpoint
    os.truncate(checkpoint, checkpoint.stat().st_size // 2)
    assert files_of(torn).previous_checkpoint.exists()
    launcher.submit(0, make_attempt(folder="torn", attempt=3))
    launcher.stop(0)
    wait_for(launcher, AttemptEnded)
    for path in (files_of(torn).checkpoint, files_of(torn).previous_checkpoint):
        os.truncate(path, 100)
    while True:
        launcher.submit(0, make_attempt(folder="torn", attempt=4))
        launcher.stop(0)
        end = wait_for(launcher, AttemptEnded)[-1]
        if isinstance(end, AttemptEnded) and end.how == "outcome":
            break
    assert measured(torn) == measured(whole)


def test_prune(launcher: Launcher, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt(
        prunable=True,
        config={"training": {"epochs": 10_000, "batch_size": 64, "optimizer": {"name": "adam", "lr": 3e-3}}},
    )
    launcher.submit(0, attempt)
    for event in events(launcher):
        if isinstance(event, AttemptEnded):
            break
        assert isinstance(event, EpochDone)
        if event.epoch < 3:
            launcher.proceed(0, 0, event.epoch)
        else:
            launcher.prune(0, 0)
    assert event.how == "outcome"
    outcome = read_json(files_of(attempt).outcome)
    assert outcome["state"] == "PRUNED"
    assert outcome["value"] is not None
    assert [epoch for epoch, _ in measured(attempt)] == [1, 2, 3, 4][: len(measured(attempt))]
    assert len(measured(attempt)) >= 3
    assert "confusion.json" in {file.name for file in files_of(attempt).artifacts.iterdir()}
    train(launcher, make_attempt(1))  # the next trial is not pruned with it
    assert read_json(files_of(make_attempt(1)).outcome)["state"] == "COMPLETE"


def test_an_outcome_that_nobody_heard_of(launcher: Launcher, make_attempt: MakeAttempt) -> None:
    train(launcher, make_attempt())
    before = read_json(files_of(make_attempt()).outcome)
    assert train(launcher, make_attempt(attempt=2)) == [AttemptEnded(worker=0, number=0, how="outcome")]
    assert read_json(files_of(make_attempt()).outcome) == before


def test_bad_input(launcher: Launcher, make_attempt: MakeAttempt) -> None:
    *_, end = train(launcher, make_attempt(config={"data": {"name": "folder", "path": "no/such/folder"}}))
    assert isinstance(end, AttemptEnded)
    assert end.how == "bad_input"
    assert "no/such/folder" in end.reason
    *_, end = train(launcher, make_attempt(1, metric="val/accuracy/zebra"))
    assert isinstance(end, AttemptEnded)
    assert end.how == "bad_input"
    assert "objective.metric: given 'val/accuracy/zebra'; allowed for this data: " in end.reason


def test_an_exception(launcher: Launcher, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt()
    files_of(attempt).folder.mkdir(parents=True)
    torch.save({"training": {}}, files_of(attempt).checkpoint)
    (end,) = train(launcher, attempt)
    assert isinstance(end, AttemptEnded)
    assert (end.how, end.reason) == ("error", "KeyError: 'epoch'")
    assert "Traceback (most recent call last)" in end.traceback
    assert "load_state_dict" in end.traceback
    *_, end = train(launcher, make_attempt(1))
    assert isinstance(end, AttemptEnded)
    assert end.how == "outcome"


def test_a_loss_that_is_infinite(launcher: Launcher, make_attempt: MakeAttempt) -> None:
    attempt = make_attempt(
        config={
            "model": {"name": "mlp", "hidden": [32, 32, 32]},
            "training": {"epochs": 50, "batch_size": 64, "optimizer": {"name": "sgd", "lr": 1e3, "momentum": 0.9}},
        }
    )
    *_, end = train(launcher, attempt)
    assert isinstance(end, AttemptEnded)
    assert end.how == "outcome"
    outcome = read_json(files_of(attempt).outcome)
    assert (outcome["state"], outcome["reason"]) == ("FAIL", "diverged")
    assert outcome["tags"]["sweeper.reason"] == "diverged"
    reason = (files_of(attempt).artifacts / "reason.txt").read_text()
    assert "a lower learning rate may help" in reason


@pytest.fixture
def started() -> Callable[[], list[psutil.Process]]:
    """The processes that were started in this test and run."""
    before = set(psutil.Process().children(recursive=True))
    return lambda: [child for child in psutil.Process().children(recursive=True) if child not in before]


def wait_until_gone(processes: list[psutil.Process], seconds: float) -> None:
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    assert not alive


@pytest.mark.parametrize("kind", [FORKED, STARTED, RAY])
def test_a_killed_worker(
    request: pytest.FixtureRequest,
    cache_dir: Path,
    tmp_path: Path,
    make_attempt: MakeAttempt,
    started: Callable[[], list[psutil.Process]],
    kind: str,
) -> None:
    launcher = start(kind, request, cache_dir, tmp_path / "workers")
    (ready,) = wait_for(launcher, WorkerReady)
    assert isinstance(ready, WorkerReady)
    whole = make_attempt(folder="whole", config={**long_training(6)})
    train(launcher, whole)
    attempt = make_attempt(folder="killed", config={**long_training(6)}, checkpoint_seconds=0.0)
    launcher.submit(0, attempt)
    wait_for(launcher, EpochDone)
    (tmp_path / "workers" / "0.log").open("ab").write(b"last words\n")
    os.kill(ready.pid, signal.SIGKILL)
    died = wait_for(launcher, WorkerDied)[-1]
    assert isinstance(died, WorkerDied)
    assert (died.worker, died.exit_code) == (0, -signal.SIGKILL)
    assert "last words" in died.output
    launcher.restart(0)
    wait_for(launcher, WorkerReady)
    *_, end = train(launcher, attempt)
    assert isinstance(end, AttemptEnded)
    assert end.how == "outcome"
    assert measured(attempt) == measured(whole)
    processes = [process for process in started() if "sweeper.launch" in " ".join(process.cmdline())]
    assert processes
    launcher.close()
    wait_until_gone(processes, 0.0)


def long_training(epochs: int) -> dict[str, Any]:
    return {"training": {"epochs": epochs, "batch_size": 16, "optimizer": {"name": "adam", "lr": 3e-3}}}


@pytest.mark.parametrize("kind", [FORKED, STARTED])
def test_closing_at_once(
    cache_dir: Path, tmp_path: Path, started: Callable[[], list[psutil.Process]], kind: str
) -> None:
    launcher = start_local(cache_dir, tmp_path / "workers", 2, fork=kind == "forked")
    processes = started()
    assert len(processes) == (1 if kind == "forked" else 2)
    launcher.close(kill=True)  # while they import
    wait_until_gone(processes, 0.0)


@PROCESSES
def test_a_nursery_that_was_started_early(cache_dir: Path, tmp_path: Path, make_attempt: MakeAttempt) -> None:
    slots = [WorkerSlot(index=0, device="cpu", n_threads=1)]
    nursery = start_early(slots)
    assert nursery is not None
    launcher = LocalLauncher(slots, places=Places(cache_dir=cache_dir), log_dir=tmp_path / "workers", nursery=nursery)
    launcher.start()
    try:
        attempt = make_attempt(1)
        wait_for(launcher, WorkerReady)
        assert nursery.has_forked
        train(launcher, attempt)
        assert files_of(attempt).outcome.exists()
        assert not (tmp_path / "workers" / "nursery.log").exists()
    finally:
        launcher.close()
    assert not nursery.lives


def test_gpus_have_no_nursery() -> None:
    assert start_early([WorkerSlot(index=0, device="cuda:0", n_threads=1)]) is None


@PROCESSES
def test_a_killed_nursery(
    cache_dir: Path, tmp_path: Path, make_attempt: MakeAttempt, started: Callable[[], list[psutil.Process]]
) -> None:
    launcher = start_local(cache_dir, tmp_path / "workers", fork=True)
    (ready,) = wait_for(launcher, WorkerReady)
    assert isinstance(ready, WorkerReady)
    nursery, worker = started()
    assert worker.pid == ready.pid
    nursery.kill()
    *_, end = train(launcher, make_attempt(1))  # a worker that it forked lives
    assert isinstance(end, AttemptEnded)
    assert end.how == "outcome"
    os.kill(ready.pid, signal.SIGKILL)
    died = wait_for(launcher, WorkerDied)[-1]
    assert isinstance(died, WorkerDied)
    assert died.exit_code is None, "nobody could know it"
    launcher.restart(0)
    wait_for(launcher, WorkerReady)
    processes = started()
    assert len(processes) == 2
    launcher.close()
    wait_until_gone(processes, 0.0)


@PROCESSES
def test_a_nursery_that_cannot_import(cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libc10.so is not to be found')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    launcher = start_local(cache_dir, tmp_path / "workers", fork=True)
    died = wait_for(launcher, WorkerDied)[-1]
    launcher.close()
    assert isinstance(died, WorkerDied)
    assert "libc10.so is not to be found" in died.output


DRIVER = """
import sys, time
from pathlib import Path
from sweeper.launch.launcher import WorkerSlot
from sweeper.launch.local import LocalLauncher
from sweeper.launch.messages import EpochDone, WorkerReady, from_json
from sweeper.places import Places

cache, logs, attempt, moment, kind = sys.argv[1:]
launcher = LocalLauncher([WorkerSlot(index=0, device="cpu", n_threads=1)],
                         places=Places(cache_dir=Path(cache)), log_dir=Path(logs), fork=kind == "forked")
launcher.start()
print("started", flush=True)
while moment != "importing":
    for event in launcher.poll(1.0):
        if isinstance(event, WorkerReady):
            launcher.submit(0, from_json(attempt.encode()))
        if isinstance(event, EpochDone):
            print("training", flush=True)
            time.sleep(1000)
time.sleep(1000)
"""


@pytest.mark.parametrize("kind", [FORKED, STARTED])
@pytest.mark.parametrize("moment", ["importing", "training"])
def test_workers_end_when_their_driver_is_killed(
    cache_dir: Path, tmp_path: Path, make_attempt: MakeAttempt, moment: str, kind: str
) -> None:
    from sweeper.launch.messages import to_json

    attempt = to_json(make_attempt(config={**long_training(100_000)})).decode()
    arguments = [str(cache_dir), str(tmp_path / "logs"), attempt, moment, kind]
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, *arguments], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    assert driver.stdout.readline() == "started\n"
    if moment == "training":
        assert driver.stdout.readline() == "training\n"
    processes = psutil.Process(driver.pid).children(recursive=True)
    assert processes
    driver.kill()
    driver.wait()
    wait_until_gone(processes, 5.0)
