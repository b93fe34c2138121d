"""Which metrics a trial will have, before it runs."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.study.config import TrialConfig, registry
from sweeper.study.words import nearest, show

__all__ = ["metric_fault"]


def metric_fault(
    metric: str, config: TrialConfig, *, class_names: Sequence[str] | None, output_names: Sequence[str]
) -> str | None:
    """Why a trial of `config` will not measure `metric`, in words that name what is allowed; None if it will.

    Args:
        metric: A name of the right form; see `MetricName`.
        config: The trial.
        class_names: Names of the classes; None where they are not known yet.
        output_names: Names of the numbers that a regression predicts; else empty.
    """
    part, _, what = metric.partition("/")
    kind, _, name = what.partition("/")
    if not what:  # lr, seconds, pictures_per_second
        return None
    if registry.find("metric", what) is not None:
        measured = [custom.name for custom in config.training.metrics]
        if what in measured:
            return None
        return f"given {show(metric)}, which is not among training.metrics; allowed: add {what} there"
    if kind == "loss":
        if not name or name in output_names:
            return None
        if config.task != "regression":
            return f"given {show(metric)}; allowed: {part}/loss, whose parts only a regression has"
        return f"given {show(metric)}{nearest(name, output_names) or ';'} allowed outputs: {', '.join(output_names)}"
    if config.task != "classification":
        which = f"data {config.data.name}" if config.task == "regression" else f"model {config.model.name}"
        outputs = f" or loss/<output> ({', '.join(output_names)})" if config.task == "regression" else ""
        return (
            f"given {show(metric)} with {which}, whose outputs are no classes; allowed: train/ or val/ with "
            f"loss{outputs}; seconds"
        )
    if kind.startswith("true_") and not config.data.has_true_labels:
        return (
            f"given {show(metric)} with labels that are all as given; allowed: with wrong labels (data.noise), or "
            f"{part}/{what.removeprefix('true_')}"
        )
    if not name or class_names is None or name in class_names:
        return None
    return f"given {show(metric)}{nearest(name, class_names) or ';'} allowed classes: {', '.join(class_names)}"
