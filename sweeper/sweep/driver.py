"""The driver of one sweep."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sweeper
from sweeper.errors import InputError, SweeperError, WorkersLostError
from sweeper.launch.launcher import Launcher
from sweeper.launch.messages import Attempt, AttemptEnded, EpochDone, Event, WorkerDied, WorkerReady
from sweeper.search.optimizer import Optimizer, Proposal
from sweeper.sweep.attempts import Attempts, RetryPolicy
from sweeper.sweep.ledger import Ledger
from sweeper.sweep.progress import Progress, TrialEnded, View, WorkerProgress, write_progress
from sweeper.tracking.outbox import read_released
from sweeper.tracking.recorder import Recorder
from sweeper.tracking.workspace import StudyFiles, TrialFiles, read_json

__all__ = ["Driver", "DriverOptions", "SweepResult"]

POLL_SECONDS = 0.25
SHORT_TRIAL_SECONDS = 5.0
"""Asking, storing and dispatching take about 50 ms; for trials shorter than this a worker would wait for over 1 %."""
MAX_FAILURES_AT_START = 5
"""So many failed trials before any has completed or been pruned end the sweep: something is wrong with all of them."""
MAX_DEATHS_OF_WORKER = 5


@dataclass(frozen=True, kw_only=True)
class DriverOptions:
    """How a driver goes about its sweep."""

    checkpoint_seconds: float = 10.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    may_ask_ahead: bool = True
    """Whether a trial may be asked for before a worker is free, where trials are short."""
    timeout_seconds: float | None = None
    """Seconds of the study's budget that are left."""


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """How a sweep ended."""

    finished: bool
    """Whether the whole budget is spent."""
    reason: str
    """Why it ended before, if it did."""


@dataclass(frozen=True, kw_only=True)
class _Running:
    proposal: Proposal
    started: float


class Driver:
    """Owns a study while it runs: asks, dispatches, reports, prunes, tells, retries.

    Call `run` once. `request_stop` may be called meanwhile, from a signal handler too.
    """

    def __init__(
        self,
        *,
        optimizer: Optimizer,
        launcher: Launcher,
        recorder: Recorder,
        files: StudyFiles,
        ledger: Ledger,
        view: View,
        options: DriverOptions,
    ) -> None:
        self._optimizer = optimizer
        self._launcher = launcher
        self._recorder = recorder
        self._files = files
        self._ledger = ledger
        self._view = view
        self._options = options
        self._objective = optimizer.study.objective
        self._running: dict[int, _Running] = {}
        self._ready: deque[Proposal] = deque()
        self._idle: list[int] = []
        self._deaths: dict[int, int] = {}
        self._stop_request = ""
        self._last_failure = ""
        self._shown_at = 0.0
        self._fatal: SweeperError | None = None
        self.progress = Progress(
            name=optimizer.study.name,
            metric=self._objective.metric,
            maximize=self._objective.maximize,
            n_trials=optimizer.n_trials,
            workers=[WorkerProgress(index=slot.index, device=slot.device) for slot in launcher.slots],
        )

    def request_stop(self, how: str) -> None:
        """Ask for the end: `drain` lets each trial finish its epoch and make a checkpoint, `now` does not."""
        if self._stop_request != "now":
            self._stop_request = how

    def run(self) -> SweepResult:
        """Run the sweep to the end of its budget, or until it is stopped.

        Raises:
            WorkersLostError: Every worker has died too often.
            InputError: The trials cannot be trained as the study says.
        """
        self._count_trials()
        if self._optimizer.exhausted:
            return SweepResult(finished=True, reason="")
        killed = False
        self._launcher.start()
        try:
            deadline = time.monotonic() + (self._options.timeout_seconds or float("inf"))
            draining = False
            while True:
                if not draining:
                    reason = self._reason_to_stop(deadline)
                    if reason:
                        draining = True
                        self.progress.stopping = reason
                        for worker in self._running:
                            self._launcher.stop(worker)
                if self._stop_request == "now":
                    killed = True
                    break
                if not draining:
                    self._dispatch()
                    self._ask()
                    self._dispatch()
                if not self._running and (draining or not self._has_work()):
                    break
                waits_for_storage = bool(self._idle and self._ready)
                for event in self._launcher.poll(0.002 if waits_for_storage else POLL_SECONDS):
                    self._handle(event)
                self._show()
        except BaseException:
            killed = True
            raise
        finally:
            self._launcher.close(kill=killed)
            for running in self._running.values():
                self._put_back(running.proposal)
            for proposal in self._ready:
                self._put_back(proposal)
            self._show()
        if self._fatal is not None:
            raise self._fatal
        return SweepResult(finished=self._optimizer.exhausted, reason=self.progress.stopping)

    def _show(self) -> None:
        self._view.update(self.progress)
        now = time.monotonic()
        if now - self._shown_at >= 1.0 or not self._running:
            self._shown_at = now
            write_progress(self._files.progress, self.progress)

    def _reason_to_stop(self, deadline: float) -> str:
        request = self._stop_request or self._read_stop_file()
        if request:
            self._stop_request = request
            return "stopped on request"
        if self._fatal is not None:
            return str(self._fatal)
        return "out of time" if time.monotonic() >= deadline else ""

    def _read_stop_file(self) -> str:
        try:
            return self._files.stop.read_text().strip() or "drain"
        except FileNotFoundError:
            return ""

    def _has_work(self) -> bool:
        return bool(self._ready) or not self._optimizer.exhausted

    def _ask(self) -> None:
        """Have a trial ready for each idle worker, and one more where trials are short."""
        progress = self.progress
        mean_seconds = progress.seconds_of_ended / progress.n_timed if progress.n_timed else SHORT_TRIAL_SECONDS
        ahead = int(self._options.may_ask_ahead and mean_seconds < SHORT_TRIAL_SECONDS)
        while len(self._ready) < len(self._idle) + ahead and not self._optimizer.exhausted:
            self._ready.append(self._optimizer.ask())

    def _dispatch(self) -> None:
        while self._idle and self._ready and self._ready[0].stored:
            proposal = self._ready.popleft()
            worker = self._idle.pop(0)
            files = self._files.trial(proposal.number)
            attempts = Attempts.read(files).started()
            self._ledger.begin(proposal, attempts)
            for row in read_released(files.outbox)[0]:  # reports that a crash kept from Optuna's database
                self._optimizer.report(proposal.number, row.epoch, row.values[self._objective.metric])
            self._recorder.note(proposal.number)
            self._running[worker] = _Running(proposal=proposal, started=time.monotonic())
            shown = self.progress.workers[worker]
            shown.state, shown.number, shown.epoch = "training", proposal.number, 0
            shown.n_epochs, shown.objective = proposal.config.training.epochs, None
            self._launcher.submit(worker, self._attempt(proposal, attempts, files))

    def _attempt(self, proposal: Proposal, attempts: Attempts, files: TrialFiles) -> Attempt:
        return Attempt(
            number=proposal.number,
            attempt=attempts.n_started,
            config=proposal.config.model_dump(mode="json"),
            folder=str(files.folder),
            metric=self._objective.metric,
            maximize=self._objective.maximize,
            at=self._objective.at,
            keep_model=self._optimizer.study.keep_models > 0,
            prunable=self._optimizer.study.pruner.name != "none",
            checkpoint_seconds=self._options.checkpoint_seconds,
        )

    def _handle(self, event: Event) -> None:
        if isinstance(event, WorkerReady):
            self._worker_ready(event)
        elif isinstance(event, EpochDone):
            self._epoch_done(event)
        elif isinstance(event, AttemptEnded):
            self._attempt_ended(event)
        else:
            self._worker_died(event)

    def _worker_ready(self, event: WorkerReady) -> None:
        if event.version != sweeper.__version__:
            self._fatal = SweeperError(
                f"worker {event.worker} on {event.host} has sweeper {event.version}, the driver {sweeper.__version__}; "
                "install the same version on both"
            )
            return
        self._idle.append(event.worker)
        self.progress.workers[event.worker].state = "idle"

    def _epoch_done(self, event: EpochDone) -> None:
        shown = self.progress.workers[event.worker]
        shown.epoch, shown.objective = event.epoch, event.objective
        shown.pictures_per_second = event.pictures_per_second
        self._deaths[event.worker] = 0
        self._recorder.note(event.number)
        if self._optimizer.report(event.number, event.epoch, event.value) and event.epoch < shown.n_epochs:
            self._launcher.prune(event.worker, event.number)
        elif self._optimizer.study.pruner.name != "none":
            self._launcher.proceed(event.worker, event.number, event.epoch)

    def _attempt_ended(self, event: AttemptEnded) -> None:
        running = self._running.pop(event.worker)
        self._release_worker(event.worker)
        proposal, files = running.proposal, self._files.trial(event.number)
        if event.how == "outcome":
            self._finish(proposal, read_json(files.outcome), time.monotonic() - running.started)
        elif event.how == "stopped":
            self._put_back(proposal)
        elif event.how == "bad_input" and not self.progress.n_by_state["COMPLETE"]:
            # The first trial already cannot be trained as the study says: all others would fail alike.
            self._put_back(proposal)
            self._fatal = InputError(event.reason)
        else:
            attempts = Attempts.read(files).raised()
            attempts.write(files)
            self._retry_or_fail(proposal, attempts, event.reason, event.traceback or event.reason)

    def _worker_died(self, event: WorkerDied) -> None:
        self._release_worker(event.worker, lost=True)
        running = self._running.pop(event.worker, None)
        if event.worker in self._idle:
            self._idle.remove(event.worker)
        self._deaths[event.worker] = self._deaths.get(event.worker, 0) + 1
        if running is not None:
            files = self._files.trial(running.proposal.number)
            outcome = read_json(files.outcome)
            if outcome is not None:  # it died between its last words and the next trial
                self._finish(running.proposal, outcome, time.monotonic() - running.started)
            else:
                attempts = Attempts.read(files).died(files)
                attempts.write(files)
                reason = f"the worker's process ended with exit code {event.exit_code}"
                self._retry_or_fail(running.proposal, attempts, reason, f"{reason}; its last output:\n{event.output}")
        if self._deaths[event.worker] < MAX_DEATHS_OF_WORKER:
            self._view.message(f"worker {event.worker} died (exit code {event.exit_code}); starting another")
            self._launcher.restart(event.worker)
            self.progress.workers[event.worker].state = "starting"
        else:
            self._view.message(f"worker {event.worker} died {MAX_DEATHS_OF_WORKER} times in a row and is retired")
            if all(worker.state == "lost" for worker in self.progress.workers):
                output = f"; the last output was:\n{event.output}" if event.output else ""
                self._fatal = WorkersLostError(f"all workers have died too often{output}")

    def _release_worker(self, worker: int, *, lost: bool = False) -> None:
        shown = self.progress.workers[worker]
        shown.state, shown.number, shown.pictures_per_second = "lost" if lost else "idle", None, None
        if not lost:
            self._idle.append(worker)

    def _retry_or_fail(self, proposal: Proposal, attempts: Attempts, reason: str, details: str) -> None:
        verdict = attempts.verdict(self._options.retry)
        if verdict is None:
            self._view.message(f"trial {proposal.number}: {reason}; trying again")
            self._ready.append(proposal)
            return
        self._last_failure = reason
        outcome = self._ledger.fail(proposal.number, verdict, details, attempts)
        self._finish(proposal, outcome, 0.0)

    def _put_back(self, proposal: Proposal) -> None:
        self._optimizer.requeue(proposal.number)
        self._ledger.put_back(proposal.number)
        self._recorder.note(proposal.number, urgent=True)

    def _finish(self, proposal: Proposal, outcome: Mapping[str, Any], seconds: float) -> None:
        """Optuna first: what it was told is final, and the rest follows from it."""
        number, state, value, reason = proposal.number, outcome["state"], outcome["value"], outcome["reason"]
        self._optimizer.tell(number, state, value, reason or None)
        self._ledger.end(number, outcome)
        self._recorder.note(number, urgent=True)
        progress = self.progress
        progress.n_by_state[state] += 1
        if seconds:
            progress.seconds_of_ended += seconds
            progress.n_timed += 1
        by_state = progress.n_by_state
        only_failures = by_state["FAIL"] == progress.n_ended >= MAX_FAILURES_AT_START
        if state == "FAIL" and reason != "diverged" and only_failures:
            self._fatal = SweeperError(
                f"the first {progress.n_ended} trials all failed, and the rest would too; the last one: "
                f"{self._last_failure or reason}"
            )
        is_best = state == "COMPLETE" and self._objective.is_better(value, progress.best_value)
        if is_best:
            progress.best_number, progress.best_value = number, value
        self._view.trial_ended(
            TrialEnded(
                number=number,
                state=state,
                value=value,
                reason=reason,
                params=proposal.params,
                seconds=seconds,
                is_best=is_best,
            )
        )

    def _count_trials(self) -> None:
        for trial in self._optimizer.trials():
            if trial.finished:
                self.progress.n_by_state[trial.state] += 1
            if trial.state != "COMPLETE" or trial.value is None:
                continue
            if self._objective.is_better(trial.value, self.progress.best_value):
                self.progress.best_number, self.progress.best_value = trial.number, trial.value
