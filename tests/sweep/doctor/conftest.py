"""Copies of a finished sweep, to be broken."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from sweeper.sweep.doctor.examine import examine_workspace
from sweeper.sweep.doctor.finding import Finding
from sweeper.sweep.store import open_store
from sweeper.tracking.workspace import StudyFiles, TrialFiles, read_json
from tests.sweep.accounts import check_accounts
from tests.sweep.conftest import CommandLine, open_workspace

N_TRIALS = 8


class Patient:
    """A workspace with a finished study `tiny`, and hands to break it."""

    def __init__(self, folder: Path, cache_dir: Path) -> None:
        self.folder = folder
        self.workspace = open_workspace(folder, cache_dir)
        self.client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")

    @property
    def files(self) -> StudyFiles:
        return self.workspace.study_files("tiny", open_store(self.workspace).read("tiny").uuid)

    def trial(self, number: int) -> TrialFiles:
        return self.files.trial(number)

    def run_id(self, number: int) -> str:
        return str(read_json(self.trial(number).tracked)["run_id"])

    @property
    def parent_id(self) -> str:
        return str(read_json(self.files.tracked)["run_id"])

    @property
    def experiment_id(self) -> str:
        return str(read_json(self.files.tracked)["experiment_id"])

    def sql(self, database: str, statement: str, *values: Any) -> None:
        """Change a database behind everyone's back."""
        with closing(sqlite3.connect(self.folder / database, timeout=60)) as connection, connection:
            changed = connection.execute(statement, values).rowcount
        assert changed, f"nothing changed: {statement}"

    def problems(self) -> list[Finding]:
        """What the doctor finds amiss; looking changes nothing."""
        before = contents(self.folder)
        examination = examine_workspace(self.workspace)
        assert examination.mended == ()
        assert contents(self.folder) == before
        return [finding for finding in examination.findings if finding.level != "ok"]

    def check_mended(self, *, n_trials: int = N_TRIALS, finished: bool = True) -> tuple[str, ...]:
        """`--fix` mends everything, and a second time finds nothing. Returns what it did."""
        first = examine_workspace(self.workspace, fix=True)
        problems = [finding for finding in first.findings if finding.level != "ok"]
        assert not problems, problems
        assert first.mended
        assert first.sound
        before = contents(self.folder)
        second = examine_workspace(self.workspace, fix=True)
        assert second.mended == ()
        assert [finding.level for finding in second.findings if finding.level != "ok"] == []
        assert contents(self.folder) == before
        check_accounts(self.folder, n_trials=n_trials, finished=finished)
        return first.mended


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that a sweep is made of; databases apart, which are rewritten by reading too, and locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in (folder / ".sweeper").rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def copy_workspace(source: Path, target: Path) -> None:
    """Copy a workspace with all that is in it; artifacts of the copy are its own."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
        with closing(sqlite3.connect(target / "mlflow.db")) as connection, connection:
            connection.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (source.as_uri(), target.as_uri())
            )


@pytest.fixture
def patient(finished: CommandLine, tmp_path: Path, cache_dir: Path) -> Patient:
    """A copy of the finished sweep."""
    folder = tmp_path / "patient"
    copy_workspace(finished.folder, folder)
    return Patient(folder, cache_dir)


Break = Callable[[Patient], None]
