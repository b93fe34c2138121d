"""Workspaces, the command line in them, and a finished sweep: those of tests/sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

import sweeper
from sweeper.study.study import Study
from tests.sweep.conftest import (
    cache_dir,
    cli,
    folder,
    one_thread,
    open_workspace,
    own_server,
    prepare_folder,
    workspace,
)
from tests.sweep.doctor.conftest import copy_workspace
from tests.sweep.studies import study_dict

__all__ = ["cache_dir", "cli", "folder", "one_thread", "own_server", "swept", "workspace"]


@pytest.fixture(scope="session")
def finished_folder(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Path:
    """A workspace with a finished study `tiny` of one trial."""
    path = tmp_path_factory.mktemp("finished")
    prepare_folder(tmp_path_factory, path)
    study = Study.model_validate(study_dict(trials=1, epochs=1, keep_models=1))
    sweeper.start(study, launcher="inline", workspace=open_workspace(path, cache_dir))
    return path


@pytest.fixture
def swept(folder: Path, finished_folder: Path) -> Path:
    """The folder of a finished study `tiny` in `folder`."""
    copy_workspace(finished_folder, folder)
    return folder / ".sweeper" / "tiny"
