"""`sweeper`, and `python -m sweeper`."""

from __future__ import annotations

import atexit
import os
import sys
import threading

from sweeper.cli.main import main

__all__ = ["run"]


def run() -> None:
    """Run the command line, and end the process."""
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, int | None):
            _leave(end.code or 0)
        raise


def _leave(exit_code: int) -> None:
    """End the process without taking apart all that it imported, which takes Python 0.9 s after a sweep. Returns where
    a thread still has something to do."""
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        return
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # the reader is gone; Python says it in its own way
        return
    os._exit(exit_code)


if __name__ == "__main__":
    run()
