"""One study seen by its driver: what to try next, and how it went.

Only the driver, which owns the study, makes one of these.
"""

from __future__ import annotations

import math
import uuid as uuid_module
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from sweeper.search.samplers import build_pruner, build_sampler
from sweeper.search.storage import (
    N_TRIALS_ATTR,
    STUDY_ATTR,
    UUID_ATTR,
    StudyStore,
    TrialRecord,
    is_waiting,
    record_of,
)
from sweeper.study.config import TrialConfig
from sweeper.study.study import Study

__all__ = ["Optimizer", "Proposal"]

SEED_OFFSET_ATTR = "sweeper.seed_offset"
REPLICATE_OF_ATTR = "sweeper.replicate_of"
REASON_ATTR = "sweeper.reason"


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A trial to be trained."""

    number: int
    config: TrialConfig
    params: Mapping[str, Any]
    """What was drawn, by the parameter's name."""


class Optimizer:
    """Asks Optuna for trials and tells it their values."""

    def __init__(self, store: StudyStore, name: str) -> None:
        """Open a stored study.

        Raises:
            NotFoundError: There is none of that name.
        """
        stored = store.read(name)
        self.study = stored.study
        self.uuid = stored.uuid
        self.n_trials = stored.n_trials
        max_epochs = self.study.trial.upper_bound("training.epochs")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            self._optuna = optuna.load_study(
                study_name=name,
                storage=store.storage,
                sampler=build_sampler(self.study.sampler),
                pruner=build_pruner(self.study.pruner, max_epochs=int(max_epochs or 1)),
            )
        self._running: dict[int, Trial] = {}
        self._last_epoch: dict[int, int] = {}

    @classmethod
    def create(cls, store: StudyStore, study: Study, *, n_trials: int) -> Optimizer:
        """Store a new study and open it. What is stored is complete or, after a crash, not there."""
        direction = StudyDirection.MAXIMIZE if study.objective.maximize else StudyDirection.MINIMIZE
        study_id = store.storage.create_new_study([direction], study.name)
        store.storage.set_study_user_attr(study_id, UUID_ATTR, uuid_module.uuid4().hex)
        store.storage.set_study_user_attr(study_id, N_TRIALS_ATTR, n_trials)
        # Last: a study without this attribute is not taken for one of ours.
        store.storage.set_study_user_attr(study_id, STUDY_ATTR, study.to_json_dict())
        store.storage.set_study_system_attr(study_id, "study:metric_names", [study.objective.metric])
        return cls(store, study.name)

    def set_n_trials(self, n_trials: int) -> None:
        """Set the number of trials after which the search ends."""
        self._optuna.set_user_attr(N_TRIALS_ATTR, n_trials)
        self.n_trials = n_trials

    def trials(self) -> list[TrialRecord]:
        """All trials."""
        return [record_of(trial) for trial in self._frozen()]

    def trial(self, number: int) -> TrialRecord:
        """One trial, as stored."""
        return record_of(self._frozen()[number])

    def _frozen(self) -> list[FrozenTrial]:
        return self._optuna.get_trials(deepcopy=False)

    @property
    def has_waiting(self) -> bool:
        """Whether a trial waits that was asked for before."""
        return any(is_waiting(trial) for trial in self._frozen())

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing left to ask for."""
        return not self.has_waiting and len(self._frozen()) >= self.n_trials

    def ask(self) -> Proposal:
        """The next trial: one that waits, else a new one. It is RUNNING from here on."""
        trial = self._optuna.ask()
        draw = self.study.trial.draw(trial)
        offset = trial.user_attrs.get(SEED_OFFSET_ATTR, 0)
        tree = {**draw.tree, "seed": draw.tree.get("seed", 0) + offset}
        self._running[trial.number] = trial
        self._last_epoch[trial.number] = max(self._frozen()[trial.number].intermediate_values, default=0)
        if offset == 0:
            self._enqueue_replicates(trial.number, draw.params)
        return Proposal(number=trial.number, config=TrialConfig.model_validate(tree), params=draw.params)

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
            if offset not in present and len(self._frozen()) < self.n_trials:
                attrs = {REPLICATE_OF_ATTR: number, SEED_OFFSET_ATTR: offset}
                self._optuna.enqueue_trial(dict(params), user_attrs=attrs)

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Report the objective's metric after an epoch.

        Returns:
            Whether the trial should be pruned.
        """
        trial = self._running[number]
        if epoch <= self._last_epoch[number] or not math.isfinite(value):
            return False
        self._last_epoch[number] = epoch
        trial.report(value, epoch)
        return bool(trial.should_prune())

    def tell(self, number: int, state: str, value: float | None = None, reason: str | None = None) -> None:
        """End a trial: COMPLETE with its value, PRUNED, or FAIL with the reason. One that has ended stays as it is."""
        self._running.pop(number, None)
        frozen = self._frozen()[number]
        if frozen.state.is_finished():
            return
        if reason is not None:
            self._optuna._storage.set_trial_user_attr(frozen._trial_id, REASON_ATTR, reason)
        if state == "COMPLETE":
            assert value is not None
            assert math.isfinite(value)
        self._optuna.tell(number, value if state == "COMPLETE" else None, state=TrialState[state])

    def requeue(self, number: int) -> None:
        """Put a RUNNING trial back, to be asked for again with the parameters that it has."""
        self._running.pop(number, None)
        frozen = self._frozen()[number]
        if frozen.state == TrialState.RUNNING:
            self._optuna._storage.set_trial_state_values(frozen._trial_id, TrialState.WAITING)
