"""Training loops of others, swept by the real command line: the three examples, and one that is killed and pruned."""

from __future__ import annotations

import importlib.util
import json
import shutil
import time
from pathlib import Path

import pytest

from tests.sweep.accounts import check_accounts, read_accounts
from tests.sweep.conftest import CommandLine, wait_until, workers_of

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "own-loops"
SLOW = '''
import time
import torch
import sweeper

@sweeper.training_loop("slow")
def train(trial: sweeper.Trial, *, level: float, epochs: int = 12):
    """Waits."""
    weight = torch.nn.Linear(1, 1)
    trial.keep(weight=weight)
    (trial.artifacts / "note.txt").write_text("kept\\n")
    for epoch in trial.epochs(epochs):
        time.sleep(0.15)
        with torch.no_grad():
            weight.weight.fill_(float(epoch))
        yield {"score": level + 0.01 * epoch, "weight": weight.weight.item(), "draw": torch.rand(()).item()}
'''
STUDY = """
name: tiny
plugins: [slow.py]
objective: {{metric: score, direction: maximize, at: last}}
sampler: {{name: grid, seed: 1}}
pruner: {pruner}
trial:
  loop: {{name: slow, level: {{choice: {levels}}}}}
"""


@pytest.mark.parametrize("name", ["plain_torch", "scikit_learn", "with_lightning"])
def test_an_example_is_swept(name: str, command_line: CommandLine) -> None:
    if name == "with_lightning" and importlib.util.find_spec("lightning") is None:
        pytest.skip("lightning is not installed")
    study = name.replace("with_", "").replace("_", "-")
    folder = command_line.folder / "elsewhere"
    folder.mkdir()
    for suffix in (".py", ".yaml"):
        shutil.copy(EXAMPLES / f"{name}{suffix}", folder)
    file = f"elsewhere/{name}.yaml"
    assert "ok" in command_line.call("check", file)
    assert "by a loop of its own, which is not timed" in command_line.call("preview", file, "-n", "2")
    assert "2 done" in command_line.call("start", file, "--workers", "1", "--quiet", "--set", "budget.trials=2")
    runs = json.loads(command_line.call("runs", study, "--json"))
    assert all(run["params"]["loop.name"] == study for run in runs)
    assert all(f"training loop {study} ({name}.py, sha256 " in run["tags"]["sweeper.plugins"] for run in runs)
    assert "report" in command_line.call("report", study, "--format", "html")
    if name != "plain_torch":
        return
    tested = command_line.call("finalize", study, "--top", "1", "--seeds", "2", "--workers", "1", "--quiet")
    assert "by 2 runs" in tested
    assert "test/" in tested


@pytest.mark.xdist_group("kills")
def test_a_loop_whose_worker_is_killed_goes_on_from_its_checkpoint(command_line: CommandLine) -> None:
    (command_line.folder / "slow.py").write_text(SLOW)
    (command_line.folder / "tiny.yaml").write_text(STUDY.format(pruner="none", levels="[0.1, 0.2]"))
    driver = command_line.begin("start", "tiny.yaml", "--workers", "1", "--checkpoint-seconds", "0.3")
    checkpoints = command_line.folder / ".sweeper" / "tiny"
    wait_until(lambda: bool(list(checkpoints.glob("*/trials/*/checkpoint.pt"))), "a checkpoint")
    for worker in workers_of(driver):
        worker.kill()
    output, _ = driver.communicate(timeout=120)
    assert driver.returncode == 0, output
    assert "trying again" in output
    check_accounts(command_line.folder, n_trials=2, metric="score")
    first, second = read_accounts(command_line.folder).trials
    assert [epoch for epoch, _ in first.rows["score"]] == list(range(1, 13))
    assert first.rows["draw"] == second.rows["draw"]  # the same seeds, with and without the break
    assert first.tags["sweeper.attempt"] == "2"
    assert not list(checkpoints.glob("*/trials/*/loop"))


def test_a_loop_is_pruned(command_line: CommandLine) -> None:
    (command_line.folder / "slow.py").write_text(SLOW.replace("time.sleep(0.15)", "pass"))
    pruner = "{name: median, n_startup_trials: 1}"
    levels = "[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]"
    (command_line.folder / "tiny.yaml").write_text(STUDY.format(pruner=pruner, levels=levels))
    started = time.monotonic()
    command_line.call("start", "tiny.yaml", "--workers", "1", "--quiet")
    accounts = check_accounts(command_line.folder, n_trials=6, metric="score")
    pruned = [trial for trial in accounts.trials if trial.state == "PRUNED"]
    assert pruned, f"none pruned in {time.monotonic() - started:.0f} s"
    assert all(len(trial.rows["score"]) < 12 for trial in pruned)
