"""The table in sweeper/models/backbone_table.py from torchvision; `python -m tests.models.networks_of_torchvision`
prints it."""

from __future__ import annotations

import torch
from torchvision import models

from sweeper.models.backbone_table import N_OUTPUTS, Network
from sweeper.models.backbones import Backbone, _last_layer, _NoMemory, build_network
from sweeper.models.networks import n_parameters

FIXED = ("vit_", "maxvit_")
"""Begin the names of networks that take pictures of one size only."""


def names() -> list[str]:
    return list(models.list_models(module=models))


def describe(name: str) -> Network:
    """What the table should have for a network."""
    weights = models.get_model_weights(name).DEFAULT
    smallest = weights.meta["min_size"][0]
    with torch.random.fork_rng(devices=[]), _NoMemory():
        network = build_network(name, pretrained=True, image_size=smallest if name.startswith("vit_") else None)
    n_all = n_parameters(network)
    _, last = _last_layer(network)
    assert last.weight.shape[0] == N_OUTPUTS  # type: ignore[union-attr]
    backbone = Backbone(network, head_on="features", input_size=None)
    return Network(
        n_features=last.weight.shape[1],  # type: ignore[union-attr]
        n_parameters=n_parameters(backbone),
        n_parameters_with_outputs=n_all,
        smallest=32 if name.startswith("swin_") else smallest,  # they pad; torchvision names what they were trained on
        is_only_size=name.startswith(FIXED),
        weights_file=weights.url.rpartition("/")[2],
    )


if __name__ == "__main__":
    for name in names():
        print(f"    {name!r}: Network{tuple(describe(name))!r},".replace("'", '"'))
