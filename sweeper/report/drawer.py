"""Figures drawn as files in a process beside this one, which goes on to compute."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import TYPE_CHECKING, cast

from sweeper.launch.process import start_python
from sweeper.report.blocks import Figure

if TYPE_CHECKING:
    from sweeper.report.drawing.figure import FileFormat

__all__ = ["Drawer"]

_PROCESS = "sweeper.report.drawing.process"


class Drawer:
    """Draws figures while this process computes others. To be used as a context, after which the process has ended.

    The process ends with this one too, however that ends: their socket pair is closed then. What it could not draw, be
    it that it was killed, is drawn here. They speak JSON, and bytes of files.

    Args:
        formats: As which files; where there are none, no process is started.
    """

    def __init__(self, formats: Sequence[FileFormat]) -> None:
        self._formats = tuple(formats)
        self._begun: dict[int, tuple[Figure, bool]] = {}
        self._drawn: dict[int, dict[FileFormat, bytes]] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Drawer:
        if self._formats:
            ours, theirs = socket.socketpair()
            # What it prints is of use to nobody: a figure that fails there is drawn here, where its error is seen.
            with theirs, tempfile.TemporaryFile() as output:
                self._process = start_python(_PROCESS, self._formats, theirs.fileno(), output, n_threads=1)
            self._connection = Connection(ours.detach())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._connection.close()
            self._process.kill()
            self._process.wait()
            self._process = None

    def begin(self, figure: Figure, *, narrow: bool) -> None:
        """Have a figure drawn, which must not change any more; narrow as of `draw_figure`."""
        if self._process is None:
            return
        self._begun[id(figure)] = figure, narrow
        # A figure of another package may hold what JSON has no words for, and is drawn here then.
        with contextlib.suppress(OSError, TypeError, ValueError):
            settings = {"key": figure.key, "title": figure.title, "height": figure.height, "narrow": narrow}
            message = json.dumps({"number": id(figure), **settings, "plotly": figure.plotted}, allow_nan=False)
            self._connection.send_bytes(message.encode())

    def draw(self, figure: Figure, *, narrow: bool) -> dict[FileFormat, bytes]:
        """The files of a figure, as of `draw_figure`; waits for those that were begun."""
        if self._drawn is None:
            self._drawn = self._collect()
        if self._begun.get(id(figure)) == (figure, narrow) and id(figure) in self._drawn:
            return self._drawn[id(figure)]
        # Imported here: matplotlib takes longer to import than a page to write.
        from sweeper.report.drawing import draw_figure

        return draw_figure(figure, self._formats, narrow=narrow)

    def _collect(self) -> dict[int, dict[FileFormat, bytes]]:
        if self._process is None:
            return {}
        drawn: dict[int, dict[FileFormat, bytes]] = {}
        try:
            self._connection.send_bytes(json.dumps(None).encode())
            listed = json.loads(self._connection.recv_bytes())
            for number, file_format in listed:
                drawn.setdefault(number, {})[cast("FileFormat", file_format)] = self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            logging.getLogger(__name__).debug("the process that draws figures has ended: %r", error)
            return {}
        return drawn
