"""The accounts of a sweep: Optuna's and MLflow's databases, read as they lie on disk, held against each other."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

STATUS_OF_STATE = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED", "WAITING": "SCHEDULED"}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial in both databases."""

    number: int
    state: str
    value: float | None
    run_id: str | None
    """None for a trial that was never dispatched."""
    status: str
    end_time: int | None
    params: dict[str, str]
    tags: dict[str, str]
    rows: dict[str, list[tuple[int, float]]]
    """Rows of each metric: epoch and value."""
    reports: list[tuple[int, float]]
    """What Optuna has of the objective: epoch and value."""


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """All of a study."""

    trials: list[Trial]
    parent_status: str
    uuid: str


def query(database: Path | str, sql: str, *values: Any) -> list[Any]:
    """Rows of a database that another process may be writing: a SQLite file, or the URL of a PostgreSQL database."""
    if isinstance(database, str):
        with psycopg.connect(database.replace("+psycopg", "")) as connected:
            return connected.execute(sql.replace("?", "%s").encode(), values).fetchall()
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        return connection.execute(sql, values).fetchall()


def read_accounts(
    folder: Path, name: str = "tiny", mlflow_db: Path | str | None = None, optuna_db: Path | str | None = None
) -> Accounts:
    """What both databases hold of a study; fails where they hold anything twice."""
    mlflow_db = mlflow_db or folder / "mlflow.db"
    optuna_db = optuna_db or folder / "optuna.db"
    tags: dict[str, dict[str, str]] = defaultdict(dict)
    params: dict[str, dict[str, str]] = defaultdict(dict)
    of_study = "JOIN runs r USING (run_uuid) JOIN experiments e USING (experiment_id) WHERE e.name = ?"
    for run_id, key, value in query(mlflow_db, f"SELECT run_uuid, key, value FROM tags t {of_study}", name):
        tags[run_id][key] = value
    for run_id, key, value in query(mlflow_db, f"SELECT run_uuid, key, value FROM params t {of_study}", name):
        params[run_id][key] = value
    runs = {
        run_id: (status, end)
        for run_id, status, end in query(
            mlflow_db,
            "SELECT run_uuid, status, end_time FROM runs r JOIN experiments e USING (experiment_id) "
            "WHERE e.name = ? AND r.lifecycle_stage = 'active'",
            name,
        )
    }
    parents = [run_id for run_id in runs if tags[run_id].get("sweeper.role") == "study"]
    assert len(parents) == 1, f"{len(parents)} parent runs"
    uuid = tags[parents[0]]["sweeper.study_uuid"]
    run_of: dict[int, str] = {}
    for run_id in runs.keys() - set(parents):
        key_uuid, _, number = tags[run_id]["sweeper.trial"].partition("/")
        assert key_uuid == uuid
        assert int(number) not in run_of, f"two runs of trial {number}"
        assert tags[run_id]["mlflow.parentRunId"] == parents[0]
        run_of[int(number)] = run_id
    rows: dict[str, dict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    for run_id, key, step, value in query(
        mlflow_db, f"SELECT run_uuid, key, step, value FROM metrics m {of_study} ORDER BY key, step", name
    ):
        rows[run_id][key].append((step, value))
    reports: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for number, step, value in query(
        optuna_db,
        "SELECT t.number, i.step, i.intermediate_value FROM trial_intermediate_values i JOIN trials t USING (trial_id) "
        "JOIN studies s USING (study_id) WHERE s.study_name = ? ORDER BY i.step",
        name,
    ):
        reports[number].append((step, value))
    trials = []
    for number, state, value in query(
        optuna_db,
        "SELECT t.number, t.state, v.value FROM trials t JOIN studies s USING (study_id) "
        "LEFT JOIN trial_values v USING (trial_id) WHERE s.study_name = ? ORDER BY t.number",
        name,
    ):
        run_id = run_of.pop(number, None)
        status, end_time = runs[run_id] if run_id else ("", None)
        trials.append(
            Trial(
                number=number,
                state=state,
                value=value,
                run_id=run_id,
                status=status,
                end_time=end_time,
                params=params[run_id or ""],
                tags=tags[run_id or ""],
                rows=dict(rows[run_id or ""]),
                reports=reports[number],
            )
        )
    assert not run_of, f"runs without a trial: {run_of}"
    return Accounts(trials=trials, parent_status=runs[parents[0]][0], uuid=uuid)


def check_accounts(
    folder: Path,
    name: str = "tiny",
    *,
    n_trials: int,
    mlflow_db: Path | str | None = None,
    optuna_db: Path | str | None = None,
    finished: bool = True,
    metric: str = "val/accuracy",
) -> Accounts:
    """Everything that must hold when nobody drives a study: each trial once, each row once, both sides agree. `metric`
    is the study's objective."""
    accounts = read_accounts(folder, name, mlflow_db, optuna_db)
    if finished:
        assert len(accounts.trials) == n_trials
        assert accounts.parent_status == "FINISHED"
    else:
        assert len(accounts.trials) <= n_trials
        assert accounts.parent_status == "SCHEDULED"
    assert [trial.number for trial in accounts.trials] == list(range(len(accounts.trials)))
    for trial in accounts.trials:
        assert trial.state in (STATUS_OF_STATE.keys() - {"WAITING"} if finished else STATUS_OF_STATE), trial
        if trial.run_id is None:
            assert trial.state == "WAITING", f"trial {trial.number} is {trial.state} and has no run"
            continue
        assert trial.status == STATUS_OF_STATE[trial.state], f"trial {trial.number}: {trial.state}, {trial.status}"
        assert trial.tags["sweeper.state"] == trial.state
        assert (trial.end_time is None) == (trial.state == "WAITING")
        for tracked, rows in trial.rows.items():
            epochs = [epoch for epoch, _ in rows]
            assert epochs == list(range(1, len(epochs) + 1)), f"trial {trial.number}, {tracked}: epochs {epochs}"
        if trial.state == "COMPLETE":
            assert trial.rows["objective"][-1][1] == trial.value
        if trial.state == "COMPLETE" and "training.epochs" in trial.params:  # trained by sweeper's own loop
            assert int(trial.params["training.epochs"]) == len(trial.rows["val/accuracy"])
            assert max(value for _, value in trial.rows["val/accuracy"]) == trial.value
        if trial.state in ("COMPLETE", "PRUNED"):
            assert trial.reports == trial.rows[metric], f"trial {trial.number}: what later pruning goes by"
    return accounts
