"""`sweeper reproduce`: a tracked run trained again, with the same numbers or a word on what differs."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sweeper.tracking.agreement import changed_tags
from sweeper.tracking.workspace import Workspace
from tests.sweep.accounts import check_accounts
from tests.sweep.conftest import CommandLine, prepare_folder
from tests.sweep.studies import write_study

INLINE = ("--launcher", "inline")
AUGMENTED = {
    "data": {"name": "digits", "validation": 0.2, "augment": [{"name": "rotation", "degrees": 10}]},
    "model": {"name": "cnn", "blocks": [{"channels": {"int": [4, 8]}, "pool": 2}], "hidden": [], "dropout": 0.2},
    "training": {
        "epochs": 3,
        "batch_size": 128,
        "schedule": {"name": "cosine"},
        "optimizer": {"name": "adam", "lr": {"float": [1e-3, 1e-2], "log": True}},
    },
}


def search(cli: CommandLine, **parts: Any) -> None:
    write_study(cli.folder, **{"trials": 2, "keep_models": 1, **parts})
    cli.call("start", "tiny.yaml", *INLINE, "--devices", "cpu", "--quiet")


def reproduce(cli: CommandLine, run: str, *, exit_code: int = 0) -> dict[str, Any]:
    printed = cli.call("reproduce", run, *INLINE, "--json", exit_code=exit_code)
    result: dict[str, Any] = json.loads(printed[printed.index("{") :])
    return result


def change(cli: CommandLine, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(cli.folder / "mlflow.db")) as database, database:
        assert database.execute(statement, values).rowcount > 0


def test_the_numbers_agree_to_the_last_bit(cli: CommandLine) -> None:
    search(cli, trial=AUGMENTED)
    searched = check_accounts(cli.folder, n_trials=2)
    said = cli.call("reproduce", "tiny/1", *INLINE)
    assert "training tiny/1 again on the CPU with 1 thread, as tiny.reproduced/0" in said
    assert "identical: tiny/1 and tiny.reproduced/0 agree in 3 epochs of 30 metrics to the last bit" in said
    found = check_accounts(cli.folder, "tiny.reproduced", n_trials=1)
    (again,), source = found.trials, searched.trials[1]
    assert again.params == source.params
    assert again.tags["sweeper.source_run"] == source.run_id
    assert again.tags["sweeper.agrees"] == "true"
    for metric in ("train/loss", "val/accuracy", "val/loss", "lr"):
        assert again.rows[metric] == source.rows[metric]
    # It is no trial of the search, and asking again is another training.
    assert len(json.loads(cli.call("runs", "tiny", "--json"))) == 2
    result = reproduce(cli, source.run_id or "")
    assert (result["run"], result["reproduced"]) == ("tiny/1", "tiny.reproduced/1")
    assert result["is_identical"]
    assert result["n_epochs"] == [3, 3]
    assert [change for change in result["changes"] if change["what"] != "changes beside the commit"] == []
    check_accounts(cli.folder, "tiny.reproduced", n_trials=2)
    # All of them keep their models, also of a run that kept none.
    for number in (0, 1):
        assert "is version" in cli.call("register", f"tiny.reproduced/{number}", f"digits-{number}")
    assert "tiny.reproduced" in cli.call("delete", "tiny", "--yes")


def test_what_differs_is_listed(cli: CommandLine) -> None:
    search(cli)
    run_id = check_accounts(cli.folder, n_trials=2).trials[0].run_id
    # As if it had been trained elsewhere, and with another result in the second epoch.
    change(cli, "UPDATE tags SET value = '1.0.0' WHERE run_uuid = ? AND key = 'sweeper.torch'", run_id)
    change(cli, "UPDATE metrics SET value = value + 0.25 WHERE run_uuid = ? AND key = 'val/loss' AND step = 2", run_id)
    said = cli.call("reproduce", "tiny/0", *INLINE, exit_code=1)
    assert "not as it was: torch 1.0.0 → " in said
    assert "agree up to epoch 1 and not in 1 of 2 epochs, by 0.25 at most (val/loss, epoch 2)" in said
    result = reproduce(cli, "tiny/0", exit_code=1)
    assert [epoch["n_differing"] for epoch in result["epochs"]] == [0, 1]
    assert result["epochs"][1]["worst"] == "val/loss"
    assert {"what": "torch", "before": "1.0.0"}.items() <= result["changes"][0].items()
    tags = [trial.tags["sweeper.agrees"] for trial in check_accounts(cli.folder, "tiny.reproduced", n_trials=2).trials]
    assert tags == ["false", "false"]


def test_a_pruned_run_is_compared_as_far_as_it_goes(cli: CommandLine) -> None:
    search(cli, trials=6, epochs=3, pruner={"name": "median", "n_startup_trials": 2, "min_epochs": 1})
    pruned = [trial for trial in check_accounts(cli.folder, n_trials=6).trials if trial.state == "PRUNED"]
    assert pruned
    result = reproduce(cli, f"tiny/{pruned[0].number}")
    n_epochs = len(pruned[0].rows["val/loss"])
    assert result["n_epochs"] == [n_epochs, 3]
    assert len(result["epochs"]) == n_epochs


def test_it_goes_on_after_a_crash(cli: CommandLine) -> None:
    search(cli)
    cli.environment["SWEEPER_FAILPOINTS"] = "attempt.epoch_recorded=kill"
    cli.run("reproduce", "tiny/0", *INLINE, exit_code=-9)
    del cli.environment["SWEEPER_FAILPOINTS"]
    refused = cli.call("reproduce", "tiny/1", *INLINE, exit_code=2)
    assert "the reproduction of tiny/0 was stopped; go on with it first: sweeper reproduce tiny/0" in refused
    assert reproduce(cli, "tiny/0")["reproduced"] == "tiny.reproduced/0"
    check_accounts(cli.folder, "tiny.reproduced", n_trials=1)


def test_mlflow_is_enough(cli: CommandLine, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Another workspace, which has neither the study nor its files."""
    search(cli, trials=1)
    other = tmp_path / "other"
    other.mkdir()
    prepare_folder(tmp_path_factory, other)
    shutil.copy(cli.folder / "mlflow.db", other / "mlflow.db")
    elsewhere = CommandLine(other, Path(cli.environment["SWEEPER_CACHE"]))
    assert reproduce(elsewhere, "tiny")["is_identical"]
    check_accounts(other, "tiny.reproduced", n_trials=1)


def test_what_cannot_be_reproduced_is_said(cli: CommandLine, workspace: Workspace) -> None:
    search(cli)
    runs = check_accounts(cli.folder, n_trials=2).trials
    assert "no trial 7 in tiny" in cli.call("reproduce", "tiny/7", exit_code=2)
    assert "given .cuda:9." in cli.call("reproduce", "tiny/0", "--device", "cuda:9", exit_code=2).replace("'", ".")
    set_tag = "UPDATE tags SET value = ? WHERE run_uuid = ? AND key = ?"
    change(cli, set_tag, "cuda:7", runs[0].run_id, "sweeper.device")
    said = cli.call("reproduce", "tiny/0", exit_code=2)
    assert "was trained on cuda:7" in said
    assert "--device cpu trains it elsewhere" in said
    change(cli, set_tag, "other", runs[1].run_id, "sweeper.data_fingerprint")
    assert "have changed since" in cli.call("reproduce", "tiny/1", exit_code=2)
    change(cli, set_tag, "FAIL", runs[1].run_id, "sweeper.state")
    assert "tiny/1 is FAIL; allowed: runs that are COMPLETE or PRUNED" in cli.call("reproduce", "tiny/1", exit_code=2)
    assert not (cli.folder / ".sweeper" / "tiny.reproduced").exists()


def test_what_is_not_as_it_was_is_in_words() -> None:
    before = {"sweeper.commit": "1f0c2ab", "sweeper.dirty": "true", "sweeper.torch": "2.13.0"}
    now = {"sweeper.dirty": "false", "sweeper.torch": "2.14.1"}
    assert [str(change) for change in changed_tags(before, now)] == [
        "commit 1f0c2ab → not recorded",
        "changes beside the commit some → none",
        "torch 2.13.0 → 2.14.1",
    ]
