"""The table of a network's layers, as reports print it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from sweeper.models.backbone_table import n_backbone_features, n_backbone_parameters
from sweeper.models.networks import n_parameters
from sweeper.study.config import TorchvisionConfig

__all__ = ["LayerRow", "backbone_row", "layer_table"]


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """One layer of a network."""

    name: str
    """Dotted name of the module, as in the keys of the state dict; empty for a network that is one layer."""
    kind: str
    """The module's class, such as `Conv2d`; of a frozen backbone, the name of its network."""
    output_shape: tuple[int, ...]
    """Shape of the output for one input, without the batch dimension."""
    n_parameters: int
    """Number of parameters, trainable or not."""


def backbone_row(config: TorchvisionConfig) -> LayerRow:
    """A frozen backbone as one layer, which need not be loaded for it."""
    return LayerRow(
        name="backbone",
        kind=config.network,
        output_shape=(n_backbone_features(config),),
        n_parameters=n_backbone_parameters(config),
    )


def _row(name: str, module: nn.Module, output_shape: tuple[int, ...]) -> LayerRow:
    return LayerRow(name=name, kind=type(module).__name__, output_shape=output_shape, n_parameters=n_parameters(module))


def layer_table(model: nn.Module, input_shape: tuple[int, ...], *, is_own: bool = True) -> list[LayerRow]:
    """The layers of `model` in the order in which they run, for inputs of `input_shape`, such as (C, H, W);
    `is_own` says that the network is sweeper's own.

    Shows it one empty picture. (Meta tensors need no arithmetic, but for them torch runs its operations in Python: for
    an MLP of two layers that took 5 ms of CPU time, in place of 0.3.) The model is left as it was. A network of a
    plugin may not take an empty picture; its layers are then listed as they were made, without shapes.
    """
    rows: list[LayerRow] = []

    def record(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            shape = tuple(output.shape[1:]) if isinstance(output, torch.Tensor) else ()
            rows.append(_row(name, module, shape))

        return hook

    leaves = [(name, module) for name, module in model.named_modules() if next(module.children(), None) is None]
    handles: list[RemovableHandle] = [module.register_forward_hook(record(name)) for name, module in leaves]
    training_modes = {module: module.training for module in model.modules()}
    model.eval()  # batch norm in training mode refuses a batch of one picture
    try:
        device = next((tensor.device for tensor in chain(model.parameters(), model.buffers())), None)
        with torch.no_grad():  # what the model may keep of it is to be of use in training, as inference tensors are not
            model(torch.zeros(1, *input_shape, device=device))
    except torch.OutOfMemoryError:
        raise
    except Exception:
        if is_own:
            raise
        rows = [_row(name, module, ()) for name, module in leaves]
    finally:
        for handle in handles:
            handle.remove()
        for module, training in training_modes.items():
            module.training = training
    return rows
