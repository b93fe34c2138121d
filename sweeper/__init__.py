"""sweeper: hyperparameter sweeps of image classifiers, every trial accounted for.

import sweeper

sweeper.start("studies/digits/mlp.yaml", workers=2)
frame = sweeper.runs("digits-mlp")                  # a pandas DataFrame, typed
best = sweeper.best_runs("digits-mlp", k=1)[0]
best.history(), best.per_class(), best.confusion(), best.load_model()
sweeper.finalize("digits-mlp", top=3, seeds=5)      # the best 3, trained again and measured on test
tests = sweeper.final_runs("digits-mlp")

@sweeper.model("resmlp")                            # docs/how-to/extend.md: models, data sets, losses, ... of your own
def resmlp(*, input_shape: tuple[int, int, int], n_outputs: int, width: int = 64) -> torch.nn.Module: ...
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

# In a notebook without ipywidgets, tqdm, which Optuna imports, asks for them; nothing here shows its bars.
warnings.filterwarnings("ignore", message="IProgress not found")

if TYPE_CHECKING:
    from sweeper.data.custom import Images
    from sweeper.errors import SweeperError
    from sweeper.report.figures import figures
    from sweeper.study.distributions import (
        ChoiceDistribution,
        FloatDistribution,
        IntDistribution,
        RepeatDistribution,
    )
    from sweeper.study.plugins import (
        augmentation,
        dataset,
        launcher,
        loss,
        metric,
        model,
        optimizer,
        report_section,
        schedule,
        training_loop,
    )
    from sweeper.study.study import Study
    from sweeper.sweep.api import finalize, promote, start, start_detached
    from sweeper.sweep.api_runs import enqueue, register, reproduce
    from sweeper.sweep.handle import Sweep
    from sweeper.tracking.final import final_runs
    from sweeper.tracking.runs import TrackedRun, best_runs, runs
    from sweeper.training.own_loop import Trial

__version__ = "0.1.0"

__all__ = [
    "ChoiceDistribution",
    "FloatDistribution",
    "Images",
    "IntDistribution",
    "RepeatDistribution",
    "Study",
    "Sweep",
    "SweeperError",
    "TrackedRun",
    "Trial",
    "__version__",
    "augmentation",
    "best_runs",
    "dataset",
    "enqueue",
    "figures",
    "final_runs",
    "finalize",
    "launcher",
    "loss",
    "metric",
    "model",
    "optimizer",
    "promote",
    "register",
    "report_section",
    "reproduce",
    "runs",
    "schedule",
    "start",
    "start_detached",
    "training_loop",
]

_PLUGINS = (
    "augmentation",
    "dataset",
    "launcher",
    "loss",
    "metric",
    "model",
    "optimizer",
    "report_section",
    "schedule",
    "training_loop",
)
_HOMES = {
    **dict.fromkeys(_PLUGINS, "sweeper.study.plugins"),
    "Images": "sweeper.data.custom",
    "ChoiceDistribution": "sweeper.study.distributions",
    "FloatDistribution": "sweeper.study.distributions",
    "IntDistribution": "sweeper.study.distributions",
    "RepeatDistribution": "sweeper.study.distributions",
    "Study": "sweeper.study.study",
    "Sweep": "sweeper.sweep.handle",
    "SweeperError": "sweeper.errors",
    "Trial": "sweeper.training.own_loop",
    "TrackedRun": "sweeper.tracking.runs",
    "best_runs": "sweeper.tracking.runs",
    "enqueue": "sweeper.sweep.api_runs",
    "figures": "sweeper.report.figures",
    "final_runs": "sweeper.tracking.final",
    "finalize": "sweeper.sweep.api",
    "promote": "sweeper.sweep.api",
    "register": "sweeper.sweep.api_runs",
    "reproduce": "sweeper.sweep.api_runs",
    "runs": "sweeper.tracking.runs",
    "start": "sweeper.sweep.api",
    "start_detached": "sweeper.sweep.api",
}


def __getattr__(name: str) -> Any:
    # Imported when first used: the command line prints its help without pandas or Optuna.
    if name not in _HOMES:
        raise AttributeError(f"module 'sweeper' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
