"""The driver of one sweep."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sweeper
from sweeper.errors import InputError, SweeperError, WorkersLostError
from sweeper.failpoints import failpoint
from sweeper.launch.launcher import Launcher
from sweeper.launch.messages import (
    EXIT_PREEMPTED,
    Attempt,
    AttemptEnded,
    EpochDone,
    Event,
    Preparing,
    WorkerDied,
    WorkerReady,
)
from sweeper.search.optimizer import Optimizer, Proposal
from sweeper.sweep.asking import Asker
from sweeper.sweep.attempts import Attempts, RetryPolicy
from sweeper.sweep.clock import Clock
from sweeper.sweep.crew import Crew
from sweeper.sweep.disk import Disk, is_full, or_full
from sweeper.sweep.ledger import Ledger
from sweeper.sweep.progress import Progress, TrialEnded, View, WorkerProgress, write_progress
from sweeper.sweep.sharing import Sharing
from sweeper.tracking.outbox import read_released
from sweeper.tracking.recorder import Recorder
from sweeper.tracking.workspace import StudyFiles, TrialFiles, read_json

__all__ = ["Driver", "DriverOptions", "SweepResult"]

POLL_SECONDS = 0.25
STORAGE_SECONDS = 0.002
MAX_FAILURES_AT_START = 5
"""So many failed trials before any has completed or been pruned end the sweep: something is wrong with all of them."""


@dataclass(frozen=True, kw_only=True)
class DriverOptions:
    """How a driver goes about its sweep."""

    checkpoint_seconds: float = 10.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    may_ask_ahead: bool = True
    """Whether a trial may be asked for before a worker is free, where trials are short."""


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """How a sweep ended."""

    finished: bool
    """Whether the whole budget is spent."""
    reason: str
    """Why it ended before, if it did."""


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
        self._stop_file = files.stop
        self._ledger = ledger
        self._view = view
        self._options = options
        self._objective = optimizer.study.objective
        self._asker = Asker(optimizer, files.queue, n_workers=len(launcher.slots) if options.may_ask_ahead else 0)
        self._ready = self._asker.ready
        self._deferred: list[AttemptEnded | WorkerDied] = []
        """What waits for the trial that the sampler computes."""
        self._outgrown: deque[Proposal] = deque()
        """Trials that need a GPU for themselves."""
        self._stop_request = ""
        self._last_failure = ""
        self._disk = Disk(files.folder, view.message)
        self._shown_at = 0.0
        self.has_ended = False
        """Whether `run` has returned or raised."""
        self._fatal: SweeperError | None = None
        self._abandoned = False
        self._draining = False
        self._drain_until = math.inf
        """On the monotonic clock."""
        self.progress = Progress(
            name=optimizer.study.name,
            metric=self._objective.metric,
            maximize=self._objective.maximize,
            n_trials=optimizer.n_trials,
            workers=[WorkerProgress(index=slot.index, device=slot.device) for slot in launcher.slots],
        )
        self._crew = Crew(launcher, self.progress)
        self._sharing = Sharing(launcher.slots)
        self._clock = Clock(files.elapsed, budget_seconds=optimizer.study.budget.timeout_seconds)

    def request_stop(self, how: str, *, within_seconds: float = math.inf) -> None:
        """Ask for the end.

        Args:
            how: `drain` lets each trial finish its epoch and make a checkpoint, `now` does not.
            within_seconds: Time for draining; then it ends as with `now`.
        """
        if self._stop_request != "now":
            self._stop_request = how
        self._drain_until = min(self._drain_until, time.monotonic() + within_seconds)

    @property
    def is_hurried(self) -> bool:
        """Whether it was asked to end within a time, as by who stops a container."""
        return self._drain_until < math.inf

    def abandon(self, error: SweeperError) -> None:
        """End at once and leave everything as it is: the study is another driver's. `run` raises the error."""
        self._fatal, self._abandoned, self._stop_request = error, True, "now"

    def give_up(self, error: SweeperError) -> None:
        """End as by `drain`: trials keep what they have, and go on with `sweeper resume`. `run` raises the error. From
        any thread."""
        if self._fatal is None:
            self._fatal = error

    def run(self) -> SweepResult:
        """Run the sweep to the end of its budget, or until it is stopped.

        Raises:
            WorkersLostError: Every worker has died too often.
            InputError: The trials cannot be trained as the study says.
            OwnedError: Another driver has taken the study, while Optuna's database was out of reach.
            AccessError: A server that the sweep needs has begun to deny access.
        """
        self._count_trials()
        if not self._has_work():
            finished = self._optimizer.exhausted
            return SweepResult(finished=finished, reason="" if finished else self._clock.reason)
        killed = False
        self._launcher.start()
        try:
            while True:
                if not self._draining:
                    reason = self._reason_to_stop()
                    if reason:
                        self._draining = True
                        self.progress.stopping = reason
                        for worker, _ in self._crew.assignments():
                            self._launcher.stop(worker)
                elif self._read_stop_file() == "now" or time.monotonic() > self._drain_until:
                    self._stop_request = "now"
                if self._stop_request == "now":
                    killed = True
                    break
                self._settle()
                wants_more = False
                if self._may_dispatch:
                    self._dispatch()
                    if self._clock.has_time:
                        wants_more = self._asker.ask(
                            n_idle=self._crew.n_idle,
                            is_busy=self._crew.is_busy,
                            mean_seconds=self.progress.mean_seconds,
                        )
                        self._dispatch()
                if self._is_over():
                    break
                for event in self._launcher.poll(0.0 if wants_more else self._poll_seconds):
                    if self._asker.is_asking and isinstance(event, AttemptEnded | WorkerDied):
                        self._deferred.append(event)
                    else:
                        self._handle(event)
                self._show()
        except BaseException:
            killed = True
            raise
        finally:
            self._asker.close()
            with or_full():
                self._clock.stop()
            self._launcher.close(kill=killed)
            if not self._abandoned:
                self._disk.give_up()
                for _, assignment in self._crew.assignments():
                    self._put_back(assignment.proposal)
                for proposal in (*self._outgrown, *self._ready):
                    self._put_back(proposal)
                self._disk.give_up()
            self._show(at_once=True)
            self.has_ended = True
        if self._fatal is not None:
            raise self._fatal
        if not self._clock.has_time and not self.progress.stopping:
            self.progress.stopping = self._clock.reason
        return SweepResult(finished=self._optimizer.exhausted, reason=self.progress.stopping)

    def _settle(self) -> None:
        """Do what waits for a trial that is asked for, or for room on the disk."""
        if not self._asker.settle():
            return
        deferred, self._deferred = self._deferred, []
        for event in deferred:
            self._handle(event)
        self._disk.settle()

    def _is_over(self) -> bool:
        if self._crew.is_busy or self._asker.is_asking:
            return False
        return self._draining or not (self._has_work() or self._disk.is_owed)

    @property
    def _poll_seconds(self) -> float:
        """How long the workers may have nothing to say until something else is looked at."""
        waits_for_storage = bool(self._crew.n_idle and (self._ready or not self._asker.has_read_queue))
        return STORAGE_SECONDS if waits_for_storage or self._asker.is_asking else POLL_SECONDS

    def _show(self, *, at_once: bool = False) -> None:
        self._view.update(self.progress)
        now = time.monotonic()
        if at_once or now - self._shown_at >= 1.0:
            self._shown_at = now
            with or_full():
                write_progress(self._files.progress, self.progress)

    def _reason_to_stop(self) -> str:
        request = self._stop_request or self._read_stop_file()
        if request:
            self._stop_request = request
            return "stopped on request"
        return "" if self._fatal is None else str(self._fatal)

    def _read_stop_file(self) -> str:
        if not self._stop_file.exists():  # asked several times an epoch
            return ""
        try:
            return self._stop_file.read_text().strip() or "drain"
        except FileNotFoundError:
            return ""

    def _has_work(self) -> bool:
        return bool(self._ready or self._outgrown) or (self._clock.has_time and not self._optimizer.exhausted)

    @property
    def _may_dispatch(self) -> bool:
        return not (self._draining or self._stop_request or self._fatal) and self._disk.has_room

    def _dispatch(self) -> None:
        if self._outgrown and self._crew.clear_device():
            self._begin(self._outgrown, alone=True)
        while self._crew.n_idle and self._ready and self._ready[0].stored:
            if not self._begin(self._ready):
                return

    def _begin(self, queue: deque[Proposal], *, alone: bool = False) -> bool:
        """Give the first trial of a queue to a worker. Returns False where the disk is full."""
        proposal = queue[0]
        files = self._files.trial(proposal.number)
        attempts = Attempts.read(files).started()
        try:
            self._ledger.begin(proposal, attempts)
        except OSError as error:
            if not is_full(error):
                raise
            self._disk.found_full(str(error))
            return False
        queue.popleft()
        failpoint("driver.begun")
        for row in read_released(files.outbox)[0]:  # reports that a crash kept from Optuna's database
            self._optimizer.report(proposal.number, row.epoch, row.values[self._objective.metric])
        self._recorder.note(proposal.number)
        worker = self._crew.assign(proposal, alone=alone)
        share = None if alone else self._sharing.share_of(worker)
        self._launcher.submit(worker, self._attempt(proposal, attempts, files, memory_share=share))
        failpoint("driver.submitted")
        return True

    def _attempt(
        self, proposal: Proposal, attempts: Attempts, files: TrialFiles, *, memory_share: float | None
    ) -> Attempt:
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
            measure_test=self._optimizer.is_final,
            memory_share=memory_share,
            kept_from=self._ledger.kept_from,
        )

    def _handle(self, event: Event) -> None:
        if isinstance(event, WorkerReady):
            self._worker_ready(event)
        elif isinstance(event, Preparing):
            if self._crew.preparing(event):
                self._view.message(
                    f"trial {event.number}: the frozen backbone has run for {event.done:,} of {event.total:,} pictures "
                    "and views, and runs for the others once"
                )
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
        self._clock.start()
        self._crew.ready(event)

    def _epoch_done(self, event: EpochDone) -> None:
        self._crew.epoch_done(event)
        for worker in self._sharing.measured(event):
            self._crew.open(worker)
        self._recorder.note(event.number)
        is_last = event.epoch == self.progress.workers[event.worker].n_epochs
        if self._optimizer.report(event.number, event.epoch, event.value) and not is_last:
            self._launcher.prune(event.worker, event.number)
        elif self._optimizer.study.pruner.name != "none":
            self._launcher.proceed(event.worker, event.number, event.epoch)
        failpoint("driver.epoch_reported")

    def _attempt_ended(self, event: AttemptEnded) -> None:
        assignment = self._crew.release(event.worker, leaving=event.how == "preempted")
        proposal, files = assignment.proposal, self._files.trial(event.number)
        seconds = assignment.seconds
        if event.how == "outcome":
            if self._may_dispatch:
                self._dispatch()  # what was asked ahead: the worker need not wait until the books are kept
            self._disk.write(lambda: self._finish(proposal, read_json(files.outcome), seconds))
        elif event.how in ("stopped", "preempted"):
            self._put_back(proposal)
        elif event.how == "outgrown":
            self._view.message(
                f"trial {event.number} has outgrown its share of {self.progress.workers[event.worker].device} and will "
                "have a GPU alone"
            )
            self._outgrown.append(proposal)
        elif event.how == "no_space":
            self._disk.found_full(event.reason)
            self._put_back(proposal)
        elif event.how == "bad_input" and not self.progress.n_by_state["COMPLETE"]:
            # The first trial already cannot be trained as the study says: all others would fail alike.
            self._put_back(proposal)
            self._fatal = InputError(event.reason)
        else:
            details = event.traceback or event.reason
            attempts = Attempts.read(files).raised()
            self._disk.write(lambda: self._failed(proposal, attempts, event.reason, details))

    def _worker_died(self, event: WorkerDied) -> None:
        preempted = event.exit_code == EXIT_PREEMPTED
        assignment = self._crew.died(event, preempted=preempted, restart=not self._draining)
        if not preempted:
            retired = self.progress.workers[event.worker].state == "lost"
            what_now = "it died too often and is retired" if retired else "starting another"
            self._view.message(f"worker {event.worker} died ({event.why}); {what_now}")
        if assignment is not None:
            proposal, seconds = assignment.proposal, assignment.seconds
            files = self._files.trial(proposal.number)
            outcome = read_json(files.outcome)
            if outcome is not None:  # it died between its last words and the next trial
                self._disk.write(lambda: self._finish(proposal, outcome, seconds))
            elif preempted:
                self._put_back(proposal)
            else:
                reason = event.reason or f"the worker's process ended with exit code {event.exit_code}"
                details = f"{reason}; its last output:\n{event.output}"
                attempts = Attempts.read(files).died(files)
                self._disk.write(lambda: self._failed(proposal, attempts, reason, details))
        if self._crew.is_lost:
            output = f"; the last output was:\n{event.output}" if event.output else ""
            self._fatal = WorkersLostError(f"all workers have died too often{output}")

    def _failed(self, proposal: Proposal, attempts: Attempts, reason: str, details: str) -> None:
        """An attempt has failed: try again or give the trial up."""
        attempts.write(self._files.trial(proposal.number))
        verdict = attempts.verdict(self._options.retry)
        if verdict is None:
            self._view.message(f"trial {proposal.number}: {reason}; trying again")
            self._ready.append(proposal)
            return
        self._last_failure = reason
        self._finish(proposal, self._ledger.fail(proposal.number, verdict, reason, details, attempts), 0.0)

    def _put_back(self, proposal: Proposal) -> None:
        self._optimizer.requeue(proposal.number)

        def write() -> None:
            self._ledger.put_back(proposal.number)
            self._recorder.note(proposal.number, urgent=True)

        self._disk.write(write)

    def _finish(self, proposal: Proposal, outcome: Mapping[str, Any], seconds: float) -> None:
        """Optuna first: what it was told is final, and the rest follows from it."""
        number, state, value, reason = proposal.number, outcome["state"], outcome["value"], outcome["reason"]
        self._optimizer.tell(number, state, value, reason or None)
        failpoint("driver.told")
        self._ledger.end(number, outcome)
        failpoint("driver.ended")
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
