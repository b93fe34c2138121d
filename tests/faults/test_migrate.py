"""Moving a study from SQLite to PostgreSQL in the middle of its sweep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sweeper.tracking.workspace import read_json
from tests.faults.postgres import Databases
from tests.sweep.accounts import check_accounts, read_accounts
from tests.sweep.conftest import INLINE, CommandLine
from tests.sweep.studies import write_study

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture
def begun(cli: CommandLine) -> CommandLine:
    """A workspace with a study of 4 trials of which 2 are done, and another that is done."""
    for name, n_trials in (("tiny", 2), ("other", 1)):
        write_study(cli.folder, name, trials=n_trials, epochs=2, keep_models=1, pruner="median")
        cli.call("start", f"{name}.yaml", *INLINE, "--quiet")
    return cli


def move(cli: CommandLine, databases: Databases) -> dict[str, Any]:
    cli.environment |= databases.environment()
    moved: dict[str, Any] = json.loads(cli.call("migrate", "--json"))
    return moved


def test_a_study_goes_on_where_it_was_moved(begun: CommandLine, databases: Databases) -> None:
    cli = begun
    before = {name: read_accounts(cli.folder, name) for name in ("tiny", "other")}
    runs = json.loads(cli.call("runs", "tiny", "--json"))
    moved = move(cli, databases)
    assert (moved["studies"], moved["n_trials"]) == (["other", "tiny"], 3)
    assert moved["n_rows"] > 50
    urls = {"optuna_db": databases.optuna, "mlflow_db": databases.mlflow}
    for name, accounts in before.items():
        assert read_accounts(cli.folder, name, **urls) == accounts
    assert json.loads(cli.call("runs", "tiny", "--json")) == runs

    cli.call("start", "tiny.yaml", "--trials", "2", *INLINE, "--quiet")
    check_accounts(cli.folder, "tiny", n_trials=4, **urls)
    assert "no faults" in cli.call("doctor")
    cli.call("report", "tiny", "other", "--format", "html", "--out", "report")

    # Said again, nothing is copied; the files are as they were, and nobody goes on with them by mistake.
    with pytest.raises(AssertionError, match="is not empty"):
        move(cli, databases)
    for name in databases.environment():
        del cli.environment[name]
    assert {name: read_accounts(cli.folder, name) for name in before} == before
    refused = cli.call("start", "tiny.yaml", "--trials", "1", *INLINE, exit_code=2)
    assert "is tracked in postgresql+psycopg://postgres@127.0.0.1" in refused


def test_an_end_that_is_missing_is_made_up_for(begun: CommandLine, databases: Databases) -> None:
    move(begun, databases)
    (bound,) = begun.folder.glob(".sweeper/tiny/*/tracker.json")
    bound.write_text('{"uri": "mlflow.db of the workspace"}')  # as after a kill before the last step
    assert move(begun, databases)["n_rows"] == 0
    assert "postgresql" in read_json(bound)["uri"]


def test_what_cannot_be_moved(cli: CommandLine, databases: Databases, tmp_path: Path) -> None:
    cli.environment |= databases.environment()
    assert "no studies to move" in cli.call("migrate", exit_code=2)
    for name in databases.environment():
        del cli.environment[name]
    write_study(cli.folder, trials=1, epochs=1)
    cli.call("start", "tiny.yaml", *INLINE, "--quiet")
    assert "set them to those that the studies are to move to" in cli.call("migrate", exit_code=2)
    cli.environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:1"
    assert "name that in MLFLOW_BACKEND_STORE_URI too" in cli.call("migrate", exit_code=2)
    cli.environment |= databases.environment() | {"SWEEPER_STORAGE": "postgresql+psycopg://postgres@127.0.0.1:1/none"}
    assert "127.0.0.1:1" in cli.call("migrate", exit_code=2)
    accounts = check_accounts(cli.folder, n_trials=1)
    assert accounts.trials[0].state == "COMPLETE"
