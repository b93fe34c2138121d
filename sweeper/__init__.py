"""sweeper: hyperparameter sweeps of image classifiers, every trial accounted for.

import sweeper

sweeper.start("studies/digits/mlp.yaml", workers=2)
frame = sweeper.runs("digits-mlp")                  # a pandas DataFrame, typed
best = sweeper.best_runs("digits-mlp", k=1)[0]
best.history(), best.per_class(), best.confusion(), best.load_model()
sweeper.finalize("digits-mlp", top=3, seeds=5)      # the best 3, trained again and measured on test
tests = sweeper.final_runs("digits-mlp")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeper.errors import SweeperError
    from sweeper.study.study import Study
    from sweeper.sweep.api import enqueue, finalize, promote, register, reproduce, start
    from sweeper.tracking.final import final_runs
    from sweeper.tracking.runs import TrackedRun, best_runs, runs

__version__ = "0.1.0"

__all__ = [
    "Study",
    "SweeperError",
    "TrackedRun",
    "__version__",
    "best_runs",
    "enqueue",
    "final_runs",
    "finalize",
    "promote",
    "register",
    "reproduce",
    "runs",
    "start",
]

_HOMES = {
    "Study": "sweeper.study.study",
    "SweeperError": "sweeper.errors",
    "TrackedRun": "sweeper.tracking.runs",
    "best_runs": "sweeper.tracking.runs",
    "enqueue": "sweeper.sweep.api",
    "final_runs": "sweeper.tracking.final",
    "finalize": "sweeper.sweep.api",
    "promote": "sweeper.sweep.api",
    "register": "sweeper.sweep.api",
    "reproduce": "sweeper.sweep.api",
    "runs": "sweeper.tracking.runs",
    "start": "sweeper.sweep.api",
}


def __getattr__(name: str) -> Any:
    # Imported when first used: the command line prints its help without pandas or Optuna.
    if name not in _HOMES:
        raise AttributeError(f"module 'sweeper' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
