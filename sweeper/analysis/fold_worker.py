"""A process that trains one fold after another. Started by `pool` as `python -m sweeper.analysis.fold_worker FD DEVICE
THREADS PLACES...`, with one end of a socket pair as file descriptor FD. When the other end is closed, it ends.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Train the folds that come in, each as JSON, until the other end is closed."""
    fd, device_name, threads, *places_arguments = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the process that started this one
    connection = Connection(int(fd))
    folds: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def listen() -> None:
        while True:
            try:
                folds.put(json.loads(connection.recv_bytes()))
            except (EOFError, OSError):
                os._exit(0)  # nobody wants what is being trained

    threading.Thread(target=listen, name="listener", daemon=True).start()

    import torch  # takes seconds

    from sweeper.analysis.folds import Fold, train_fold
    from sweeper.errors import SweeperError
    from sweeper.places import Places

    torch.set_num_threads(int(threads))
    places = Places.from_arguments(places_arguments)

    def say(**message: Any) -> None:
        connection.send_bytes(json.dumps(message).encode())

    while True:
        fold = Fold(**folds.get())
        try:
            train_fold(
                fold,
                places=places,
                device=torch.device(device_name),
                on_epoch=lambda epoch: say(event="epoch", epoch=epoch),
            )
        except SweeperError as error:
            say(event="failed", reason=str(error), kind=type(error).__name__)
        except Exception as error:  # noqa: BLE001  # said by the process that started this one
            say(event="failed", reason=f"{type(error).__name__}: {error}", kind="", traceback=traceback.format_exc())
        else:
            say(event="done")


if __name__ == "__main__":
    main(sys.argv[1:])
