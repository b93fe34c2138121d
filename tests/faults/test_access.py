"""Accounts that PostgreSQL turns away, or lets only read: told at once, without the password, nothing half-written."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from sweeper.denials import denial_of
from tests.faults.postgres import Databases, PostgresServer
from tests.sweep.conftest import CommandLine
from tests.sweep.studies import write_study

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
    cli.run("start", "tiny.yaml", "--workers", "1")
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


def test_a_server_that_is_down_denies_nothing() -> None:
    with pytest.raises(psycopg.OperationalError) as raised:
        psycopg.connect("postgresql://reader@127.0.0.1:1/optuna")
    assert denial_of(raised.value) is None
