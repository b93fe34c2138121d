"""Frozen backbones, and a training of a head alone for which one runs in each epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import nn

from sweeper.data.dataset import Dataset, Split
from sweeper.errors import InputError
from sweeper.models.backbone_table import ends_in_linear_layer, n_backbone_features
from sweeper.models.backbone_weights import find_weights
from sweeper.models.backbones import Backbone, build_backbone, fuse_batch_norms, take_last_layer
from sweeper.places import Places
from sweeper.study.config import TorchvisionConfig, TrialConfig
from sweeper.training.devices import place_model
from sweeper.training.feed import Batch, PictureFeed

__all__ = ["BackboneFeed", "FrozenBackbone"]


class FrozenBackbone:
    """A backbone that is never trained. It is loaded when it is first called, and so not at all where all that it would
    give is cached.

    Args:
        config: Its model.
        device: Where it runs.
        places: Where its weights are looked for.

    Raises:
        DataError: Its weights are nowhere.
    """

    def __init__(self, config: TorchvisionConfig, device: torch.device, places: Places | None) -> None:
        # MobileNetV2 takes 23 ms for a picture in batches of 4 to 16, and 48 in batches of 64, which no CPU cache holds
        # (224×224, one thread of an AMD EPYC).
        self.at_once = 8 if device.type == "cpu" else 128
        """Pictures in each of its batches."""
        self.is_split = config.head_on == "outputs" and ends_in_linear_layer(config)
        """Whether it gives features even where the head is on outputs, which `outputs` makes of them."""
        self._config = config
        self._device = device
        path = find_weights(config, places)
        if path is None:
            raise InputError("model.weights: given none with frozen: true, a backbone that would never be trained")
        self._weights_path = path
        self._backbone: Backbone | None = None
        self._last_layer: nn.Linear | None = None

    @torch.inference_mode()
    def __call__(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Features, float32 (N, F), of normalized pictures, float32 (N, C, H, W), both on the device; the network's
        outputs where the head is on them and it is not split.

        The backbone always gets batches of one size, the last one filled up: on the CPU what a picture gives then
        depends on no other picture, to the last bit. (Batches of 13 and 64 differ by 1e-5 with MobileNetV2.)
        """
        return self._in_batches(self._loaded()[0], images_NCHW)

    @torch.inference_mode()
    def outputs(self, features_NF: torch.Tensor) -> torch.Tensor:
        """What the network makes of its features, float32 (N, 1000)."""
        last_layer = self._loaded()[1]
        assert last_layer is not None
        return self._in_batches(last_layer, features_NF)

    def for_head(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """What the head gets of normalized pictures."""
        features_NF = self(images_NCHW)
        return self.outputs(features_NF) if self.is_split else features_NF

    def _in_batches(self, module: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        pieces = []
        for inputs_B in torch.split(inputs, self.at_once):
            filling = inputs_B.new_zeros((self.at_once - len(inputs_B), *inputs_B.shape[1:]))
            pieces.append(module(torch.cat((inputs_B, filling)))[: len(inputs_B)])
        return torch.cat(pieces)

    def _loaded(self) -> tuple[Backbone, nn.Linear | None]:
        if self._backbone is None:
            backbone = build_backbone(self._config, weights_path=self._weights_path).eval().requires_grad_(False)
            if self.is_split:
                self._last_layer = take_last_layer(backbone).to(self._device)
            fuse_batch_norms(backbone)
            place_model(backbone, self._device)
            self._backbone = backbone
        return self._backbone, self._last_layer

    def unload(self) -> None:
        """Free its memory; it is loaded again when it is called again."""
        self._backbone = self._last_layer = None


class BackboneFeed:
    """Features computed anew in each epoch. Implements `Feed`.

    Raises:
        DataError: As `FrozenBackbone` and `PictureFeed`.
    """

    def __init__(self, config: TrialConfig, dataset: Dataset, device: torch.device, places: Places | None) -> None:
        assert isinstance(config.model, TorchvisionConfig)
        self.input_shape = (n_backbone_features(config.model),)
        self._pictures = PictureFeed(config, dataset, device)
        self._backbone = FrozenBackbone(config.model, device, places)

    def prepare(self, splits: Iterable[Split]) -> Iterator[tuple[int, int]]:
        return iter(())

    def order(self, epoch: int) -> torch.Tensor:
        return self._pictures.order(epoch)

    def train(self, epoch: int) -> Iterator[Batch]:
        # Copies, since autograd saves no tensor that was made in inference mode.
        return ((self._backbone.for_head(images).clone(), learnt) for images, learnt in self._pictures.train(epoch))

    def evaluation(self, split: Split) -> Iterator[Batch]:
        return ((self._backbone.for_head(images), learnt) for images, learnt in self._pictures.evaluation(split))
