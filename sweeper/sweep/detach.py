"""A driver in the background: it outlives the terminal or the notebook that began it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sweeper.errors import SweeperError
from sweeper.sweep.owner import read_owner
from sweeper.sweep.store import open_store
from sweeper.tracking.workspace import Workspace

__all__ = ["Detached", "detach"]

_POLL_SECONDS = 0.1
_N_POLLS = 600
"""It owns the study within a second or two, on a busy machine later, or has failed to."""


@dataclass(frozen=True, kw_only=True)
class Detached:
    """A driver that was started."""

    pid: int
    log: Path
    """What it prints."""


def detach(workspace: Workspace, name: str, arguments: Sequence[str] = (), *, plugins: Sequence[str] = ()) -> Detached:
    """Drive a stored study in the background; returns when the driver owns it.

    Args:
        workspace: Where it is stored.
        name: Its name.
        arguments: Of `sweeper resume`.
        plugins: Modules or files that it imports first.

    Raises:
        SweeperError: The driver has ended at once; its last words, and its exit code.
    """
    files = workspace.study_files(name, open_store(workspace).read(name).uuid)
    files.log.parent.mkdir(parents=True, exist_ok=True)
    named = [word for plugin in plugins for word in ("--plugin", plugin)]
    with files.log.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-m", "sweeper", *named, "resume", name, *arguments],
            cwd=workspace.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    for _ in range(_N_POLLS):
        if process.poll() is not None:
            if process.returncode == 0:  # there was little to do
                break
            error = SweeperError(f"the driver of {name} has ended at once; it said:\n{files.log.read_text()[-2000:]}")
            error.exit_code = process.returncode
            raise error
        owner = read_owner(files)
        if owner is not None and owner.pid == process.pid:
            break
        time.sleep(_POLL_SECONDS)
    return Detached(pid=process.pid, log=files.log)
