"""A real MLflow server with accounts: wrong ones, none, those that may only read, and those that are taken away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import sweeper
from sweeper.errors import AccessError
from sweeper.study.study import Study
from sweeper.sweep.progress import TrialEnded
from sweeper.sweep.record import sync_study
from sweeper.sweep.store import open_store
from sweeper.tracking.recording import study_status, unsent_trials
from tests.sweep.accounts import check_accounts, query
from tests.sweep.conftest import GUARD_SECONDS, INLINE, CommandLine, open_workspace, wait_until
from tests.sweep.studies import study_dict, write_study
from tests.sweep.test_sweeps import Watcher
from tests.tracking.mlflow_server import Account, AccountsServer

pytestmark = pytest.mark.xdist_group("accounts")

WRONG = "hunter2-hunter2"
BY_VARIABLES = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN)"


@pytest.fixture(scope="module")
def server(accounts_server: AccountsServer) -> AccountsServer:
    return accounts_server


@pytest.fixture(scope="module")
def writer(server: AccountsServer) -> Account:
    return server.add_user("writer")


@pytest.fixture(scope="module")
def reader(server: AccountsServer) -> Account:
    return server.add_user("reader")


@pytest.fixture
def remote(cli: CommandLine, server: AccountsServer) -> CommandLine:
    """The command line, with the server, and without an account."""
    cli.environment["MLFLOW_TRACKING_URI"] = server.url
    return cli


def experiments_of(server: AccountsServer) -> list[str]:
    return sorted(name for (name,) in query(server.database_url, "SELECT name FROM experiments"))


def refused(cli: CommandLine, *command: str) -> str:
    """What is said by a command that must fail: one message, and no more."""
    output = cli.call(*command, exit_code=2)
    assert output.startswith("error: the MLflow server http://"), output
    assert output.count("\n") == 1, output
    return output


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "there is no MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD; "),
        ({"MLFLOW_TRACKING_USERNAME": "writer"}, "there is no MLFLOW_TRACKING_PASSWORD; "),
        (
            {"MLFLOW_TRACKING_USERNAME": "writer", "MLFLOW_TRACKING_PASSWORD": WRONG},
            "does not accept the user name 'writer' with this password (401); ",
        ),
        ({"MLFLOW_TRACKING_TOKEN": WRONG}, "does not accept the token of MLFLOW_TRACKING_TOKEN (401); "),
    ],
)
@pytest.mark.parametrize("command", [("start", "tiny.yaml"), ("best", "tiny"), ("runs", "tiny"), ("report", "tiny")])
def test_credentials_that_are_wrong_or_missing(
    remote: CommandLine,
    server: AccountsServer,
    writer: Account,
    command: tuple[str, ...],
    environment: dict[str, str],
    said: str,
) -> None:
    write_study(remote.folder)
    remote.environment |= environment
    before = experiments_of(server)
    output = refused(remote, *command)
    assert said in output
    assert BY_VARIABLES in output
    assert WRONG not in output
    assert experiments_of(server) == before
    assert remote.call("status", "--json").strip() == "[]"
    assert not (remote.folder / ".sweeper").exists()


def test_a_password_in_the_address_is_not_shown(remote: CommandLine, server: AccountsServer, writer: Account) -> None:
    write_study(remote.folder)
    remote.environment["MLFLOW_TRACKING_URI"] = server.url.replace("://", f"://writer:{WRONG}@")
    output = refused(remote, "start", "tiny.yaml")
    assert "http://writer:***@127.0.0.1" in output
    assert WRONG not in output


def test_an_account_that_may_only_read(
    remote: CommandLine, server: AccountsServer, writer: Account, reader: Account
) -> None:
    remote.environment |= writer.environment()
    write_study(remote.folder, "shared", trials=2, epochs=2, keep_models=1)
    remote.call("start", "shared.yaml", *INLINE)
    seen = remote.call("best", "shared", "--json")

    remote.environment |= reader.environment()
    assert remote.call("best", "shared", "--json") == seen
    assert len(json.loads(remote.call("runs", "shared", "--json"))) == 2
    remote.call("report", "shared", "--format", "html", "--out", "by-reader")
    remote.environment |= writer.environment()
    remote.call("report", "shared", "--format", "html", "--out", "by-writer")
    pages = [(remote.folder / folder / "index.html").read_bytes() for folder in ("by-reader", "by-writer")]
    assert pages[0] == pages[1]

    remote.environment |= reader.environment()
    runs = query(server.database_url, "SELECT * FROM runs")
    tags = query(server.database_url, "SELECT * FROM experiment_tags")
    for command in (
        ("start", "shared.yaml", "--trials", "1"),
        ("resume", "shared", "--trials", "1"),
        ("promote", "shared", "--epochs", "3"),
        ("finalize", "shared", "--top", "1", "--seeds", "1"),
        ("register", "shared", "model"),
    ):
        output = refused(remote, *command)
        assert "refuses the account 'reader' the request" in output, output
        assert "Permission denied (403); have the server's administrator grant it, or " + BY_VARIABLES in output
        assert reader.password not in output
    attached = remote.call("report", "shared", "--section", "study", "--attach", exit_code=2)
    assert "refuses the account 'reader' the request mlflow-artifacts/artifacts" in attached
    (status,) = json.loads(remote.call("status", "--json"))
    assert (status["name"], status["n_trials"], status["n_complete"], status["n_left"]) == ("shared", 2, 2, 0)
    assert query(server.database_url, "SELECT * FROM runs") == runs
    assert query(server.database_url, "SELECT * FROM experiment_tags") == tags
    assert query(server.database_url, "SELECT * FROM registered_models") == []


@pytest.mark.parametrize("how", ["password", "grant"])
def test_access_that_is_taken_away_in_the_middle(cli: CommandLine, server: AccountsServer, how: str) -> None:
    """The sweep ends where it is, and another account, or the same with its rights again, goes on with it."""
    name = f"taken-{how}"
    account = server.add_user(name)
    cli.environment |= {"MLFLOW_TRACKING_URI": server.url, **account.environment()}
    write_study(cli.folder, name, trials=4, epochs=6)
    cli.slow_down(1.0)
    driver = cli.begin("start", f"{name}.yaml", "--workers", "1", "--checkpoint-seconds", "0")
    database = server.database_url

    def n_rows() -> int:
        ((n,),) = query(
            database,
            "SELECT count(*) FROM metrics m JOIN runs r USING (run_uuid) JOIN experiments e USING (experiment_id) "
            "WHERE e.name = ?",
            name,
        )
        return int(n)

    wait_until(lambda: driver.poll() is not None or n_rows(), "rows of the first trial")
    assert driver.poll() is None, driver.communicate()[0]
    if how == "password":
        account = server.change_password(account)
        said = f"does not accept the user name '{name}' with this password (401)"
    else:
        server.revoke(account, name)
        said = f"refuses the account '{name}' the request "
    output, _ = driver.communicate(timeout=GUARD_SECONDS)
    assert driver.returncode == 2, output
    *_, message = output.splitlines()
    assert said in message
    assert f"its results are safe on disk, and `sweeper resume {name}` goes on from them" in message
    assert "Traceback" not in output
    assert "held up" not in output
    (status,) = json.loads(cli.call("status", "--json"))
    assert status["state"] == "stopped"
    assert status["n_left"] > 0

    del cli.environment["SWEEPER_FAILPOINTS"]
    if how == "password":
        assert said in refused(cli, "resume", name)
        cli.environment |= account.environment()
    else:
        assert "refuses the account" in refused(cli, "sync", name)
        server.let_write(account, name)
    cli.call("resume", name, *INLINE)
    trials = check_accounts(cli.folder, name, n_trials=4, mlflow_db=database).trials
    assert {trial.state for trial in trials} == {"COMPLETE"}


def test_access_that_is_taken_away_before_the_last_rows(
    folder: Path, cache_dir: Path, server: AccountsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = server.add_user("late")
    for name, value in account.environment().items():
        monkeypatch.setenv(name, value)
    workspace = open_workspace(folder, cache_dir, {"MLFLOW_TRACKING_URI": server.url})

    def take_away(trial: TrialEnded) -> None:
        if trial.number == 1:
            server.revoke(account, "late")
        else:  # a slow server is some trials behind, and the right to write to nothing cannot be taken away
            wait_until(lambda: "late" in experiments_of(server), "the study in MLflow")

    study = Study.model_validate(study_dict("late", trials=2))
    with pytest.raises(AccessError, match=r"refuses the account .late..* `sweeper resume late` goes on"):
        sweeper.start(study, launcher="inline", workspace=workspace, view=Watcher(take_away))
    server.let_write(account, "late")
    files = workspace.study_files("late", open_store(workspace).read("late").uuid)
    n_unsent = len(unsent_trials(files))
    assert study_status(files) != "FINISHED"
    assert sync_study(workspace, "late") == n_unsent
    check_accounts(folder, "late", n_trials=2, mlflow_db=server.database_url)


def test_an_account_may_have_studies_of_its_own(
    folder: Path, cache_dir: Path, server: AccountsServer, reader: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in reader.environment().items():
        monkeypatch.setenv(name, value)
    workspace = open_workspace(folder, cache_dir, {"MLFLOW_TRACKING_URI": server.url})
    study = Study.model_validate(study_dict("own", trials=1))
    assert sweeper.start(study, launcher="inline", workspace=workspace).finished
    check_accounts(folder, "own", n_trials=1, mlflow_db=server.database_url)
