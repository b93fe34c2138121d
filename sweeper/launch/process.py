"""A process of this package that works for another one: started with a socket pair, its output in a log."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from sweeper.masking import SECRET_VARIABLES

__all__ = ["ChildProcess"]


class ChildProcess:
    """Runs `python -m MODULE FD ARGUMENT...`, where FD is the child's end of a socket pair.

    When this process ends, in whatever way, the pair is closed, which the child reads.

    Args:
        module: What is run.
        arguments: Come after the file descriptor. They are public.
        n_threads: Threads of the numeric libraries, fixed before any of them starts its pool.
        log: File to which its output is added.
    """

    def __init__(self, module: str, arguments: Sequence[str], *, n_threads: int, log: Path) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair()
        threads = str(n_threads)
        # It needs no database, and so no password.
        environment = {key: value for key, value in os.environ.items() if key not in SECRET_VARIABLES}
        environment |= {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        with log.open("ab") as output:
            self._log_start = output.tell()
            self.popen = subprocess.Popen(  # noqa: S603  # our own module
                [sys.executable, "-m", module, str(theirs.fileno()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                env=environment,
                start_new_session=True,
            )
        theirs.close()
        self.connection = Connection(ours.detach())

    def send(self, message: bytes) -> None:
        """Send a message; none is sent to a process that has died, which `receive` says."""
        with contextlib.suppress(OSError):
            self.connection.send_bytes(message)

    def receive(self) -> bytes | None:
        """The next message; None once the process has died and everything it said has been read."""
        try:
            return self.connection.recv_bytes()
        except (EOFError, OSError):
            return None

    def last_output(self, max_bytes: int = 4000) -> str:
        """The end of what it has printed."""
        with self.log.open("rb") as file:
            file.seek(max(self._log_start, self.log.stat().st_size - max_bytes))
            return file.read().decode(errors="replace")
