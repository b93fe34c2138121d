"""A process that imports torch once, and forks worker processes from itself.

The import takes 2.8 s of a core. n workers that are forked share one import and its memory, and a worker that takes the
place of a dead one is there at once. A process that has spoken to a GPU cannot be forked, and on macOS one that has
imported torch cannot: workers there are started one by one.

Run by `Nursery` as `python -m sweeper.launch.nursery FD PID`, with one end of a socket pair as file descriptor FD, and
the process id of the driver. When the driver is gone, it ends; the workers have sockets of their own.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any, BinaryIO, Never

from sweeper.launch import worker
from sweeper.launch.launcher import WorkerSlot
from sweeper.launch.process import Log, UnnamedLog, start_python

__all__ = ["Nursery", "can_fork", "main", "start_early"]

_MODULE = "sweeper.launch.nursery"  # its __name__ is another where it runs
_MAX_BYTES = 1 << 16
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG in linux/prctl.h


def can_fork(slots: Sequence[WorkerSlot]) -> bool:
    """Whether workers for these slots may be forked from one process."""
    return (
        sys.platform == "linux"
        and all(slot.device == "cpu" for slot in slots)
        and len({slot.n_threads for slot in slots}) == 1
    )


def start_early(slots: Sequence[WorkerSlot]) -> Nursery | None:
    """Begin to import torch for workers that are certain to be wanted, while a driver makes ready; None where workers
    are not forked. It ends with this process, if nobody closes it before."""
    return Nursery(n_threads=slots[0].n_threads, log=UnnamedLog()) if can_fork(slots) else None


class Nursery:
    """The process, in the hand of the launcher that started it. All calls come from one thread.

    Args:
        n_threads: Threads of the numeric libraries in each worker.
        log: Where its own output goes.
    """

    def __init__(self, *, n_threads: int, log: Log) -> None:
        self.log = log
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, self.log.open() as output:
            self._popen = start_python(_MODULE, [str(os.getpid())], theirs.fileno(), output, n_threads=n_threads)
        self._n_requests = 0
        self._replies: dict[int, int] = {}

    @property
    def lives(self) -> bool:
        """Whether it can still fork."""
        return self._popen.poll() is None

    @property
    def has_forked(self) -> bool:
        """Whether it has imported torch, and forked the first worker."""
        try:
            return self.reply(1, timeout=0.0) is not None
        except TimeoutError:
            return False

    def fork(self, arguments: Sequence[str], fd: int, output: BinaryIO) -> ForkedProcess:
        """Have a worker forked, as soon as torch is imported; does not wait for it.

        Args:
            arguments: Of `sweeper.launch.worker`, after the file descriptor.
            fd: The worker's end of its socket pair.
            output: For what it prints.
        """
        return ForkedProcess(self, self.request({"fork": list(arguments)}, [fd, output.fileno()]))

    def request(self, what: dict[str, Any], fds: Sequence[int] = ()) -> int:
        """Send a request; returns its number."""
        self._n_requests += 1
        message = json.dumps({"request": self._n_requests, **what}).encode()
        self._channel.settimeout(None)
        with contextlib.suppress(OSError):  # it has died: no reply will come
            socket.send_fds(self._channel, [message], list(fds))
        return self._n_requests

    def reply(self, request: int, timeout: float | None = None) -> int | None:
        """The reply to a request; None where the process died before it replied.

        Raises:
            TimeoutError: None has come after so many seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while request not in self._replies:
            self._channel.settimeout(None if deadline is None else max(0.001, deadline - time.monotonic()))
            try:
                message = self._channel.recv(_MAX_BYTES)
            except ConnectionError:
                message = b""
            if not message:
                return None
            reply = json.loads(message)
            self._replies[reply["request"]] = reply["reply"]
        return self._replies[request]

    def close(self) -> None:
        """End it, where it lives. Workers that were not forked never will be; others live."""
        self._popen.kill()
        self._popen.wait()


class ForkedProcess:
    """A worker that a nursery forked, or will; a `Handle`."""

    def __init__(self, nursery: Nursery, request: int) -> None:
        self._nursery = nursery
        self._fork = request
        self._wait: int | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, once torch is imported; None where the nursery died before."""
        return self._nursery.reply(self._fork)

    def wait(self, timeout: float | None = None) -> int | None:
        try:
            pid = self._nursery.reply(self._fork, timeout)
            if pid is None:
                return None
            if self._wait is None:
                self._wait = self._nursery.request({"wait": pid})
            return self._nursery.reply(self._wait, timeout)
        except TimeoutError:
            raise subprocess.TimeoutExpired(worker.__name__, timeout or 0.0) from None

    def kill(self) -> None:
        if self.pid is not None:  # the id stays its own until the nursery has waited for it
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Import what workers need, and fork one for each request, until the other end is closed."""
    # Who wants workers gone tells them, or their driver. What this process alone knows is how they ended.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    # While it imports, it cannot notice that the driver is gone.
    fd, driver = map(int, arguments)
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != driver:  # it was gone before
        return
    channel = socket.socket(fileno=fd)
    worker.import_torch()
    while True:
        message, fds, _, _ = socket.recv_fds(channel, _MAX_BYTES, 2)
        if not message:
            os._exit(0)
        request = json.loads(message)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            reply = os.waitstatus_to_exitcode(status)
        else:
            reply = os.fork()
            if reply == 0:
                channel.close()
                _become_worker(request["fork"], *fds)
            for fd in fds:
                os.close(fd)
        with contextlib.suppress(OSError):  # the driver is gone, which the next read says
            channel.send(json.dumps({"request": request["request"], "reply": reply}).encode())


def _become_worker(arguments: list[str], fd: int, output: int) -> Never:
    try:
        os.setsid()
        for stream in (1, 2):
            os.dup2(output, stream)
        os.close(output)
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.SIG_DFL)
        worker.main([str(fd), *arguments])
    except BaseException:  # noqa: BLE001  # nothing of this process may go on as a nursery
        traceback.print_exc()
    finally:
        os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
