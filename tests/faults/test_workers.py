"""Workers and drivers that are preempted, and checkpoints that are torn."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from sweeper.tracking.workspace import read_json
from sweeper.training.checkpoint import load_checkpoint, save_checkpoint
from tests.faults.scenarios import preempt, tear, tear_checkpoints
from tests.sweep.accounts import check_accounts
from tests.sweep.conftest import GUARD_SECONDS, CommandLine, wait_until, workers_of
from tests.sweep.studies import write_study


def test_sigterm_to_workers_and_drivers(cli: CommandLine) -> None:
    preempt(cli, n_workers=1, n_drivers=1, seed=1)


def test_a_worker_that_stands_still_is_not_taken_for_dead(cli: CommandLine) -> None:
    """There is no heartbeat to miss: a worker is dead when its process is."""
    write_study(cli.folder, trials=2, epochs=6)
    cli.slow_down(0.2)
    driver = cli.begin("start", "tiny.yaml", "--workers", "1")
    (worker,) = wait_until(lambda: workers_of(driver), "a worker")
    for _ in range(2):
        worker.suspend()
        time.sleep(2.0)
        worker.resume()
        time.sleep(0.5)
    output, _ = driver.communicate(timeout=GUARD_SECONDS)
    assert driver.returncode == 0, output
    check_accounts(cli.folder, n_trials=2)
    for path in cli.folder.glob(".sweeper/*/*/trials/*/attempts.json"):
        attempts = read_json(path)
        assert (attempts["n_started"], attempts["n_deaths"]) == (1, 0)


def test_torn_checkpoints_in_a_sweep(cli: CommandLine) -> None:
    assert tear_checkpoints(cli, n_times=1, seed=1) > 0


def state(epoch: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(epoch)
    return {"epoch": epoch, "training": {f"layer.{i}": torch.randn(16, 16, generator=generator) for i in range(6)}}


def same(one: Any, other: dict[str, Any]) -> bool:
    if one is None or one.keys() != other.keys() or one["epoch"] != other["epoch"]:
        return False
    tensors = one["training"]
    return tensors.keys() == other["training"].keys() and all(
        torch.equal(tensors[name], other["training"][name]) for name in tensors
    )


@pytest.mark.parametrize("seed", range(4))
def test_of_a_torn_checkpoint_nothing_is_used(seed: int, tmp_path: Path) -> None:
    moments = random.Random(seed)
    path, previous = tmp_path / "checkpoint.pt", tmp_path / "checkpoint.previous.pt"
    save_checkpoint(path, previous, state(1))
    save_checkpoint(path, previous, state(2))
    whole = path.read_bytes()
    n_before = 0
    for _ in range(50):
        path.write_bytes(whole)
        tear(path, moments)
        loaded = load_checkpoint(path, previous)
        n_before += same(loaded, state(1))
        # Bytes between the records mean nothing; then it is the last checkpoint as it was saved, to the bit.
        assert same(loaded, state(1)) or same(loaded, state(2))
    assert n_before > 25
    previous.write_bytes(whole[:100])
    path.write_bytes(b"")
    assert load_checkpoint(path, previous) is None
