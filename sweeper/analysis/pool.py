"""Folds trained by several processes of this machine."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path

from sweeper.analysis.folds import Fold
from sweeper.errors import InputError, SweeperError, TrialError
from sweeper.launch.gpus import hold_gpus
from sweeper.launch.launcher import WorkerSlot
from sweeper.launch.process import ChildProcess, start_python
from sweeper.places import Places

__all__ = ["train_folds"]

FOLD_WORKER = "sweeper.analysis.fold_worker"
OnEpoch = Callable[[Fold, int], None]


class _Process(ChildProcess):
    """A process and the fold that it has."""

    def __init__(self, slot: WorkerSlot, places: Places, log: Path) -> None:
        self.fold: Fold | None = None
        arguments = [slot.device, str(slot.n_threads), *places.to_arguments()]
        super().__init__(partial(start_python, FOLD_WORKER, arguments, n_threads=slot.n_threads), log)

    def begin(self, fold: Fold) -> None:
        self.fold = fold
        self.send(json.dumps(asdict(fold)).encode())

    def end(self) -> None:
        self.handle.kill()
        self.handle.wait()
        self.connection.close()

    def death(self) -> SweeperError:
        exit_code = self.handle.wait()
        last = self.log.tail(2000).strip()
        return SweeperError(
            f"the process that trained a fold died with exit code {exit_code}; run the same command again "
            "to go on" + (f"; it had printed:\n{last}" if last else "")
        )


def train_folds(
    folds: Sequence[Fold],
    *,
    slots: Sequence[WorkerSlot],
    places: Places,
    log_dir: Path,
    on_epoch: OnEpoch = lambda fold, epoch: None,
    on_done: Callable[[Fold], None] = lambda fold: None,
) -> None:
    """Train folds, each in the next process that is free. When this ends, in whatever way, so have the processes.

    Args:
        folds: What to train.
        slots: Where; not more processes are started than there are folds, and none in reserve.
        places: Where pictures lie.
        log_dir: For what the processes print.
        on_epoch: Told of each epoch.
        on_done: Told of each fold that is done.

    Raises:
        TrialError: A fold diverged or did not fit into memory.
        InputError: Pictures are missing, or a configuration does not fit them.
        SweeperError: A process died or raised; what is done is kept.
        OwnedError: A sweep has one of the GPUs.
    """
    waiting = deque(folds)
    processes: dict[Connection, _Process] = {}
    wanted = [slot for slot in slots if not slot.is_reserve][: len(folds)]
    held = ExitStack()
    try:
        held.enter_context(hold_gpus([slot.gpu for slot in wanted if slot.gpu is not None], "an audit of labels"))
        for slot in wanted:
            process = _Process(slot, places, log_dir / f"{slot.index}.log")
            processes[process.connection] = process
            process.begin(waiting.popleft())
        while processes:
            for connection in wait(list(processes)):
                assert isinstance(connection, Connection)
                process = processes[connection]
                fold = process.fold
                assert fold is not None
                said = process.receive()
                if said is None:
                    raise process.death()
                message = json.loads(said)
                if message["event"] == "epoch":
                    on_epoch(fold, message["epoch"])
                    continue
                if message["event"] == "failed":
                    raise _failure(fold, message)
                on_done(fold)
                if waiting:
                    process.begin(waiting.popleft())
                else:
                    process.end()
                    del processes[connection]
    finally:
        for process in processes.values():
            process.end()
        held.close()


def _failure(fold: Fold, message: dict[str, str]) -> SweeperError:
    reason = message["reason"]
    if message["kind"] in ("DivergedError", "InfeasibleError"):
        return TrialError(f"fold {fold.index + 1} of {fold.n_folds} cannot be trained: {reason}")
    if message["kind"] in ("DataError", "InputError"):
        return InputError(reason)
    return SweeperError(f"fold {fold.index + 1} of {fold.n_folds}: {message.get('traceback') or reason}")
