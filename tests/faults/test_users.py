"""Several users with machines of their own, on one PostgreSQL server and one MLflow server with accounts."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable

import pytest

from tests.faults.postgres import Databases, PostgresServer
from tests.sweep.accounts import check_accounts, query
from tests.sweep.conftest import GUARD_SECONDS, CommandLine, wait_until
from tests.sweep.studies import write_study
from tests.tracking.mlflow_server import AccountsServer

pytestmark = pytest.mark.xdist_group("accounts")


def on_host(name: str) -> tuple[str, ...]:
    """Words that give a command a host name of its own; none where the system does not allow that."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return ()
    words = (unshare, "--uts", "sh", "-c", f'hostname {name} && exec "$0" "$@"')
    tried = subprocess.run([*words, "hostname"], capture_output=True, text=True)
    return words if tried.stdout.strip() == name else ()


def test_several_studies_at_once(
    machine: Callable[[str], CommandLine],
    postgres: PostgresServer,
    databases: Databases,
    accounts_server: AccountsServer,
) -> None:
    server = accounts_server
    users = {"ada": ("ada-first", "ada-second"), "ben": ("ben-first",)}
    hosts, drivers = {}, {}
    for user, names in users.items():
        cli = machine(user)
        cli.prefix = on_host(f"host-of-{user}")
        hosts[user] = f"host-of-{user}" if cli.prefix else socket.gethostname()
        cli.environment |= {"MLFLOW_TRACKING_URI": server.url, "LOGNAME": user, **server.add_user(user).environment()}
        cli.hold()
        for name in names:
            write_study(cli.folder, name, trials=2, epochs=3)
            log = cli.folder / f"{name}.log"
            drivers[name] = (user, cli, cli.begin("start", f"{name}.yaml", "--workers", "1", log=log), log)

    # Somebody else, who may only read, and has nothing but the addresses.
    postgres.execute("CREATE ROLE eve LOGIN")
    eve = machine("eve")
    eve.environment |= {"MLFLOW_TRACKING_URI": server.url, "LOGNAME": "eve", **server.add_user("eve").environment()}
    optuna = databases.optuna.rpartition("/")[2]

    def all_run() -> bool:
        for _, _, driver, log in drivers.values():
            assert driver.poll() is None, log.read_text()
        statuses = json.loads(machine_of_admin.call("status", "--json"))
        tracked = {name for (name,) in query(server.database_url, "SELECT name FROM experiments")}
        return [s["state"] for s in statuses if s["n_running"]] == ["running"] * 3 and tracked >= set(drivers)

    machine_of_admin = machine("admin")
    wait_until(all_run, "all studies to run")
    postgres.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO eve", optuna)
    eve.environment["SWEEPER_STORAGE"] = databases.optuna.replace("postgres@", "eve@")
    seen = {status["name"]: status for status in json.loads(eve.call("status", "--json"))}
    shown = eve.call("status")
    for name, (user, _, driver, _) in drivers.items():
        owner = seen[name]["owner"]
        assert (owner["host"], owner["user"], owner["pid"]) == (hosts[user], user, driver.pid)
        assert (seen[name]["user"], seen[name]["state"]) == (user, "running")
        assert (
            f"{name} is driven by pid {driver.pid} on {hosts[user]}, since {owner['since']}, started by {user}" in shown
        )
    assert shown.splitlines()[0].split()[-1] == "user"

    ben = drivers["ben-first"][1]
    output = ben.call("resume", "ada-first", exit_code=2)
    assert "refuses the account 'ben' the request experiments/set-experiment-tag" in output
    assert "is driven from another workspace, by pid" in ben.call("stop", "ada-first", exit_code=1)

    for _, cli, driver, log in drivers.values():
        cli.release()
        assert driver.wait(GUARD_SECONDS) == 0, log.read_text()
    for name, (_, cli, _, _) in drivers.items():
        check_accounts(cli.folder, name, n_trials=2, mlflow_db=server.database_url, optuna_db=databases.optuna)
        assert len(json.loads(eve.call("runs", name, "--json"))) == 2
    assert {(s["state"], s["owner"]) for s in json.loads(eve.call("status", "--json"))} == {("finished", None)}
