"""Asking for a configuration: it is tried next, whether a driver runs or not, as one of the trials of the budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from sweeper.errors import InputError
from sweeper.search.attributes import REPLICATE_OF_ATTR
from sweeper.search.storage import StoredStudy
from sweeper.study.assignments import fix_params, paths_of
from sweeper.study.config import trial_config
from sweeper.study.distributions import Scalar
from sweeper.study.faults import describe_errors
from sweeper.study.space import Draw
from sweeper.study.suggesters import FixedSuggester
from sweeper.sweep.control import find_owner
from sweeper.sweep.derived import KINDS
from sweeper.sweep.owner import Owner
from sweeper.sweep.store import open_store
from sweeper.tracking.plugins import load_plugins_of
from sweeper.tracking.workspace import Workspace

__all__ = ["Enqueued", "enqueue"]


@dataclass(frozen=True, kw_only=True)
class Enqueued:
    """A configuration that is to be tried."""

    params: Mapping[str, Scalar]
    """What is fixed of it, by the parameter's name; the rest is drawn."""
    values: Mapping[str, Scalar]
    """The same by the parameter's path."""
    n_ahead: int
    """Configurations that were asked for before, and are not tried yet."""
    owner: Owner | None
    """The driver that takes it up; None where the study does not run."""
    n_trials: int
    """The budget of the study."""
    n_missing: int
    """Trials by which the budget is too small for it."""


def enqueue(workspace: Workspace, name: str, assignments: Sequence[str], *, like: int | None = None) -> Enqueued:
    """Have a configuration tried next.

    Args:
        workspace: Where the study is stored.
        name: Its name.
        assignments: `path=value` for parameters of its space; the others are drawn.
        like: Number of a trial whose values are taken for parameters without an assignment.

    Raises:
        NotFoundError: There is no study of that name.
        InputError: It has no such parameter, trial or value, or draws no trials of its own.
        SweeperError: Its driver is on another machine, and has a workspace of its own.
    """
    store = open_store(workspace)
    stored = store.read(name)
    if stored.derived is not None:
        raise InputError(
            f"{name} holds the {KINDS[stored.kind].what} of {stored.derived['of']}, and tries nothing else"
        )
    if like is None and not assignments:
        raise InputError("nothing is given; allowed: path=value, such as training.optimizer.lr=0.01, or --from TRIAL")
    load_plugins_of(workspace, name, stored.study.plugins)
    params = fix_params(stored.study.trial, assignments, _params_of(stored, like))
    suggester = FixedSuggester(params, seed=0)
    draw = stored.study.trial.draw(suggester)
    _check(draw)
    if suggester.n_drawn == 0:
        params = draw.params  # without those of branches that are not chosen
        _check_new(stored, params)
    files = workspace.study_files(name, stored.uuid)
    owner = find_owner(files, name, what="enqueue it")
    store.add_to_queue(name, params)
    # After it is stored: a driver that begins meanwhile finds it in one place or the other.
    files.folder.mkdir(parents=True, exist_ok=True)
    files.queue.touch()
    n_missing = max((stored.n_queued + 1) * stored.study.budget.seeds - _n_free(stored), 0)
    paths = paths_of(stored.study.trial)
    return Enqueued(
        params=params,
        values={paths[key]: value for key, value in params.items() if key in paths},
        n_ahead=stored.n_queued,
        owner=owner,
        n_trials=stored.n_trials,
        n_missing=n_missing,
    )


def _params_of(stored: StoredStudy, number: int | None) -> Mapping[str, Any]:
    if number is None:
        return {}
    if not 0 <= number < len(stored.trials):
        known = f"0 to {len(stored.trials) - 1}" if stored.trials else "none, since none has begun"
        raise InputError(f"--from: given {number}; allowed: numbers of trials of {stored.study.name}, {known}")
    params = stored.trials[number].params
    if not params and stored.study.trial.distributions:
        raise InputError(f"--from: given {number}, which has not begun; allowed: trials that have")
    return params


def _check(draw: Draw) -> None:
    """Corners of a space are checked when it is read; what lies between may have faults of its own."""
    model = trial_config(draw.tree)
    try:
        model.model_validate(draw.tree)
    except ValidationError as error:
        faults = describe_errors(model, draw.tree, error.errors())
        lines = [f"{'.'.join(map(str, path))}: {message}" for path, message in faults]
        raise InputError("\n".join(lines)) from error


def _check_new(stored: StoredStudy, params: Mapping[str, Scalar]) -> None:
    """A grid has as many trials as points: a point tried twice would take the place of another."""
    if stored.study.sampler.name != "grid":
        return
    tried = next((trial.number for trial in stored.trials if dict(trial.params) == params), None)
    if tried is not None or params in stored.queue:
        where = "waits already" if tried is None else f"is trial {tried}"
        raise InputError(f"this configuration {where}; a grid tries each point once")


def _n_free(stored: StoredStudy) -> int:
    """Trials of the budget that are neither there nor the further seeds of those that are."""
    first = [trial for trial in stored.trials if REPLICATE_OF_ATTR not in trial.attrs]
    n_seeds = Counter(trial.attrs.get(REPLICATE_OF_ATTR, trial.number) for trial in stored.trials)
    owed = sum(max(stored.study.budget.seeds - n_seeds[trial.number], 0) for trial in first)
    return stored.n_trials - len(stored.trials) - owed
