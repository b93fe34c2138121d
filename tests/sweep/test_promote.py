"""`sweeper promote`: the best trials go on from where they ended, each once, whatever happens."""

from __future__ import annotations

import json
from typing import Any

import torch

import sweeper
from sweeper.tracking.workspace import Workspace
from tests.sweep.accounts import Accounts, check_accounts
from tests.sweep.conftest import INLINE, CommandLine
from tests.sweep.studies import write_study


def search(cli: CommandLine, **parts: Any) -> Accounts:
    write_study(cli.folder, **{"trials": 3, "keep_models": 2, **parts})
    cli.call("start", "tiny.yaml", *INLINE, "--quiet")
    return check_accounts(cli.folder, n_trials=len(json.loads(cli.call("runs", "tiny", "--json"))))


def promote(cli: CommandLine, *arguments: str) -> list[dict[str, Any]]:
    printed = cli.call("promote", "tiny", *arguments, *INLINE, "--json")
    trials: list[dict[str, Any]] = json.loads(printed[printed.index("{") :])["trials"]
    return trials


def best_first(accounts: Accounts) -> list[int]:
    return [t.number for t in sorted(accounts.trials, key=lambda t: (-(t.value or 0.0), t.number))]


def test_the_best_go_on_from_their_last_epoch(cli: CommandLine, workspace: Workspace) -> None:
    searched = search(cli)
    best = best_first(searched)
    said = cli.call("promote", "tiny", "--top", "2", "--epochs", "4", *INLINE)
    assert f"continuing 2 trials of tiny ({best[0]}, {best[1]}) to 4 epochs; they are the runs of tiny.promoted" in said
    promoted = check_accounts(cli.folder, "tiny.promoted", n_trials=2)
    for trial, number in zip(promoted.trials, best[:2], strict=True):
        source = searched.trials[number]
        assert trial.tags["sweeper.source_run"] == source.run_id
        assert trial.tags["sweeper.continued_from_epoch"] == "2"
        assert {**trial.params, "training.epochs": "2"} == source.params
        for metric in ("val/accuracy", "seconds", "objective"):
            assert trial.rows[metric][:2] == source.rows[metric], "rows so far are taken over, times too"
    # As if it had never been interrupted: trained from the start to 4 epochs, all numbers are the same.
    assert "identical" in cli.call("reproduce", "tiny.promoted/0", "--launcher", "inline")
    # They are no trials of the search, and models of theirs are loaded like others.
    assert len(sweeper.runs("tiny", workspace=workspace)) == 3
    best_now = sweeper.best_runs("tiny.promoted", workspace=workspace)[0]
    best_now.load_model(places=workspace.places)(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
    check_asking_again(cli, best)
    assert "agree" in cli.call("doctor")
    cli.call("report", "tiny", "--section", "promoted", "--format", "markdown", "--out", "report")
    shown = (cli.folder / "report" / "report.md").read_text()
    assert "3 trials of the search were continued, by 5 trainings one after another, to at most 5 epochs." in shown
    assert all(f"tiny.promoted/{number}" in shown for number in range(5))
    assert cli.call("delete", "tiny", "--yes").endswith("tiny.promoted is deleted\ntiny is deleted\n")


def check_asking_again(cli: CommandLine, best: list[int]) -> None:
    assert "all of it was trained before" in cli.call("promote", "tiny", "--top", "2", "--epochs", "4", *INLINE)
    # Further: from where they are now. The third has no checkpoint, since only two keep theirs.
    trials = {each["trial"]: each for each in promote(cli, "--top", "3", "--epochs", "5") if each["epochs"] == 5}
    assert {number: trials[number]["continued_from_epoch"] for number in best} == {best[0]: 4, best[1]: 4, best[2]: 0}
    assert all(each["epochs_before"] == 2 and each["state"] == "COMPLETE" for each in trials.values())
    found = check_accounts(cli.folder, "tiny.promoted", n_trials=5)
    first = next(t for t in found.trials if t.tags["sweeper.source_trial"] == str(best[0]))
    further = found.trials[2]
    assert further.tags["sweeper.source_trial"] == str(best[0])
    assert further.rows["val/loss"][:4] == first.rows["val/loss"]


def test_what_is_left_out_or_different_is_said(cli: CommandLine) -> None:
    stopping = {"early_stopping": {"metric": "val/accuracy", "patience": 1, "min_delta": 1.0}}
    write_study(cli.folder, trials=1, epochs=4, training=stopping)
    cli.call("start", "tiny.yaml", *INLINE, "--quiet")
    said = cli.call("promote", "tiny", "--epochs", "9", *INLINE, exit_code=2)
    assert "trial 0 was ended by early stopping" in said
    said = cli.call("promote", "tiny", "--epochs", "4", *INLINE, exit_code=2)
    assert "trial 0 has 4 epochs; --epochs: allowed are more than that" in said
    assert "given 7; allowed: numbers of trials of tiny, 0 to 0" in cli.call(
        "promote", "tiny", "--epochs", "9", "--trial", "7", exit_code=2
    )
    assert not (cli.folder / ".sweeper/tiny.promoted").exists()
    cli.call("delete", "tiny", "--yes")

    search(cli, trials=1, training={"schedule": {"name": "cosine"}})
    said = cli.call("promote", "tiny", "--epochs", "3", *INLINE)
    assert "the schedule cosine is spread over all epochs" in said
    assert "continued after epoch 2" in cli.call("reproduce", "tiny.promoted/0", exit_code=2)
    assert "draws no trials of its own" in cli.call("resume", "tiny.promoted", "--trials", "1", exit_code=2)
    assert "give that: `sweeper promote tiny`" in cli.call("promote", "tiny.promoted", "--epochs", "9", exit_code=2)


def test_it_goes_on_after_crashes(cli: CommandLine) -> None:
    searched = search(cli, trials=2)
    for place in ("derived.copied=kill@2", "attempt.epoch_recorded=kill"):
        cli.environment["SWEEPER_FAILPOINTS"] = place
        cli.run("promote", "tiny", "--epochs", "4", *INLINE, exit_code=-9)
    del cli.environment["SWEEPER_FAILPOINTS"]
    trials = promote(cli, "--epochs", "4")
    assert {each["trial"]: each["continued_from_epoch"] for each in trials} == {0: 2, 1: 2}
    promoted = check_accounts(cli.folder, "tiny.promoted", n_trials=2)
    for trial in promoted.trials:
        source = searched.trials[int(trial.tags["sweeper.source_trial"])]
        assert trial.rows["val/loss"][:2] == source.rows["val/loss"]
