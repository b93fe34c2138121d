"""One attempt at a trial: data, training, checkpoints, outbox, outcome. The same code in every launcher."""

from __future__ import annotations

import errno
import gc
import math
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock

from sweeper.data.dataset import Dataset
from sweeper.errors import DivergedError, InfeasibleError, InputError
from sweeper.failpoints import failpoint
from sweeper.launch.control import Control
from sweeper.launch.describe import describe
from sweeper.launch.messages import Attempt, AttemptEnded, EpochDone, Preparing
from sweeper.launch.of_data import draw_data
from sweeper.places import Places
from sweeper.study.config import AnyTrialConfig, DataConfig, LoopTrialConfig, trial_config
from sweeper.study.plugins.sources import load_plugins
from sweeper.tracking.outbox import OutboxWriter, Row
from sweeper.tracking.paths import refuse_links_in
from sweeper.tracking.workspace import TrialFiles, make_durable, read_json, write_json
from sweeper.training.checkpoint import load_checkpoint, save_checkpoint, save_whole
from sweeper.training.devices import limit_memory, peak_memory
from sweeper.training.loop import EpochMetrics, Interrupted, Training
from sweeper.training.own_loop import LoopTraining

__all__ = ["run_attempt"]

LOCK_SECONDS = 60.0
_PREPARING_SECONDS = 1.0
_DESCRIPTIONS = ("config.json", "data.json", "layers.json", "model.json")
_DESCRIPTIONS_OF_OWN_LOOP = ("config.json",)
OBJECTIVE = "objective"
"""Metric in every row: the trial's value if it ended there. Its last value is the trial's value."""


def run_attempt(
    attempt: Attempt,
    *,
    worker: int,
    device: torch.device,
    open_data: Callable[[DataConfig], Dataset],
    control: Control,
    places: Places | None = None,
) -> Iterator[Preparing | EpochDone | AttemptEnded]:
    """Train a trial from its last checkpoint to its end; yields each epoch, and last how the attempt ended.

    Nothing that goes wrong with the trial is raised: it is in the last event.
    """
    files = TrialFiles(folder=Path(attempt.folder))
    try:
        refuse_links_in(files.folder)
        files.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(files.lock, timeout=LOCK_SECONDS):  # the worker of a dead driver may live for a moment
            if files.outcome.exists():
                yield AttemptEnded(worker=worker, number=attempt.number, how="outcome")
            else:
                try:
                    run = _Run(attempt, files, worker, device, open_data, control, places)
                except InfeasibleError as error:
                    if attempt.memory_share is not None:
                        yield _outgrown(attempt, worker, error)
                    else:
                        _write_infeasible(attempt, files, device, error)
                        yield AttemptEnded(worker=worker, number=attempt.number, how="outcome")
                else:
                    yield from run.events()
    except Exception as error:  # noqa: BLE001  # whatever a trial raises is that trial's failure
        full = _disk_is_full(error)
        if full is not None:
            yield AttemptEnded(worker=worker, number=attempt.number, how="no_space", reason=str(full))
        elif isinstance(error, InputError):
            yield AttemptEnded(worker=worker, number=attempt.number, how="bad_input", reason=str(error))
        else:
            yield AttemptEnded(
                worker=worker,
                number=attempt.number,
                how="error",
                reason=f"{type(error).__name__}: {error}",
                traceback=traceback.format_exc(),
            )
    finally:
        gc.collect()  # a few ms in a worker, which freezes what it imported; modules hold cycles of tensors
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _disk_is_full(error: BaseException | None) -> OSError | None:
    """The error, or the one behind it, that says so: torch and others raise their own in its wake."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return error
        error = error.__cause__ or error.__context__
    return None


def _outgrown(attempt: Attempt, worker: int, error: InfeasibleError) -> AttemptEnded:
    return AttemptEnded(worker=worker, number=attempt.number, how="outgrown", reason=str(error))


def _write_infeasible(attempt: Attempt, files: TrialFiles, device: torch.device, error: InfeasibleError) -> None:
    """The outcome of a trial whose model does not even fit into memory by itself."""
    (files.artifacts / "reason.txt").write_text(f"{error}\n", encoding="utf-8")
    tags = {
        "sweeper.attempt": str(attempt.attempt),
        "sweeper.device": str(device),
        "sweeper.reason": "infeasible",
        "sweeper.error": str(error).partition("\n")[0],
    }
    end_time_ms = time.time_ns() // 1_000_000
    write_json(
        files.outcome,
        {"state": "FAIL", "value": None, "reason": "infeasible", "end_time_ms": end_time_ms, "tags": tags},
    )


class _Run:
    def __init__(
        self,
        attempt: Attempt,
        files: TrialFiles,
        worker: int,
        device: torch.device,
        open_data: Callable[[DataConfig], Dataset],
        control: Control,
        places: Places | None,
    ) -> None:
        self.attempt = attempt
        self.worker = worker
        self.control = control
        self.places = places
        self.files = files
        self.files.artifacts.mkdir(exist_ok=True)
        failpoint("attempt.begun")
        load_plugins(() if places is None else places.plugins)
        self.config: AnyTrialConfig = trial_config(attempt.config).model_validate(attempt.config)
        limit_memory(device, attempt.memory_share)
        self.dataset: Dataset | None = None
        self.training: Training | LoopTraining
        if isinstance(self.config, LoopTrialConfig):
            self.training = LoopTraining(
                config=self.config,
                device=device,
                number=attempt.number,
                folder=self.files.of_loop,
                artifacts=self.files.artifacts,
                places=places,
                should_stop=lambda: control.prune,
                measure_test=attempt.measure_test,
            )
        else:
            self.dataset = open_data(self.config.data)
            failpoint("attempt.data_opened")
            self.training = Training(
                config=self.config,
                dataset=self.dataset,
                device=device,
                places=places,
                should_stop=lambda: control.prune,
                measure_test=attempt.measure_test,
                may_split_batches=attempt.memory_share is None,
            )
        self.best_value: float | None = None
        self.best_epoch = 0
        self.best_confusion: dict[str, torch.Tensor] = {}
        self.best_model: Mapping[str, torch.Tensor] | None = None  # not yet written; a loop of its own has none
        self.undurable: list[Path] = []  # written, but lost if the machine crashes
        checkpoint = load_checkpoint(self.files.checkpoint, self.files.previous_checkpoint)
        if checkpoint is not None:
            self.training.load_state_dict(checkpoint["training"])
            self.best_value, self.best_epoch = checkpoint["best_value"], checkpoint["best_epoch"]
            self.best_confusion = checkpoint["best_confusion"]
        self.outbox = OutboxWriter(self.files.outbox, checkpoint_epoch=self.training.epoch)
        self.saved_at = time.monotonic()

    def events(self) -> Iterator[Preparing | EpochDone | AttemptEnded]:
        try:
            if self.training.epoch > 0:
                self.outbox.release()
            state, reason, problem = "COMPLETE", "", ""
            try:
                if self.training.epoch == 0 or not self._is_described():
                    self._describe()
                is_prepared = yield from self._prepare()
                if not is_prepared:
                    yield self._stopped()
                    return
                with closing(self.training.epochs()) as epochs:  # a loop of its own cleans up before the trial ends
                    for metrics in epochs:
                        done = self._record(metrics)
                        failpoint("attempt.epoch_recorded")
                        yield done
                        failpoint("attempt.epoch_sent")
                        if self.attempt.prunable:
                            # Short epochs would run away from the driver, and no trial would ever be pruned.
                            self.control.wait_for(metrics.epoch - 1)
                        if self.control.prune:
                            state = "PRUNED"
                            break
                        if self.control.stop:
                            self._save()
                            yield self._stopped()
                            return
                        if time.monotonic() - self.saved_at >= self.attempt.checkpoint_seconds:
                            self._save()
            except Interrupted:
                state = "PRUNED"
            except (DivergedError, InfeasibleError) as error:
                if isinstance(error, InfeasibleError) and self.attempt.memory_share is not None:
                    yield _outgrown(self.attempt, self.worker, error)
                    return
                state, reason = "FAIL", "diverged" if isinstance(error, DivergedError) else "infeasible"
                problem = str(error).partition("\n")[0]
                (self.files.artifacts / "reason.txt").write_text(f"{error}\n", encoding="utf-8")
            self._finish(state, reason, problem)
            failpoint("attempt.outcome_written")
            yield AttemptEnded(worker=self.worker, number=self.attempt.number, how="outcome")
        finally:
            self.outbox.close()

    def _prepare(self) -> Generator[Preparing, None, bool]:
        """What comes before the first epoch. Returns False where it was left off, since the driver wants the worker to
        stop; the next attempt goes on with it."""
        told_at = -math.inf
        for done, total in self.training.prepare():
            if self.control.stop:
                return False
            if time.monotonic() - told_at >= _PREPARING_SECONDS:
                told_at = time.monotonic()
                yield Preparing(worker=self.worker, number=self.attempt.number, done=done, total=total)
        return True

    def _stopped(self) -> AttemptEnded:
        how: Literal["stopped", "preempted"] = "preempted" if self.control.leave else "stopped"
        return AttemptEnded(worker=self.worker, number=self.attempt.number, how=how)

    def _record(self, metrics: EpochMetrics) -> EpochDone:
        if self.attempt.metric not in metrics.values:
            known = ", ".join(sorted(metrics.values))
            what = "of this loop" if self.dataset is None else "for this data"
            raise InputError(f"objective.metric: given {self.attempt.metric!r}; allowed {what}: {known}")
        value = metrics.values[self.attempt.metric]
        if self._improves(value):
            self.best_value, self.best_epoch = value, metrics.epoch
            self.best_confusion = self.training.confusion
            # A model that would be deleted at once costs a large network seconds on the disk.
            self.best_model = self.training.model_state_dict() if self._is_kept(value) else None
        assert self.best_value is not None
        values = {OBJECTIVE: self.best_value, **metrics.values}
        self.outbox.append(Row(epoch=metrics.epoch, timestamp_ms=time.time_ns() // 1_000_000, values=values))
        return EpochDone(
            worker=self.worker,
            number=self.attempt.number,
            epoch=metrics.epoch,
            value=value,
            objective=self.best_value,
            pictures_per_second=metrics.values.get("pictures_per_second", 0.0),
            peak_bytes=peak_memory(self.training.device),
        )

    def _improves(self, value: float) -> bool:
        if self.best_value is None or self.attempt.at == "last":
            return True
        return value > self.best_value if self.attempt.maximize else value < self.best_value

    def _is_kept(self, value: float) -> bool:
        """Whether the model of a trial with this value is among those that are kept, as far as is known."""
        if not self.attempt.keep_model or self.attempt.kept_from is None:
            return self.attempt.keep_model
        return value >= self.attempt.kept_from if self.attempt.maximize else value <= self.attempt.kept_from

    def _save(self) -> None:
        """A checkpoint, and what belongs to it; then the rows up to it may be sent. None of a training that keeps
        nothing: the next attempt makes its rows again."""
        if not self.training.can_continue:
            return
        self._write_model()
        self._make_durable()
        self.outbox.sync()
        save_checkpoint(self.files.checkpoint, self.files.previous_checkpoint, self._state())
        self.outbox.release()
        failpoint("checkpoint.released")
        self.saved_at = time.monotonic()

    def _state(self) -> dict[str, Any]:
        return {
            "training": self.training.state_dict(),
            "best_value": self.best_value,
            "best_epoch": self.best_epoch,
            "best_confusion": self.best_confusion,
        }

    def _write_model(self) -> None:
        if self.best_model is not None:
            # A checkpoint counts on the model beside it, which must not be lost while another takes its place.
            replaces = self.files.model.exists()
            save_whole(self.files.model, dict(self.best_model), durable=replaces)
            if not replaces:
                self.undurable.append(self.files.model)
            self.best_model = None

    def _write_artifact(self, name: str, data: Any) -> None:
        path = self.files.artifacts / name
        write_json(path, data, durable=False)
        self.undurable.append(path)

    def _make_durable(self) -> None:
        """Before a checkpoint, after which nothing makes these files again."""
        make_durable(self.undurable)
        self.undurable = []

    def _finish(self, state: str, reason: str, problem: str) -> None:
        if state == "COMPLETE":
            self._write_model()
            is_kept = self.best_value is not None and self._is_kept(self.best_value)
            if is_kept and not self.training.stopped_early:  # by more epochs it would not go on
                # 0.7 ms of a multilayer perceptron of 5,000 parameters, 1.4 s of 25 million with Adam (busy AMD EPYC).
                # Not durable: a trial without it is continued from the start.
                save_whole(self.files.last, self._state(), durable=False)
            failpoint("attempt.model_written")
        if self.best_confusion and self.dataset is not None:
            self._write_artifact(
                "confusion.json",
                {
                    "class_names": self.dataset.class_names,
                    "epoch": self.best_epoch,
                    **{part: matrix_KK.tolist() for part, matrix_KK in self.best_confusion.items()},
                },
            )
        self.outbox.release(durable=False)
        failpoint("attempt.rows_released")
        write_json(
            self.files.outcome,
            {
                "state": state,
                "value": self.best_value,
                "reason": reason,
                "end_time_ms": time.time_ns() // 1_000_000,
                "tags": {
                    "sweeper.attempt": str(self.attempt.attempt),
                    "sweeper.best_epoch": str(self.best_epoch),
                    "sweeper.device": str(self.training.device),
                    **self._tags_of_built_in(),
                    "sweeper.n_threads": str(torch.get_num_threads()),
                    **({"sweeper.reason": reason} if reason else {}),
                    **({"sweeper.error": problem} if problem else {}),
                    **({"sweeper.micro_batch": str(self.training.micro_batch)} if self.training.micro_batch else {}),
                    **({"sweeper.stopped_early": "true"} if self.training.stopped_early else {}),
                },
            },
            # Nothing makes them again, the driver's file of the trial neither.
            after=[*self.undurable, self.files.outbox, *([self.files.trial] if self.files.trial.exists() else [])],
        )

    def _tags_of_built_in(self) -> dict[str, str]:
        if self.dataset is None or isinstance(self.training, LoopTraining):
            return {}
        return {
            "sweeper.data_fingerprint": self.dataset.fingerprint,
            "sweeper.n_parameters": str(self.training.n_parameters),
        }

    def _is_described(self) -> bool:
        """Whether the artifacts of an attempt before are there; a crash of the machine may have left them torn."""
        names = _DESCRIPTIONS if self.dataset is not None else _DESCRIPTIONS_OF_OWN_LOOP
        return all(read_json(self.files.artifacts / name) is not None for name in names)

    def _describe(self) -> None:
        """Artifacts that are known before the first epoch."""
        self._write_artifact("config.json", self.config.model_dump(mode="json"))
        if isinstance(self.training, LoopTraining) or isinstance(self.config, LoopTrialConfig):
            return
        assert self.dataset is not None
        if self.attempt.number == 0:
            draw_data(self.files, self.dataset)
        for name, data in describe(self.config, self.dataset, self.training, self.places).items():
            self._write_artifact(name, data)
