"""Files that others read by a fixed name: they parse, and agree with the lock file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import sweeper

REPOSITORY = Path(__file__).resolve().parent.parent
FORMS = sorted((REPOSITORY / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml"))


def load(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def test_pre_commit_runs_the_ruff_of_the_lock_file() -> None:
    lock = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8").splitlines()
    (ruff,) = (line.removeprefix("ruff==") for line in lock if line.startswith("ruff=="))
    repos = {each["repo"]: each for each in load(REPOSITORY / ".pre-commit-config.yaml")["repos"]}
    assert repos["https://github.com/astral-sh/ruff-pre-commit"]["rev"] == f"v{ruff}"


def test_the_workflow_runs_what_make_has() -> None:
    jobs = load(REPOSITORY / ".github/workflows/ci.yml")["jobs"]
    targets = {
        step["run"].split()[1]
        for job in jobs.values()
        for step in job["steps"]
        if step.get("run", "").startswith("make ")
    }
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert targets == {"axe", "test", "check", "chaos"}
    assert all(f"\n{target}:" in makefile for target in targets)


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms_are_complete(path: Path) -> None:
    form = load(path)
    assert form["name"]
    assert form["description"]
    assert all(part["id"] and part["attributes"]["label"] for part in form["body"])


def test_the_version_stands_in_one_place() -> None:
    pyproject = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"{sweeper.__version__}"' not in pyproject
    assert 'version = { attr = "sweeper.__version__" }' in pyproject
