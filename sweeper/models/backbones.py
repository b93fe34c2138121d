"""Backbones: torchvision's classification networks, from pictures to features or to their own outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode

from sweeper.errors import InputError
from sweeper.models.backbone_table import N_OUTPUTS, NETWORKS
from sweeper.models.backbone_weights import load_weights
from sweeper.study.config import TorchvisionConfig

__all__ = ["Backbone", "build_backbone", "build_network", "fuse_batch_norms", "take_last_layer"]

_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
_CHAINS = ("features", "layers", "blocks", "trunk_output", "classifier", "heads")
_LAST_LAYERS = (nn.Linear, nn.Conv2d)


class Backbone(nn.Module):
    """A torchvision network that maps normalized pictures, float (N, C, H, W), to vectors, float (N, F).

    Pictures of one channel are repeated to three. The network's own modules keep their names below `network`, so that
    its state dict is torchvision's.

    Args:
        network: The network with its last layer.
        head_on: `features`: what the network's last layer gets, without the dropout before it. `outputs`: what the
            last layer gives.
        input_size: Height and width in pixels to which pictures are resized first; None leaves them.
    """

    def __init__(self, network: nn.Module, *, head_on: Literal["features", "outputs"], input_size: int | None) -> None:
        super().__init__()
        if head_on == "features":
            _remove_last_layer(network)
        self.network = network
        self.input_size = input_size

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        if images_NCHW.shape[1] == 1:
            images_NCHW = images_NCHW.expand(-1, 3, -1, -1)
        size = None if self.input_size is None else (self.input_size, self.input_size)
        if size is not None and images_NCHW.shape[2:] != size:
            images_NCHW = functional.interpolate(images_NCHW, size=size, mode="bilinear", antialias=True)
        features_NF: torch.Tensor = self.network(images_NCHW)
        return features_NF

    @property
    def stages(self) -> list[nn.Module]:
        """The network in stages, bottom first: each parameter is in one of them. A stage is a block of the network
        (such as `layer1` of a ResNet), or what stands between two blocks or poolings."""
        stages: list[nn.Module] = []
        waiting: list[nn.Module] = []  # layers that are no blocks: they belong to what follows or ends them
        own = list(self.network.parameters(recurse=False))
        if own:
            waiting.append(nn.ParameterList(own))
        for unit in _units(self.network):
            waiting.append(unit)
            if _is_block(unit) or isinstance(unit, nn.MaxPool2d):
                stages.append(nn.ModuleList(waiting))
                waiting = []
        if waiting and _has_parameters(nn.ModuleList(waiting)):
            # Norms after the last block are part of it; linear layers are a stage of their own.
            if stages and not any(isinstance(module, nn.Linear | nn.Conv2d) for module in waiting):
                waiting = [*stages.pop().children(), *waiting]
            stages.append(nn.ModuleList(waiting))
        return [stage for stage in stages if _has_parameters(stage)]


def build_backbone(config: TorchvisionConfig, *, weights_path: Path | None) -> Backbone:
    """Build the backbone of a model.

    With weights from a file, torch's random generator is left as it was, so that a head built afterwards gets the same
    weights as one that is built without its backbone.

    Args:
        config: The model.
        weights_path: Where its weights are, see `backbone_weights.find_weights`; None draws them from torch's global
            generator.

    Raises:
        InputError: The file is not a state dict of this network.
    """
    pretrained = config.weights != "none"
    if weights_path is None:
        network = build_network(config.network, pretrained=pretrained)
        return Backbone(network, head_on=config.head_on, input_size=config.input_size)
    state = load_weights(weights_path)
    with torch.random.fork_rng(devices=[]), _NoMemory():
        network = build_network(config.network, pretrained=pretrained)
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(_AUXILIARY)}
    if config.head_on == "features":
        # Not needed, and of another width where the network was trained on other classes than ImageNet's.
        last, layer = _last_layer(network)
        kept.update({f"{last}.{name}": tensor for name, tensor in layer.state_dict().items()})
    _load(network, kept, config=config, path=weights_path)
    return Backbone(network, head_on=config.head_on, input_size=config.input_size)


def build_network(name: str, *, pretrained: bool = False, image_size: int | None = None) -> nn.Module:
    """A network of torchvision with drawn weights and without auxiliary classifiers.

    Args:
        name: Its name in torchvision.
        pretrained: Whether weights are loaded into it afterwards.
        image_size: The only size of pictures that a vision transformer takes.
    """
    from torchvision import models  # takes 2 s: a trial that reads cached features does without

    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        # Their weights are for pictures in -1..1; with `transform_input` they take ImageNet's normalization.
        options = {"aux_logits": False, "init_weights": not pretrained, "transform_input": pretrained}
    elif name.startswith("vit_"):
        options = {"image_size": image_size or NETWORKS[name].smallest}
    network: nn.Module = models.get_model(name, weights=None, **options)
    if name.startswith("mnasnet"):
        # Its own hook wants a version number that is in torchvision's files only, to mend those of before 2019.
        network._load_from_state_dict = partial(nn.Module._load_from_state_dict, network)  # type: ignore[method-assign]
    return network


def take_last_layer(backbone: Backbone) -> nn.Linear:
    """Take the last layer, a linear one, off a backbone that gives outputs, which then gives what this layer gets."""
    _, layer = _last_layer(backbone.network)
    assert isinstance(layer, nn.Linear)
    _remove_last_layer(backbone.network)
    return layer


def fuse_batch_norms(module: nn.Module) -> None:
    """Make each batch norm that follows a convolution in a chain part of it, for a network in evaluation mode. The
    outputs stay the same up to rounding.

    MobileNetV2 then takes 23 and not 30 ms for a picture of 224×224 (one thread of an AMD EPYC, batches of 8, best of
    3); networks whose blocks are no chains, such as ResNet, take as long as before.
    """
    for child in module.modules():
        if isinstance(child, nn.Sequential):
            for name, (layer, norm) in zip(list(child._modules), pairwise(child), strict=False):
                if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    child._modules[name] = fuse_conv_bn_eval(layer, norm)
                    norm_name = next(n for n, m in child.named_children() if m is norm)
                    child._modules[norm_name] = nn.Identity()


def _load(network: nn.Module, state: Mapping[str, torch.Tensor], *, config: TorchvisionConfig, path: Path) -> None:
    try:
        network.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise InputError(
            f"model.weights: {path} does not fit {config.network}: "
            f"{' '.join(lines[1:2]) or lines[0]}; give a state dict of torchvision.models.{config.network}()"
            + ("" if config.head_on == "features" else f" with its {N_OUTPUTS} outputs, or set head_on: features")
        ) from error


def _last_layer(network: nn.Module) -> tuple[str, nn.Module]:
    """The layer that gives the network's outputs, with its dotted name."""
    return [(name, module) for name, module in network.named_modules() if isinstance(module, _LAST_LAYERS)][-1]


def _remove_last_layer(network: nn.Module) -> None:
    name, layer = _last_layer(network)
    parent_name, _, key = name.rpartition(".")
    parent = network.get_submodule(parent_name)
    if isinstance(layer, nn.Conv2d):  # SqueezeNet: dropout, a convolution to the classes, ReLU, average pooling
        setattr(network, parent_name, nn.AdaptiveAvgPool2d(1))
        return
    siblings = list(parent.named_children())
    position = [sibling for sibling, _ in siblings].index(key)
    if position > 0 and isinstance(siblings[position - 1][1], nn.Dropout):
        setattr(parent, siblings[position - 1][0], nn.Identity())
    setattr(parent, key, nn.Identity())


def _units(network: nn.Module) -> Iterator[nn.Module]:
    """Layers and blocks in the order in which they run; what torchvision only strings together is taken apart."""
    for name, child in network.named_children():
        if name == "encoder":  # of a vision transformer: position embedding, blocks, norm
            yield nn.ParameterList(child.parameters(recurse=False))
            yield from child.get_submodule("layers").children()
            yield child.get_submodule("ln")
        elif name in _CHAINS:
            yield from child.children() if _is_block(child) else (child,)
        else:
            yield child


def _is_block(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def _has_parameters(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


class _NoMemory(TorchFunctionMode):
    """Within it, layers get weights without memory, which are not drawn either. Not the meta device as default device:
    RegNet computes its widths with tensors."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        if func is torch.empty and options.get("device") is None:
            options["device"] = "meta"
        return func(*args, **options)
