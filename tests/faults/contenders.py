"""Processes that want one study at the same moment. They import nothing of the tests, which would take seconds."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Barrier
from typing import Any

from sweeper.errors import OwnedError
from sweeper.study.study import Study
from sweeper.sweep.owner import own
from sweeper.sweep.start import prepare
from sweeper.sweep.store import open_store
from sweeper.tracking.workspace import Workspace


def contend(barrier: Barrier, folder: Path, environ: dict[str, str], plain: dict[str, Any]) -> tuple[int, str]:
    """Try to own a study at the same moment as another process. Returns the process id and how it was refused."""
    study = Study.model_validate(plain)
    workspace = Workspace.from_environment(folder, environ)
    barrier.wait()
    name = prepare(workspace, study)
    try:
        with own(workspace.study_files(name, open_store(workspace).read(name).uuid), name):
            barrier.wait()  # until the other has been refused
    except OwnedError as error:
        barrier.wait()
        return os.getpid(), str(error)
    return os.getpid(), ""
