"""A worker process: imports torch once and trains one trial after another.

Started by the local launcher as `python -m sweeper.launch.worker FD INDEX DEVICE THREADS PLACES...`, or forked by its
nursery with these arguments. FD is one end of a socket pair. When the driver is gone, the pair is closed and the worker
ends.
"""

from __future__ import annotations

import gc
import os
import queue
import signal
import socket
import sys
import threading
from multiprocessing.connection import Connection

import sweeper
from sweeper.launch.control import Control
from sweeper.launch.messages import (
    EXIT_PREEMPTED,
    Attempt,
    Proceed,
    Prune,
    Shutdown,
    Stop,
    WorkerReady,
    from_json,
    to_json,
)

__all__ = ["import_torch", "main"]

GRACE_SECONDS = 8.0
"""Between SIGTERM and the end of the process; `docker stop` and Kubernetes wait 10 and 30 s before they kill."""


def import_torch() -> None:
    """Import torch and all that a trial needs, which takes seconds."""
    import torch

    import sweeper.data.store
    import sweeper.launch.attempt  # noqa: F401
    from sweeper.launch.dynamo import postpone_dynamo

    postpone_dynamo()
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # what the first optimizer imports all the same
    gc.collect()
    gc.freeze()  # what is imported stays: a later collection takes 3 ms and not 400


def main(arguments: list[str]) -> None:
    """Run a worker until it is told to shut down or its driver is gone."""
    fd, index, device_name, threads, *places_arguments = arguments
    # Ctrl-C in the terminal is the driver's to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(int(fd))
    worker, n_threads = int(index), int(threads)

    orders: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
    control = Control()
    current: list[int] = []

    def listen() -> None:
        while True:
            try:
                order = from_json(connection.recv_bytes())
            except (EOFError, OSError):
                os._exit(1)  # the driver is gone: nothing that this process does from here on would count
            if isinstance(order, Attempt):
                orders.put(order)
            elif isinstance(order, Prune):
                if order.number in current:
                    control.end()
            elif isinstance(order, Proceed):
                if order.number in current:
                    control.proceed(order.epoch)
            elif isinstance(order, Stop):
                control.stop = True
            elif isinstance(order, Shutdown):
                orders.put(None)

    def leave(signum: int, frame: object) -> None:
        control.leave = control.stop = True
        orders.put(None)
        # An epoch may take longer than the grace period. Then what the last checkpoint does not cover is trained again.
        threading.Timer(GRACE_SECONDS, os._exit, (EXIT_PREEMPTED,)).start()

    signal.signal(signal.SIGTERM, leave)
    threading.Thread(target=listen, name="listener", daemon=True).start()

    import_torch()  # meanwhile the driver may die
    import torch

    from sweeper.data.dataset import Dataset
    from sweeper.data.store import open_dataset
    from sweeper.launch.attempt import run_attempt
    from sweeper.places import Places
    from sweeper.study.config import DataConfig

    torch.set_num_threads(n_threads)
    device = torch.device(device_name)
    places = Places.from_arguments(places_arguments)
    connection.send_bytes(
        to_json(
            WorkerReady(
                worker=worker,
                version=sweeper.__version__,
                host=socket.gethostname(),
                pid=os.getpid(),
                device=device_name,
                n_threads=n_threads,
            )
        )
    )
    opened: list[tuple[DataConfig, Dataset]] = []

    def open_data(config: DataConfig) -> Dataset:
        """Open a data set, unless it is that of the last trial: most studies have one for all."""
        if not opened or opened[0][0] != config:
            opened.clear()
            opened.append((config, open_dataset(config, cache_dir=places.cache_dir, data_dir=places.data_dir)))
        return opened[0][1]

    is_first = True
    while (attempt := orders.get()) is not None:
        control.begin()
        current[:] = [attempt.number]
        for event in run_attempt(
            attempt,
            worker=worker,
            device=device,
            open_data=open_data,
            control=control,
            places=places,
        ):
            connection.send_bytes(to_json(event))
        if is_first:  # what it imported stays too, such as scikit-learn, from which digits come
            gc.freeze()
            is_first = False
        if control.leave:
            break
    sys.stdout.flush()
    os._exit(
        EXIT_PREEMPTED if control.leave else 0
    )  # tearing down torch takes half a second and can hang; everything is on disk


if __name__ == "__main__":
    main(sys.argv[1:])
