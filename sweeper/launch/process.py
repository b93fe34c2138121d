"""A process of this package that works for another one: reached through a socket pair, its output in a log."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO, Protocol

from sweeper.launch.gpus import number_gpus_by_bus
from sweeper.masking import SECRET_VARIABLES

__all__ = ["ChildProcess", "Handle", "Log", "UnnamedLog", "start_python"]

KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}
"""Has glibc keep what is freed. Else the steps of a training give pages of their tensors back to the system, and get
them anew: 86 to 986 page faults a step, and none so. CPU time of a step fell from 7.6 to 6.8 ms (medians of 5 runs each
in turns, of 500 steps; CNN 16-32-64 on 32×32 pictures, batch 16, one thread of an AMD EPYC)."""


class Handle(Protocol):
    """A process that was started, as `subprocess.Popen` is one."""

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end; its exit code, None where nobody can know it.

        Raises:
            subprocess.TimeoutExpired: It has not ended after so many seconds.
        """

    def kill(self) -> None:
        """Send SIGKILL, where it still runs."""


def start_python(
    module: str, arguments: Sequence[str], fd: int, output: BinaryIO, *, n_threads: int
) -> subprocess.Popen[bytes]:
    """Start `python -m MODULE FD ARGUMENT...` in a session of its own.

    Args:
        module: What is run.
        arguments: Come after the file descriptor. They are public.
        fd: File descriptor that it inherits.
        output: For what it prints.
        n_threads: Threads of the numeric libraries, fixed before any of them starts its pool.
    """
    threads = str(n_threads)
    # It needs no database, and so no password.
    environment = KEEP_MEMORY | {key: value for key, value in os.environ.items() if key not in SECRET_VARIABLES}
    environment |= {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, **number_gpus_by_bus(os.environ)}
    return subprocess.Popen(  # noqa: S603  # our own module
        [sys.executable, "-m", module, str(fd), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=[fd],
        env=environment,
        start_new_session=True,
    )


class Log:
    """A file to which a process adds what it prints.

    Args:
        path: The file; it and its folder are made where they are missing.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._start = path.stat().st_size if path.exists() else 0

    def open(self) -> BinaryIO:
        """To write at its end."""
        return self._path.open("ab")

    def tail(self, max_bytes: int = 4000) -> str:
        """The end of what was printed."""
        with self._path.open("rb") as file:
            file.seek(max(self._start, self._path.stat().st_size - max_bytes))
            return file.read().decode(errors="replace")


class UnnamedLog(Log):
    """A log of a process that is started before anyone knows where its log belongs; gone with this process."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+b")  # noqa: SIM115  # closed with this process

    def open(self) -> BinaryIO:
        return os.fdopen(os.dup(self._file.fileno()), "ab")

    def tail(self, max_bytes: int = 4000) -> str:
        descriptor = self._file.fileno()
        start = max(0, os.fstat(descriptor).st_size - max_bytes)
        return os.pread(descriptor, max_bytes, start).decode(errors="replace")


class ChildProcess:
    """A process that was given one end of a socket pair.

    When this process ends, in whatever way, the pair is closed, which the child reads.

    Args:
        start: Starts it, given the child's end of the pair and where its output goes.
        log: File for its output.
    """

    def __init__(self, start: Callable[[int, BinaryIO], Handle], log: Path) -> None:
        self.log = Log(log)
        ours, theirs = socket.socketpair()
        with theirs, self.log.open() as output:
            self.handle = start(theirs.fileno(), output)
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

    def wait(self, within_seconds: float) -> int | None:
        """Wait for its end, and kill it where that takes longer; its exit code, None where nobody can know it."""
        try:
            return self.handle.wait(timeout=within_seconds)
        except subprocess.TimeoutExpired:
            self.handle.kill()
            return self.handle.wait()
