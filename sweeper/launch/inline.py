"""A launcher that trains in the driver's own process, for debugging: one worker, no threads, nothing hidden."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence

import torch

import sweeper
from sweeper.data.store import open_dataset
from sweeper.launch.attempt import run_attempt
from sweeper.launch.control import Control
from sweeper.launch.gpus import number_gpus_by_bus
from sweeper.launch.launcher import WorkerSlot
from sweeper.launch.messages import Attempt, AttemptEnded, EpochDone, Event, Preparing, WorkerReady
from sweeper.places import Places

__all__ = ["InlineLauncher"]


class InlineLauncher:
    """Implements `Launcher` in this process. Each call of `poll` trains one epoch."""

    def __init__(self, *, device: str, places: Places) -> None:
        self.slots: Sequence[WorkerSlot] = (WorkerSlot(index=0, device=device, n_threads=torch.get_num_threads()),)
        self._device = torch.device(device)
        os.environ.update(number_gpus_by_bus(os.environ))
        self._places = places
        self._events: list[Event] = []
        self._control = Control()
        self._run: Iterator[Preparing | EpochDone | AttemptEnded] | None = None

    def start(self) -> None:
        slot = self.slots[0]
        self._events.append(
            WorkerReady(
                worker=0,
                version=sweeper.__version__,
                host=socket.gethostname(),
                pid=os.getpid(),
                device=slot.device,
                n_threads=slot.n_threads,
            )
        )

    def submit(self, worker: int, attempt: Attempt) -> None:
        assert self._run is None
        self._control = Control()
        self._run = run_attempt(
            attempt,
            worker=0,
            device=self._device,
            open_data=lambda config: open_dataset(
                config, cache_dir=self._places.cache_dir, data_dir=self._places.data_dir
            ),
            control=self._control,
            places=self._places,
        )

    def prune(self, worker: int, number: int) -> None:
        self._control.end()

    def proceed(self, worker: int, number: int, epoch: int) -> None:
        self._control.proceed(epoch)

    def stop(self, worker: int) -> None:
        self._control.stop = True

    def restart(self, worker: int) -> None:
        self.start()

    def poll(self, timeout_seconds: float) -> list[Event]:
        events, self._events = self._events, []
        if not events and self._run is not None:
            event = next(self._run)
            events.append(event)
            if isinstance(event, AttemptEnded):
                self._run.close()  # type: ignore[attr-defined]  # it is a generator
                self._run = None
        return events

    def close(self, *, kill: bool = False) -> None:
        if self._run is not None:
            self._run.close()  # type: ignore[attr-defined]  # it is a generator
            self._run = None
