"""The process that draws figures. Started by `drawer` as `python -m sweeper.report.drawing.process FD FORMAT...`, with
one end of a socket pair as file descriptor FD. When the other end is closed, it ends.

A message is a figure in JSON: `number`, `narrow`, and `key`, `title`, `height` and `plotly` of the figure. After the
message `null` it answers with the list of `[number, format]` of all files it has drawn, and then with these files.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any, cast

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.blocks import Figure
from sweeper.report.drawing.figure import FileFormat, draw_figure

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Draw the figures that come in, and answer with their files, until the other end is closed."""
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

    drawn: dict[tuple[int, FileFormat], bytes] = {}
    while True:
        message = json.loads(messages.get())
        if message is None:
            _answer(connection, drawn)
        else:
            drawn |= {(message["number"], kind): content for kind, content in _draw(message, formats).items()}


def _answer(connection: Connection, drawn: dict[tuple[int, FileFormat], bytes]) -> None:
    connection.send_bytes(json.dumps(list(drawn)).encode())
    for content in drawn.values():
        connection.send_bytes(content)


def _draw(message: dict[str, Any], formats: list[FileFormat]) -> dict[FileFormat, bytes]:
    """The files of a figure; none of one that fails, which is drawn once more by who asked, whose log says why."""
    try:
        figure = Figure(
            key=message["key"],
            title=message["title"],
            description="",
            figure=go.Figure(message["plotly"]),
            data=pd.DataFrame(),  # which is not drawn
            height=message["height"],
        )
        return draw_figure(figure, formats, narrow=message["narrow"])
    except Exception:  # noqa: BLE001  # a figure of another package may hold anything
        return {}


if __name__ == "__main__":
    main(sys.argv[1:])
