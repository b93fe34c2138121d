"""A launcher of workers on a Ray cluster, each in an actor.

Ray only places: it starts no actor and calls no method a second time. A worker that is lost with its node is reported
as a worker that died, and the driver decides what becomes of its trial. An actor for which no node has room waits, and
has its place within seconds once a node is added or another job ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweeper.errors import ClusterLostError, InputError
from sweeper.launch.launcher import WorkerSlot
from sweeper.launch.messages import Attempt, Event, Order, Proceed, Prune, Stop, WorkerDied, from_json, to_json
from sweeper.launch.node import SHUTDOWN_SECONDS, NodeWorker
from sweeper.places import Places

try:
    import ray
    from ray.exceptions import RayActorError, RayError
except ImportError as error:
    raise InputError(
        '--launcher: given ray, which is not installed here; install it with: pip install "sweeper[ray]"'
    ) from error

__all__ = ["RayLauncher", "connect", "read_nodes"]

GRACE_SECONDS = 2.0
"""Beyond what a worker has to end, for the messages to its node and back."""
HEAD_SECONDS = 40.0
"""How long the head may be out of reach. After 60 s (RAY_gcs_rpc_server_reconnect_timeout_s) Ray ends this process, and
the driver could no longer put its trials back."""
_LOOK_SECONDS = 5.0
_ANSWER_SECONDS = 2.0


def connect(address: str | None) -> None:
    """Connect this process to a Ray cluster, unless it is connected to one.

    Args:
        address: Such as `10.0.0.7:6379`; default: `RAY_ADDRESS`, else the cluster that was started on this machine.

    Raises:
        InputError: There is no cluster, or it has another version of Ray or of Python.
    """
    if ray.is_initialized():
        return
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if is_main else None
    given = address or os.environ.get("RAY_ADDRESS") or "auto"
    if "://" in given:
        raise InputError(f"--address: given {given!r}; allowed: HOST:PORT, as `ray start --head` prints it")
    try:
        if given != "auto":
            _reach(given)  # Ray would try for minutes
        ray.init(address=given, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        where = "on this machine" if given == "auto" else f"at {given}"
        raise InputError(
            f"--launcher ray: no Ray cluster can be used {where}: {error}; start one with `ray start --head`, or give "
            "the address of one by --address HOST:PORT or RAY_ADDRESS"
        ) from error
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, before)  # Ray's own would leave before trials have their checkpoints


def _reach(address: str) -> None:
    """Connect to a head, and leave it.

    Raises:
        OSError: It cannot be reached.
        ValueError: That is no address.
    """
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_SECONDS).close()


def read_nodes() -> list[Mapping[str, float]]:
    """What each node of the cluster has in all, by Ray's names: `CPU`, `GPU`."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in nodes if node["Alive"]]


class _Head:
    """Watches whether the head of the cluster can be reached."""

    def __init__(self, address: str) -> None:
        self.is_lost = False
        self._address = address
        self._looked_at = self._seen_at = time.monotonic()

    def look(self) -> None:
        """Look, if that is some seconds ago.

        Raises:
            ClusterLostError: It has been out of reach for too long.
        """
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        if now - self._looked_at > HEAD_SECONDS / 2:
            self._seen_at = now  # nobody looked meanwhile: this process was held up, not the head
        self._looked_at = now
        try:
            _reach(self._address)
            self._seen_at = now
        except OSError as error:
            if now - self._seen_at > HEAD_SECONDS:
                self.is_lost = True
                raise ClusterLostError(
                    f"the head of the Ray cluster at {self._address} has been out of reach for {HEAD_SECONDS:.0f} s "
                    f"({error}); trials are kept, go on with `sweeper resume` once there is a cluster"
                ) from error


@dataclass(eq=False)
class _Worker:
    """One actor."""

    slot: WorkerSlot
    actor: Any
    n_orders: int = 0
    has_spoken: bool = False
    calls: set[Any] = field(default_factory=set)
    """Of which the result is not known."""


class RayLauncher:
    """Implements `Launcher` with actors of a Ray cluster.

    Args:
        slots: What each worker is to have; more than the cluster has room for may wait.
        places: Where data lies; a node's own environment goes before.
        log_dir: For what workers print, on a file system that all nodes share.
        address: Of the cluster, as for `connect`.

    Raises:
        InputError: There is no cluster.
    """

    def __init__(
        self, slots: Sequence[WorkerSlot], *, places: Places, log_dir: Path, address: str | None = None
    ) -> None:
        connect(address)
        self.slots = slots
        self._places = places
        self._log_dir = log_dir.resolve()
        self._workers: dict[int, _Worker] = {}
        self._calls: dict[Any, _Worker] = {}
        self._head = _Head(ray.get_runtime_context().gcs_address)

    def start(self) -> None:
        self._log_dir.mkdir(parents=True, exist_ok=True)
        for slot in self.slots:
            self._start_worker(slot)

    def _start_worker(self, slot: WorkerSlot) -> None:
        assert slot.n_cpus is not None
        actor_class = ray.remote(NodeWorker).options(
            num_cpus=slot.n_cpus, num_gpus=slot.gpu_share or 0, max_restarts=0, max_task_retries=0
        )
        actor: Any = actor_class.remote(
            slot.index, slot.device, slot.n_threads, self._places.to_arguments(), str(self._log_dir)
        )
        worker = self._workers[slot.index] = _Worker(slot, actor)
        self._await(worker, actor.receive.remote())

    def _await(self, worker: _Worker, call: Any) -> None:
        self._calls[call] = worker
        worker.calls.add(call)

    def _order(self, index: int, order: Order) -> None:
        worker = self._workers[index]
        self._await(worker, worker.actor.order.remote(worker.n_orders, to_json(order)))
        worker.n_orders += 1

    def submit(self, worker: int, attempt: Attempt) -> None:
        self._order(worker, attempt)

    def prune(self, worker: int, number: int) -> None:
        self._order(worker, Prune(number=number))

    def proceed(self, worker: int, number: int, epoch: int) -> None:
        self._order(worker, Proceed(number=number, epoch=epoch))

    def stop(self, worker: int) -> None:
        self._order(worker, Stop())

    def restart(self, worker: int) -> None:
        self._start_worker(self.slots[worker])

    def poll(self, timeout_seconds: float) -> list[Event]:
        """As the protocol says.

        Raises:
            ClusterLostError: The cluster's head is out of reach.
        """
        self._head.look()
        if not self._calls:
            time.sleep(timeout_seconds)
            return []
        calls = list(self._calls)
        events: list[Event] = []
        ready, _ = ray.wait(calls, timeout=timeout_seconds)
        if ready:
            ready, _ = ray.wait(calls, num_returns=len(calls), timeout=0)
        for call in ready:
            worker = self._calls.pop(call, None)
            if worker is None:  # lost a moment ago
                continue
            worker.calls.discard(call)
            try:
                messages = ray.get(call)
            except RayActorError as error:
                events.append(self._lose(worker, error))
                continue
            if messages is not None:  # and no order that was taken
                events += self._read(worker, messages)
        return events

    def _read(self, worker: _Worker, messages: Sequence[bytes]) -> list[Event]:
        worker.has_spoken = True
        events: list[Event] = [from_json(message) for message in messages]
        if isinstance(events[-1], WorkerDied):
            self._bury(worker)
        else:
            self._await(worker, worker.actor.receive.remote())
        return events

    def _lose(self, worker: _Worker, error: RayActorError) -> WorkerDied:
        """An actor is gone, or out of reach, which comes to the same: what it was told or said may be lost."""
        self._bury(worker)
        reason = "its node or its Ray actor was lost" if worker.has_spoken else "its Ray actor could not start"
        return WorkerDied(worker=worker.slot.index, exit_code=None, output=str(error), reason=reason)

    def _bury(self, worker: _Worker) -> None:
        del self._workers[worker.slot.index]
        for call in worker.calls:
            self._calls.pop(call, None)
        if self._head.is_lost:  # nobody is there to do it, and Ray would wait
            return
        with contextlib.suppress(RayError, ValueError):
            ray.kill(worker.actor)

    def close(self, *, kill: bool = False) -> None:
        workers = list(self._workers.values())
        ending = [worker.actor.close.remote(kill) for worker in workers if worker.has_spoken]
        if ending:
            ray.wait(ending, num_returns=len(ending), timeout=SHUTDOWN_SECONDS + GRACE_SECONDS)
        for worker in workers:
            self._bury(worker)
