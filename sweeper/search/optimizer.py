"""One study seen by its driver: what to try next, and how it went.

Only the driver, which owns the study, makes one of these.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from sweeper.denials import Denial
from sweeper.search.attributes import (
    CONFIG_ATTR,
    ENQUEUED_ATTR,
    QUEUE_ATTR,
    REASON_ATTR,
    REPLICATE_OF_ATTR,
    SEED_OFFSET_ATTR,
    TAGS_ATTR,
)
from sweeper.search.mirror import Mirror, Pending
from sweeper.search.samplers import build_pruner, build_sampler, learns
from sweeper.search.storage import StudyStore, TrialRecord, record_of
from sweeper.search.tpe import Numbers
from sweeper.study.config import AnyTrialConfig, trial_config

__all__ = ["Optimizer", "Proposal"]

REASONS_OF_THE_CONFIGURATION = ("diverged", "infeasible")
"""Failures that another trial of such parameters would meet again, and that the sampler should learn from."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A trial to be trained."""

    number: int
    config: AnyTrialConfig
    params: Mapping[str, Any]
    """What was drawn, by the parameter's name."""
    tags: Mapping[str, str]
    """Of its run, beside those that all runs have."""
    pending: Pending
    """Its way into the database; before that is done, the trial must not be dispatched."""

    @property
    def stored(self) -> bool:
        """Whether the trial is in the database, so that it may be dispatched."""
        return self.pending.done.is_set()


class _Memory(InMemoryStorage):
    """Optuna's storage in memory, in which trials may go back to WAITING."""

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        # Optuna remembers where the last waiting trial stood, and never looks before it again; but only for a tuple.
        waiting = states == (TrialState.WAITING,)
        return super().get_all_trials(study_id, deepcopy, {TrialState.WAITING} if waiting else states)


class Optimizer:
    """Asks Optuna for trials and tells it their values. Decides in memory; `close` when done."""

    def __init__(self, store: StudyStore, name: str) -> None:
        """Open a stored study.

        Raises:
            NotFoundError: There is none of that name.
        """
        stored = store.read(name)
        self.study = stored.study
        self.uuid = stored.uuid
        self.n_trials = stored.n_trials
        self.is_final = stored.kind == "final"
        """Whether its trials are evaluated on the test part."""
        study_id = store.storage.get_study_id_from_name(name)
        trials = store.storage.get_all_trials(study_id, deepcopy=False)
        self._mirror = Mirror(store.storage, study_id, trials)
        memory = _Memory()
        self._memory_id = memory_id = memory.create_new_study(store.storage.get_study_directions(study_id), name)
        for key, attr in store.storage.get_study_system_attrs(study_id).items():
            memory.set_study_system_attr(memory_id, key, attr)
        self._failed: set[int] = set()
        """Trials that failed by their configuration: FAIL for all the world, pruned for the sampler in memory."""
        for trial in trials:
            memory.create_new_trial(memory_id, template_trial=self._as_learnt(trial))
        self._memory = memory
        self._n_created = len(trials)
        self._waiting = {trial.number for trial in trials if trial.state == TrialState.WAITING}
        space = self.study.trial
        max_epochs = space.upper_bound("training.epochs") or space.upper_bound("loop.epochs")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            self._optuna = optuna.load_study(
                study_name=name,
                storage=memory,
                sampler=build_sampler(self.study.sampler, number=len(trials)),
                pruner=build_pruner(self.study.pruner, max_epochs=int(max_epochs or 1)),
            )
        self._queue: Sequence[Mapping[str, Any]] = stored.queue
        self._n_dequeued = len(stored.queue) - stored.n_queued
        self._numbers: Numbers = {}
        self._running: dict[int, Trial] = {}
        self._last_epoch: dict[int, int] = {}

    def on_problem(self, call: Callable[[str | None], None]) -> None:
        """Have `call` told when the database begins to fail, with the reason, and when it works again, with None."""
        self._mirror.on_problem = call

    @property
    def denial(self) -> Denial:
        """What the database says when it denies access; nothing more is stored then."""
        return self._mirror.denial

    def guard(self, call: Callable[[], None]) -> None:
        """Have `call` called before each write to the database; an `OwnedError` from it ends all writing."""
        self._mirror.guard = call

    def abandon(self) -> None:
        """Store nothing more: the study is another driver's."""
        self._mirror.abandon()

    def close(self) -> None:
        """Store what is not stored yet.

        Raises:
            AccessError: The database denies access; nothing is lost, since the trials' files have it.
            SweeperError: It is out of reach; the same holds.
        """
        self._mirror.close()

    def trials(self) -> list[TrialRecord]:
        """All trials."""
        records = [record_of(trial) for trial in self._frozen()]
        return [replace(r, state="FAIL", value=None) if r.number in self._failed else r for r in records]

    def _as_learnt(self, trial: FrozenTrial) -> FrozenTrial:
        """How the sampler sees a stored trial. Optuna's samplers forget failed trials, and would draw a learning rate
        that diverges, or a model that fits no memory, again and again; of pruned ones without a value they learn that
        all others were better.
        """
        if trial.state != TrialState.FAIL or trial.user_attrs.get(REASON_ATTR) not in REASONS_OF_THE_CONFIGURATION:
            return trial
        self._failed.add(trial.number)
        learnt = copy.copy(trial)
        learnt.state, learnt.values, learnt.intermediate_values = TrialState.PRUNED, None, {}
        return learnt

    def _frozen(self) -> list[FrozenTrial]:
        return self._optuna.get_trials(deepcopy=False)

    def _trial(self, number: int) -> FrozenTrial:
        """A trial as it is in memory."""
        return self._memory.get_trial(self._memory.get_trial_id_from_study_id_trial_number(self._memory_id, number))

    @property
    def has_waiting(self) -> bool:
        """Whether a trial waits that was asked for before."""
        return bool(self._waiting)

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing left to ask for."""
        return not self._waiting and self._n_created >= self.n_trials

    @property
    def learns(self) -> bool:
        """Whether the next trial to be drawn would be another if more were known of those that run."""
        return learns(self.study.sampler, number=self._n_created)

    def read_queue(self) -> Pending:
        """Look again for configurations that a user has asked for meanwhile."""

        def take(queue: Sequence[Mapping[str, Any]] | None) -> None:
            self._queue = queue or ()

        return self._mirror.read_study_attr(QUEUE_ATTR, take)

    def _dequeue(self) -> None:
        """Have the next configuration that a user has asked for wait in memory; it is stored with its trial."""
        index, queue = self._n_dequeued, self._queue
        if index < len(queue):
            attrs = {ENQUEUED_ATTR: index, TAGS_ATTR: {"sweeper.enqueued": "true"}}
            self._optuna.enqueue_trial(dict(queue[index]), user_attrs=attrs)
            self._n_dequeued += 1

    def ask(self) -> Proposal:
        """The next trial: one that waits, else a new one, which a user has asked for or which is drawn. It is RUNNING
        from here on."""
        n_before = self._n_created
        if not self._waiting:
            self._dequeue()
        # Seeded by the trial's number: a sweep that was resumed draws what it would have drawn without the break.
        self._optuna.sampler = build_sampler(self.study.sampler, number=n_before, numbers=self._numbers)
        trial = self._optuna.ask()
        offset = trial.user_attrs.get(SEED_OFFSET_ATTR, 0)
        given = trial.user_attrs.get(CONFIG_ATTR)
        params: Mapping[str, Any] = {}
        if given is None or self._trial(trial.number).system_attrs.get("fixed_params"):
            draw = self.study.trial.draw(trial)
            params, seed = draw.params, (draw.tree.get("seed", 0) + offset) % 2**32
            given = given or {**draw.tree, "seed": seed}
        config = trial_config(given).model_validate(given)
        frozen = self._trial(trial.number)
        self._running[trial.number] = trial
        self._last_epoch[trial.number] = max(frozen.intermediate_values, default=0)
        is_new = trial.number == n_before
        self._n_created += is_new
        self._waiting.discard(trial.number)
        pending = self._mirror.create_trial(frozen) if is_new else self._mirror.update_trial(frozen)
        if offset == 0:
            self._enqueue_replicates(trial.number, params)
        tags = trial.user_attrs.get(TAGS_ATTR, {})
        return Proposal(number=trial.number, config=config, params=params, tags=tags, pending=pending)

    def _enqueue_replicates(self, number: int, params: Mapping[str, Any]) -> None:
        """See that each further seed of a configuration has its trial; after a crash some may be there already."""
        n_seeds = self.study.budget.seeds
        if n_seeds == 1:
            return
        present = {
            trial.user_attrs.get(SEED_OFFSET_ATTR)
            for trial in self._frozen()
            if trial.user_attrs.get(REPLICATE_OF_ATTR) == number
        }
        for offset in range(1, n_seeds):
            if offset not in present and self._n_created < self.n_trials:
                attrs = {REPLICATE_OF_ATTR: number, SEED_OFFSET_ATTR: offset}
                self._optuna.enqueue_trial(dict(params), user_attrs=attrs)
                self._mirror.create_trial(self._trial(self._n_created))
                self._waiting.add(self._n_created)
                self._n_created += 1

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Report the objective's metric after an epoch; an epoch that was reported before is left as it is.

        Returns:
            Whether the trial should be pruned.
        """
        trial = self._running[number]
        if epoch <= self._last_epoch[number] or not math.isfinite(value):
            return False
        self._last_epoch[number] = epoch
        trial.report(value, epoch)
        self._mirror.report(number, epoch, value)
        return bool(trial.should_prune())

    def add_reports(self, number: int, values: Mapping[int, float]) -> None:
        """Add reports that are not there, by epoch, to a trial that has not ended; nothing is decided by them. They are
        stored when it is told."""
        frozen = self._trial(number)
        for epoch, value in values.items():
            if epoch not in frozen.intermediate_values and math.isfinite(value):
                self._memory.set_trial_intermediate_value(frozen._trial_id, epoch, value)

    def tell(self, number: int, state: str, value: float | None = None, reason: str | None = None) -> None:
        """End a trial: COMPLETE with its value, PRUNED, or FAIL with the reason. One that has ended stays as it is."""
        self._running.pop(number, None)
        frozen = self._trial(number)
        if frozen.state.is_finished():
            return
        if frozen.state == TrialState.WAITING:  # recovered: its outcome was found before it was asked for again
            self._memory.set_trial_state_values(frozen._trial_id, TrialState.RUNNING)
        if reason is not None:
            self._memory.set_trial_user_attr(frozen._trial_id, REASON_ATTR, reason)
        assert state != "COMPLETE" or (value is not None and math.isfinite(value))
        self._waiting.discard(number)
        self._optuna.tell(number, value if state == "COMPLETE" else None, state=TrialState[state])
        told = self._trial(number)
        self._mirror.update_trial(told)
        learnt = self._as_learnt(told)
        if learnt is not told:
            self._memory._set_trial(learnt._trial_id, learnt)

    def requeue(self, number: int) -> None:
        """Put a RUNNING trial back, to be asked for again with the parameters that it has."""
        self._running.pop(number, None)
        frozen = self._trial(number)
        if frozen.state == TrialState.RUNNING:
            self._memory.set_trial_state_values(frozen._trial_id, TrialState.WAITING)
            self._waiting.add(number)
            self._mirror.update_trial(self._trial(number))
