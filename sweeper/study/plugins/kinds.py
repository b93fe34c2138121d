"""What can be registered, and how a function of each kind is called."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from sweeper.study.config import (
    CustomAugmentationConfig,
    CustomLauncherConfig,
    CustomLoopConfig,
    CustomLossConfig,
    CustomMetricConfig,
    CustomModelConfig,
    CustomOptimizerConfig,
    CustomScheduleConfig,
    DataConfig,
)

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How functions of a kind are called, and what their configuration is."""

    name: str
    group: str
    """Group of entry points by which packages declare functions of this kind. Sections of the report have one too, but
    the report finds them itself, since it shows all that there are."""
    base: type[BaseModel] | None
    """What their configurations derive from; None where a function has no parameters of its own."""
    n_positional: int = 0
    """How many arguments come first, by position; they need no type."""
    given: tuple[str, ...] = ()
    """What a function may ask for by the name of a parameter."""
    reserved: frozenset[str] = frozenset()
    """Names that are sweeper's own, beside those of its configurations."""
    required: tuple[str, ...] = ()
    """Parameters without which it cannot be used."""

    @property
    def words(self) -> str:
        """For messages: `report section`."""
        return self.name.replace("_", " ")


_METRICS = frozenset({"loss", "accuracy", "balanced_accuracy", "auc", "true_accuracy", "true_balanced_accuracy"})
KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            name="model",
            group="sweeper.models",
            base=CustomModelConfig,
            given=("input_shape", "n_outputs", "num_classes", "n_channels", "in_channels"),
        ),
        Kind(name="dataset", group="sweeper.datasets", base=DataConfig, given=("path",)),
        Kind(name="training_loop", group="sweeper.training_loops", base=CustomLoopConfig, n_positional=1),
        Kind(
            name="metric",
            group="sweeper.metrics",
            base=CustomMetricConfig,
            n_positional=2,
            reserved=_METRICS,
        ),
        Kind(
            name="launcher",
            group="sweeper.launchers",
            base=CustomLauncherConfig,
            given=("slots", "places", "log_dir"),
            reserved=frozenset({"local", "inline", "ray"}),
        ),
        Kind(name="report_section", group="", base=None, n_positional=1),
        Kind(name="loss", group="sweeper.losses", base=CustomLossConfig, n_positional=2),
        Kind(
            name="optimizer",
            group="sweeper.optimizers",
            base=CustomOptimizerConfig,
            n_positional=1,
            required=("lr",),
        ),
        Kind(name="schedule", group="sweeper.schedules", base=CustomScheduleConfig, n_positional=2),
        Kind(
            name="augmentation",
            group="sweeper.augmentations",
            base=CustomAugmentationConfig,
            n_positional=1,
            given=("generator",),
        ),
    )
}
"""By name."""
