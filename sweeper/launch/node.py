"""What a cluster's node runs for one worker: the worker process that the local launcher starts too, held by an actor.

Training code that crashes or is killed so ends a child and not the actor, which tells how the child ended. When the
actor is gone, with its node or with the driver, the child's socket pair is closed, and the child ends.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from sweeper.launch.messages import Shutdown, WorkerDied, WorkerReady, from_json, to_json
from sweeper.launch.process import ChildProcess, start_python
from sweeper.places import Places

__all__ = ["SHUTDOWN_SECONDS", "NodeWorker", "name_place", "places_of_node"]

WORKER = "sweeper.launch.worker"
SHUTDOWN_SECONDS = 5.0


class NodeWorker:
    """One worker process on this node. Its methods are those of an asynchronous Ray actor.

    Args:
        worker: The worker's index.
        device: torch's name of its device here: `cpu`, or `cuda:0`, since a worker sees its own GPU alone.
        n_threads: Threads that computation on the CPU may use.
        places: `Places.to_arguments()` of the driver.
        log_dir: The driver's folder for what workers print, which must be on a file system that this node shares.
    """

    def __init__(self, worker: int, device: str, n_threads: int, places: Sequence[str], log_dir: str) -> None:
        self._worker = worker
        self._device = device
        self._is_ready = False
        self._early: dict[int, bytes] = {}
        self._n_orders = 0
        self._child: ChildProcess | None = None
        self._fault = ""
        if not Path(log_dir).is_dir():  # the driver made it
            self._fault = (
                f"{socket.gethostname()} has no folder {log_dir}; the sweep's folder must lie on a file system that "
                "all nodes share, under one path"
            )
            return
        here = places_of_node(Places.from_arguments(places), os.environ)
        arguments = [str(worker), device, str(n_threads), *here.to_arguments()]
        self._child = ChildProcess(
            partial(start_python, WORKER, arguments, n_threads=n_threads), Path(log_dir) / f"{worker}.log"
        )

    async def order(self, number: int, message: bytes) -> None:
        """Hand on an order. Calls of an asynchronous actor overtake each other, so that orders are numbered from 0."""
        self._early[number] = message
        while self._n_orders in self._early:
            message = self._early.pop(self._n_orders)
            self._n_orders += 1
            if self._child is not None:
                self._child.send(message)

    async def receive(self) -> list[bytes]:
        """What the worker has said, as soon as it has said anything; the last message of all is a `WorkerDied`."""
        return await asyncio.to_thread(self._receive)

    def _receive(self) -> list[bytes]:
        if self._child is None:
            died = WorkerDied(worker=self._worker, exit_code=None, output=self._fault, reason=self._fault)
            return [to_json(died)]
        messages: list[bytes] = []
        while not messages or self._child.connection.poll():
            message = self._child.receive()
            if message is None:
                exit_code = self._child.wait(SHUTDOWN_SECONDS)
                output = self._child.log.tail()
                return [*messages, to_json(WorkerDied(worker=self._worker, exit_code=exit_code, output=output))]
            messages.append(message if self._is_ready else self._with_place(message))
        return messages

    def _with_place(self, message: bytes) -> bytes:
        event = from_json(message)
        if not isinstance(event, WorkerReady):
            return message
        self._is_ready = True
        return to_json(replace(event, place=name_place(self._device, event.host, os.environ)))

    async def close(self, kill: bool) -> None:
        """End the worker process; with `kill` without waiting for anything. Returns when it has ended."""
        if self._child is None:
            return
        if kill:
            self._child.handle.kill()
        else:
            self._child.send(to_json(Shutdown()))
        await asyncio.to_thread(self._child.wait, SHUTDOWN_SECONDS)


def name_place(device: str, host: str, environ: Mapping[str, str]) -> str:
    """A name for a device of a node: workers to which Ray has given the same GPU have the same."""
    return f"{host} {device.partition(':')[0]}:{environ.get('CUDA_VISIBLE_DEVICES')}" if device != "cpu" else device


def places_of_node(given: Places, environ: Mapping[str, str]) -> Places:
    """The driver's places, but for those that the node's own environment sets: a node may keep its caches on a disk of
    its own."""
    cache_dir, data_dir = environ.get("SWEEPER_CACHE"), environ.get("SWEEPER_DATA")
    return replace(
        given,
        cache_dir=Path(cache_dir) if cache_dir else given.cache_dir,
        data_dir=Path(data_dir) if data_dir else given.data_dir,
    )
