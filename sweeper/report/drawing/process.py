"""The process that draws figures. Started by `drawer` as `python -m sweeper.report.drawing.process FD FORMAT...`, with
one end of a socket pair as file descriptor FD. When the other end is closed, it ends.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from sweeper.report.blocks import Figure
    from sweeper.report.drawing.figure import FileFormat

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Draw the figures that come in; when None comes, answer with the files of all, and go on."""
    fd, *names = arguments
    formats = cast("list[FileFormat]", names)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the process that started this one
    connection = Connection(int(fd))
    messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:
        while True:
            try:
                messages.put(connection.recv_bytes())
            except (EOFError, OSError):
                os._exit(0)  # nobody wants what is being drawn

    # Who computes never waits for a figure: messages are taken at once.
    threading.Thread(target=listen, name="listener", daemon=True).start()

    from sweeper.report.drawing.figure import draw_figure  # takes a second

    drawn: dict[int, dict[FileFormat, bytes]] = {}
    while True:
        try:
            message: tuple[int, Figure, bool] | None = pickle.loads(messages.get())  # noqa: S301  # of who started this
            if message is None:
                connection.send_bytes(pickle.dumps(drawn))
                continue
            number, figure, narrow = message
            files = draw_figure(figure, formats, narrow=narrow)
            if files:  # else it is drawn once more by who asked, whose log says why it cannot be
                drawn[number] = files
        except OSError:
            return
        except Exception:  # noqa: BLE001, S112  # raised once more by who asked, in whose process it can be read
            continue


if __name__ == "__main__":
    main(sys.argv[1:])
