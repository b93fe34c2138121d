"""Accounts that PostgreSQL turns away, or lets only read: told at once, without the password, nothing half-written."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from sweeper.denials import denial_of
from tests.faults.postgres import Databases, PostgresServer
from tests.sweep.accounts import check_accounts, query
from tests.sweep.conftest import GUARD_SECONDS, INLINE, CommandLine, wait_until
from tests.sweep.studies import write_study

pytestmark = pytest.mark.xdist_group("postgres")

PASSWORD = "correct-horse-battery"
WRONG = "hunter2-hunter2"


@pytest.fixture(scope="module")
def reader(postgres: PostgresServer) -> str:
    """A role that has to give its password."""
    postgres.execute(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    rules = postgres.folder / "data" / "pg_hba.conf"
    rules.write_text(f"host all reader 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
    postgres.execute("SELECT pg_reload_conf()")
    return "reader"


def with_account(url: str, user: str, password: str) -> str:
    return url.replace("postgres@", f"{user}:{password}@")


@pytest.mark.parametrize("command", [("start", "tiny.yaml"), ("status",)])
def test_a_wrong_password(
    command: tuple[str, ...], machine: Callable[[str], CommandLine], databases: Databases, reader: str
) -> None:
    cli = machine("laptop")
    write_study(cli.folder)
    cli.environment["SWEEPER_STORAGE"] = with_account(databases.optuna, reader, WRONG)
    output = cli.call(*command, exit_code=2)
    assert 'password authentication failed for user "reader"' in output
    assert WRONG not in output
    assert "Traceback" not in output


def test_an_account_that_may_only_read(
    machine: Callable[[str], CommandLine], postgres: PostgresServer, databases: Databases, reader: str
) -> None:
    cli = machine("laptop")
    write_study(cli.folder, trials=1, epochs=1)
    cli.call("start", "tiny.yaml", *INLINE)
    name = databases.optuna.rpartition("/")[2]
    postgres.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}", name)
    before = postgres.execute("SELECT study_name FROM studies", name)

    cli.environment["SWEEPER_STORAGE"] = with_account(databases.optuna, reader, PASSWORD)
    assert "tiny" in cli.call("status")
    write_study(cli.folder, "other")
    output = cli.call("start", "other.yaml", exit_code=2)
    assert "permission denied for" in output
    assert PASSWORD not in output
    assert postgres.execute("SELECT study_name FROM studies", name) == before


def test_mlflows_database(
    machine: Callable[[str], CommandLine], postgres: PostgresServer, databases: Databases, reader: str
) -> None:
    cli = machine("laptop")
    write_study(cli.folder, trials=1, epochs=1)
    cli.environment["MLFLOW_TRACKING_URI"] = with_account(databases.mlflow, reader, WRONG)
    for command in (("start", "tiny.yaml"), ("best", "tiny")):
        output = cli.call(*command, exit_code=2)
        assert "error: MLflow's database postgresql+psycopg://reader:***@127.0.0.1" in output
        assert 'denies access: password authentication failed for user "reader"; ' in output
        assert "MLFLOW_TRACKING_URI" in output
        assert WRONG not in output
    name = databases.mlflow.rpartition("/")[2]
    postgres.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}", name)
    cli.environment["MLFLOW_TRACKING_URI"] = with_account(databases.mlflow, reader, PASSWORD)
    output = cli.call("start", "tiny.yaml", exit_code=2)
    assert "lets the account 'reader' only read" in output
    assert PASSWORD not in output
    assert cli.call("status", "--json").strip() == "[]", "a study was stored"

    cli.environment["MLFLOW_TRACKING_URI"] = databases.mlflow
    cli.call("start", "tiny.yaml", *INLINE)
    seen = cli.call("best", "tiny", "--json")
    cli.environment["MLFLOW_TRACKING_URI"] = with_account(databases.mlflow, reader, PASSWORD)
    assert cli.call("best", "tiny", "--json") == seen


@pytest.mark.parametrize("what", ["optuna", "mlflow"])
def test_access_that_is_taken_away_in_the_middle(
    machine: Callable[[str], CommandLine], postgres: PostgresServer, databases: Databases, what: str
) -> None:
    """The sweep ends where it is; with its rights again it goes on, and nothing is missing or there twice."""
    cli, account = machine("laptop"), f"{what}_writer"
    postgres.execute(f"CREATE ROLE {account} LOGIN")
    for url in (databases.optuna, databases.mlflow):
        postgres.execute(f"GRANT ALL ON SCHEMA public TO {account}", url.rpartition("/")[2])
        postgres.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {account}", url.rpartition("/")[2])
        postgres.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {account}", url.rpartition("/")[2])
    variable = {"optuna": "SWEEPER_STORAGE", "mlflow": "MLFLOW_TRACKING_URI"}[what]
    url = cli.environment[variable]
    cli.environment[variable] = url.replace("postgres@", f"{account}@")
    write_study(cli.folder, trials=4, epochs=6)
    cli.slow_down(1.0)
    driver = cli.begin("start", "tiny.yaml", "--workers", "1", "--checkpoint-seconds", "0")

    def has_row() -> bool:
        return driver.poll() is not None or bool(query(databases.mlflow, "SELECT count(*) FROM metrics")[0][0])

    wait_until(has_row, "a row of the first trial")
    assert driver.poll() is None, driver.communicate()[0]
    postgres.execute(f"ALTER ROLE {account} NOLOGIN")
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{account}'")
    output, _ = driver.communicate(timeout=GUARD_SECONDS)
    assert driver.returncode == 2, output
    *_, message = output.splitlines()
    assert f'role "{account}" is not permitted to log in; see to user and password in {variable}' in message
    assert "its results are safe on disk, and `sweeper resume tiny` goes on from them" in message
    assert "Traceback" not in output

    del cli.environment["SWEEPER_FAILPOINTS"]
    assert "is not permitted to log in" in cli.call("resume", "tiny", exit_code=2)
    postgres.execute(f"ALTER ROLE {account} LOGIN")
    cli.call("resume", "tiny", *INLINE)
    trials = check_accounts(cli.folder, n_trials=4, mlflow_db=databases.mlflow, optuna_db=databases.optuna).trials
    assert {trial.state for trial in trials} == {"COMPLETE"}


def test_a_server_that_is_down_denies_nothing() -> None:
    with pytest.raises(psycopg.OperationalError) as raised:
        psycopg.connect("postgresql://reader@127.0.0.1:1/optuna")
    assert denial_of(raised.value) is None
