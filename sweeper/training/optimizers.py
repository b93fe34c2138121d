"""Optimizers from their configuration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn, optim

from sweeper.errors import InputError
from sweeper.study.config import (
    AdamConfig,
    AdamWConfig,
    OptimizerConfig,
    RMSpropConfig,
    SGDConfig,
    registration_of,
)

__all__ = ["LR_FACTOR", "build_optimizer", "parameter_groups"]

LR_FACTOR = "lr_factor"
"""Key of an optimizer's parameter group: its learning rate as a share of the step's. Default: 1."""

# Fused, the whole update is one kernel, on CUDA, MPS and the CPU alike. Microseconds a step, MLP 784-W-W-10, one thread
# of an AMD EPYC, torch 2.14 (medians of 15 times 20 steps):
#
#                   loop   foreach    fused
#   adam    W=64     420       446      164
#   adam    W=1024 12124      6035     1930
#   adamw   W=256    829       734      318
#   sgd     W=64     119       125       74    (momentum)
#   sgd     W=1024  1918      1686     1241    (momentum)
#   rmsprop W=64     275       282        –
#   rmsprop W=1024  4494      4977        –
#
# RMSprop has no fused form; torch's own choice (foreach on CUDA, loop on the CPU) is the right one there.


def parameter_groups(model: nn.Module, *, backbone_lr_factor: float) -> list[dict[str, Any]]:
    """All parameters of a network as groups for `build_optimizer`: those of its child `backbone`, if it has one, learn
    at their own rate."""
    children = dict(model.named_children())
    if "backbone" not in children or backbone_lr_factor == 1.0:
        return [{"params": list(model.parameters())}]
    backbone = list(children.pop("backbone").parameters())
    rest = [parameter for child in children.values() for parameter in child.parameters()]
    return [{"params": rest}, {"params": backbone, LR_FACTOR: backbone_lr_factor}]


def build_optimizer(
    config: OptimizerConfig, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]]
) -> optim.Optimizer:
    """Build the optimizer of `parameters`, or of groups of them, which lie on their device already."""
    if isinstance(config, AdamConfig):
        return optim.Adam(parameters, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=True)
    if isinstance(config, AdamWConfig):
        return optim.AdamW(parameters, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=True)
    if isinstance(config, SGDConfig):
        return optim.SGD(
            parameters,
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
            fused=True,
        )
    custom = registration_of(config)
    if custom is not None:
        made = custom.call(config, list(parameters))
        if not isinstance(made, optim.Optimizer):
            raise InputError(f"optimizer {config.name}: made {type(made).__name__}; needed: a torch.optim.Optimizer")
        return made
    assert isinstance(config, RMSpropConfig)
    return optim.RMSprop(
        parameters, lr=config.lr, alpha=config.alpha, momentum=config.momentum, weight_decay=config.weight_decay
    )
