"""Gradual unfreezing of a pretrained backbone."""

from __future__ import annotations

from torch import nn

from sweeper.study.config import UnfreezingConfig

__all__ = ["Unfreezing", "n_unfrozen"]


def n_unfrozen(config: UnfreezingConfig, epoch: int) -> int:
    """How many stages would be trained in an epoch, counted from 1, if there were enough."""
    return 0 if epoch <= config.first else 1 + (epoch - config.first - 1) // config.every


class Unfreezing:
    """Chooses by the number of the epoch which stages of a backbone are trained, the top ones first (Howard and Ruder
    2018). The others give no gradient and stay in evaluation mode, so that statistics of batch norm keep still too.

    Args:
        backbone: With its stages as `stages`, a list of modules, the bottom one first.
        config: When to unfreeze.
    """

    def __init__(self, backbone: nn.Module, config: UnfreezingConfig) -> None:
        self._backbone = backbone
        self._stages: list[nn.Module] = list(backbone.stages)  # type: ignore[arg-type]  # a plain list, no submodule
        self._config = config

    def begin_epoch(self, epoch: int) -> None:
        """Make the stages of this epoch trainable, and no others. For a network in training mode."""
        n_trained = min(n_unfrozen(self._config, epoch), len(self._stages))
        _set_trained(self._backbone, trained=n_trained == len(self._stages))  # with what is in no stage
        for stage in self._stages[len(self._stages) - n_trained :]:
            _set_trained(stage, trained=True)


def _set_trained(module: nn.Module, *, trained: bool) -> None:
    module.requires_grad_(trained)
    module.train(trained)
