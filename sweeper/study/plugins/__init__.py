"""Parts of a study that are not sweeper's own: models, data sets and so on, each a function that a decorator registers.

    import sweeper

    @sweeper.model("two_layers")
    def two_layers(*, input_shape: tuple[int, int, int], n_outputs: int, width: int = 64) -> nn.Module: ...

Its typed parameters become the fields of a study file, checked, documented and searched like those of the built-in
parts. `sweeper.study.plugins.kinds` says how each kind of function is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sweeper.study.plugins.register import decorator

__all__ = [
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
]

F = TypeVar("F", bound=Callable[..., Any])


def model(name: str) -> Callable[[F], F]:
    """Register a function, or a `torch.nn.Module` class, that makes a network.

    It is called with keyword arguments: its parameters, and of `input_shape` ((C, H, W) of a picture), `n_channels` or
    `in_channels` (C), `n_outputs` or `num_classes` those that it has. It returns a `torch.nn.Module` that maps
    pictures, float (N, C, H, W), to logits, float (N, n_outputs); of a regression, to numbers. Its weights are drawn
    from torch's global generator, which is seeded before.

    Args:
        name: What a study file calls it, in `trial.model.name`.

    Raises:
        PluginError: The name is taken, or a parameter has no type that a study file can express.
    """
    return decorator("model", name, {})


def dataset(
    name: str, *, class_names: Sequence[str] | None = None, input_shape: tuple[int, int, int] | None = None
) -> Callable[[F], F]:
    """Register a function that returns pictures and labels, as a `sweeper.Images`.

    It is called once, with its parameters and with `path` (a folder, `data.path`) if it has that parameter; what it
    returns is kept decoded until its file or its parameters change. All else of `trial.data` works as for other data
    sets: parts, augmentation, wrong labels, sizes.

    Args:
        name: What a study file calls it, in `trial.data.name`.
        class_names: In the order of the labels. Where they are given here, `sweeper check` finds wrong names of classes
            before the data set is made.
        input_shape: (C, H, W) of every picture. Where it is given here, `sweeper check` finds models that do not fit.

    Raises:
        PluginError: As for `model`.
    """
    facts = {"class_names": None if class_names is None else tuple(class_names), "input_shape": input_shape}
    return decorator("dataset", name, facts)


def loss(name: str) -> Callable[[F], F]:
    """Register a loss of classes: a function of logits, float (B, K), and labels, int64 (B,), to the loss of each
    picture, float (B,), that can be differentiated. Class weights and means are sweeper's.

    Args:
        name: What a study file calls it, in `trial.training.loss`.

    Raises:
        PluginError: As for `model`.
    """
    return decorator("loss", name, {})


def optimizer(name: str) -> Callable[[F], F]:
    """Register a function or class that makes a `torch.optim.Optimizer` from parameters, or groups of them, which it is
    given by position. It has a parameter `lr`; schedules set the learning rate before each step.

    Args:
        name: What a study file calls it, in `trial.training.optimizer`.

    Raises:
        PluginError: As for `model`, or it has no parameter `lr`.
    """
    return decorator("optimizer", name, {})


def schedule(name: str) -> Callable[[F], F]:
    """Register a schedule: a function of the step, counted from 0 over all epochs, and the number of steps, to what the
    learning rate is multiplied by in that step, at least 0. It keeps no state.

    Args:
        name: What a study file calls it, in `trial.training.schedule`.

    Raises:
        PluginError: As for `model`.
    """
    return decorator("schedule", name, {})


def augmentation(name: str) -> Callable[[F], F]:
    """Register an augmentation: a function of pictures, float (N, C, H, W) from 0 to 255, to others of the same shape,
    type and device; the given ones are left as they are. Draws come from torch's global CPU generator, or from
    `generator` (None for that one) if it has that parameter.

    Args:
        name: What a study file calls it, in `trial.data.augment`.

    Raises:
        PluginError: As for `model`.
    """
    return decorator("augmentation", name, {})


def training_loop(name: str) -> Callable[[F], F]:
    """Register a training loop: a generator that is given a `sweeper.Trial` by position, and its parameters, and that
    yields the metrics of each epoch, a mapping of names to numbers.

    Args:
        name: What a study file calls it, in `trial.loop.name`.

    Raises:
        PluginError: As for `model`.
    """
    return decorator("training_loop", name, {})


def metric(name: str) -> Callable[[F], F]:
    """Register a metric of classes: a function of log-probabilities, float (N, K), and labels, int64 (N,), over all
    pictures of a part, to a number. A value that is not finite is left out.

    Args:
        name: What a study file calls it, in `trial.training.metrics`; it is then tracked as `train/<name>` and
            `val/<name>`.

    Raises:
        PluginError: As for `model`.
    """
    return decorator("metric", name, {})


def report_section(key: str, *, title: str | None = None) -> Callable[[F], F]:
    """Register a section of the report: a function of a `StudyData` to blocks; see docs/how-to/report.md.

    Args:
        key: Its key, as of `--section`.
        title: Its heading. Default: from the key.

    Raises:
        PluginError: The key is taken, or the function takes more.
    """
    return decorator("report_section", key, {"title": title})


def launcher(name: str) -> Callable[[F], F]:
    """Register a function that makes a `sweeper.launch.launcher.Launcher`, which places workers. Of `slots`, `places`
    and `log_dir` it gets those that it has as parameters; all others are its own.

    Args:
        name: What `--launcher` calls it; parameters follow the name: `--launcher slurm:partition=gpu,hours=2`.

    Raises:
        PluginError: As for `model`.
    """
    return decorator("launcher", name, {})
