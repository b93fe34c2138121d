"""What a training of a head alone is fed: the outputs of its frozen backbone, cached or computed in each epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sweeper.data.augmentation import build_augmentation
from sweeper.data.batches import Normalization, build_normalization
from sweeper.data.dataset import Dataset, Split
from sweeper.data.features import FeatureStore, open_features
from sweeper.errors import InputError
from sweeper.models.backbone_table import n_backbone_features
from sweeper.models.backbone_weights import find_weights, weights_hash
from sweeper.models.backbones import Backbone, build_backbone
from sweeper.places import Places
from sweeper.study.config import TorchvisionConfig, TrialConfig
from sweeper.training.devices import place_model
from sweeper.training.feed import EVALUATION_BATCH_SIZE, Batch, PictureFeed, TrainingOrder, join_lone_picture
from sweeper.training.seeding import derive_seed

__all__ = ["BackboneFeed", "FeatureFeed", "FrozenBackbone"]


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
        self.n_features = n_backbone_features(config)
        self.at_once = 16 if device.type == "cpu" else 128
        """Pictures in each of its batches."""
        self._config = config
        self._device = device
        path = find_weights(config, places)
        if path is None:
            raise InputError("model.weights: given none with frozen: true, a backbone that would never be trained")
        self._weights_path = path
        self._backbone: Backbone | None = None

    @torch.inference_mode()
    def __call__(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Features, float32 (N, F), of normalized pictures, float32 (N, C, H, W), both on the device.

        The backbone always gets batches of one size, the last one filled up: on the CPU what a picture gives then
        depends on no other picture, to the last bit. (Batches of 13 and 64 differ by 1e-5 with MobileNetV2.)
        """
        if self._backbone is None:
            backbone = build_backbone(self._config, weights_path=self._weights_path)
            placed = place_model(backbone.eval().requires_grad_(False), self._device)
            assert isinstance(placed, Backbone)
            self._backbone = placed
        pieces = []
        for images_BCHW in torch.split(images_NCHW, self.at_once):
            n_pictures = len(images_BCHW)
            if n_pictures < self.at_once:
                filling_BCHW = images_BCHW.new_zeros((self.at_once - n_pictures, *images_BCHW.shape[1:]))
                images_BCHW = torch.cat((images_BCHW, filling_BCHW))
            pieces.append(self._backbone(images_BCHW)[:n_pictures])
        return torch.cat(pieces)

    def unload(self) -> None:
        """Free its memory; it is loaded again when it is called again."""
        self._backbone = None


class BackboneFeed:
    """Features computed anew in each epoch. Implements `Feed`.

    Raises:
        DataError: As `FrozenBackbone` and `PictureFeed`.
    """

    def __init__(self, config: TrialConfig, dataset: Dataset, device: torch.device, places: Places | None) -> None:
        assert isinstance(config.model, TorchvisionConfig)
        self._pictures = PictureFeed(config, dataset, device)
        self._backbone = FrozenBackbone(config.model, device, places)

    @property
    def input_shape(self) -> tuple[int]:
        return (self._backbone.n_features,)

    def prepare(self, splits: Iterable[Split]) -> Iterator[tuple[int, int]]:
        return iter(())

    def order(self, epoch: int) -> torch.Tensor:
        return self._pictures.order(epoch)

    def train(self, epoch: int) -> Iterator[Batch]:
        return ((_outside_inference(self._backbone(x_BCHW)), learnt) for x_BCHW, learnt in self._pictures.train(epoch))

    def evaluation(self, split: Split) -> Iterator[Batch]:
        return ((self._backbone(images_BCHW), learnt) for images_BCHW, learnt in self._pictures.evaluation(split))


class FeatureFeed:
    """Features from the cache, into which those that are missing are computed once. Implements `Feed`.

    With augmentations, `model.views` augmented views of each training picture are cached, whose draws depend on the
    picture and the number of the view alone, and each epoch draws one view of each picture. Other parts have no
    augmentation.

    Raises:
        DataError: As `FrozenBackbone`, `TrainingOrder` and `open_features`.
    """

    def __init__(self, config: TrialConfig, dataset: Dataset, device: torch.device, places: Places) -> None:
        assert isinstance(config.model, TorchvisionConfig)
        self._dataset = dataset
        self._device = device
        self._order = TrainingOrder(config, dataset)
        self._batch_size = config.training.batch_size
        self._normalization = build_normalization(dataset, normalize=config.data.normalize)
        self._augmentation = build_augmentation(config.data.augment)
        self._backbone = FrozenBackbone(config.model, device, places)
        self._n_views = 1 if self._augmentation is None else config.model.views
        key = self._key(config.model, places)
        self._plain = self._open(key, config.model.network, places, n_views=1)
        self._augmented = self._plain
        if self._augmentation is not None:
            key["augment"] = [step.model_dump(mode="json") for step in config.data.augment]
            self._augmented = self._open(key, config.model.network, places, n_views=self._n_views)

    @property
    def input_shape(self) -> tuple[int]:
        return (self._backbone.n_features,)

    def prepare(self, splits: Iterable[Split]) -> Iterator[tuple[int, int]]:
        """Compute what is missing; see `Feed`."""
        rows_M = self._dataset.train.indices_M.numpy()
        wanted = [(self._augmented, view, rows_M) for view in range(self._n_views)]
        wanted += [(self._plain, 0, split.indices_M.numpy()) for split in splits if self._is_cached(split)]
        total = sum(len(rows_M) for _, _, rows_M in wanted)
        done = 0
        for store, view, rows_M in wanted:
            for n_missing in store.fill(view, rows_M, self._compute_plain if store is self._plain else self._compute):
                yield done + len(rows_M) - n_missing, total
            done += len(rows_M)
        self._backbone.unload()

    def order(self, epoch: int) -> torch.Tensor:
        return self._order.draw(epoch)[0]

    def train(self, epoch: int) -> Iterator[Batch]:
        order_M, generator = self._order.draw(epoch)
        views_M = torch.zeros_like(order_M)
        if self._n_views > 1:
            views_M = torch.randint(self._n_views, order_M.shape, generator=generator)
        drawn = self._batches(self._dataset.train, order_M, views_M, self._augmented, self._batch_size)
        return join_lone_picture(drawn, n_pictures=len(order_M), batch_size=self._batch_size)

    def evaluation(self, split: Split) -> Iterator[Batch]:
        if not self._is_cached(split):
            return self._uncached(split)
        for _ in self._plain.fill(0, split.indices_M.numpy(), self._compute_plain):
            pass
        order_M = torch.arange(len(split))
        return self._batches(split, order_M, torch.zeros_like(order_M), self._plain, EVALUATION_BATCH_SIZE)

    def _batches(
        self, split: Split, order_M: torch.Tensor, views_M: torch.Tensor, store: FeatureStore, batch_size: int
    ) -> Iterator[Batch]:
        rows_M = split.indices_M[order_M]
        views = [torch.from_numpy(features_NF) for features_NF in store.views]
        for rows_B, views_B in zip(torch.split(rows_M, batch_size), torch.split(views_M, batch_size), strict=True):
            learnt_B = (split.labels_N if split.targets_NT is None else split.targets_NT)[rows_B]
            if len(views) == 1:
                features_BF = views[0].index_select(0, rows_B)
            else:
                features_BF = torch.empty((len(rows_B), self._backbone.n_features))
                for view in set(views_B.tolist()):
                    of_view_V = (views_B == view).nonzero().squeeze(1)
                    features_BF[of_view_V] = views[view].index_select(0, rows_B[of_view_V])
            yield features_BF.to(self._device), learnt_B.to(self._device)

    def _is_cached(self, split: Split) -> bool:
        """Whether a part is one of the data set's pictures, which rows of the cache stand for."""
        cached_NCHW = self._dataset.train.images_NCHW
        return split.images_NCHW.data_ptr() == cached_NCHW.data_ptr() and len(split.images_NCHW) == len(cached_NCHW)

    def _uncached(self, split: Split) -> Iterator[Batch]:
        learnt_M = (split.labels_N if split.targets_NT is None else split.targets_NT)[split.indices_M]
        pieces = zip(*(torch.split(t, EVALUATION_BATCH_SIZE) for t in (split.indices_M, learnt_M)), strict=True)
        for rows_B, learnt_B in pieces:
            images_BCHW = self._normalized(split.images_NCHW.index_select(0, rows_B).to(self._device))
            yield self._backbone(images_BCHW), learnt_B.to(self._device)

    def _compute(self, view: int, rows_B: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Features of an augmented view. Each picture has draws of its own, so that it does not matter which others
        are computed with it."""
        assert self._augmentation is not None
        images_BCHW = self._pictures(rows_B).to(torch.float32)
        augmented = [
            self._augmentation(image_1CHW, generator=torch.Generator().manual_seed(derive_seed(view, int(row))))
            for row, image_1CHW in zip(rows_B, torch.split(images_BCHW, 1), strict=True)
        ]
        return self._backbone(self._normalized(torch.cat(augmented))).cpu().numpy()

    def _compute_plain(self, view: int, rows_B: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return self._backbone(self._normalized(self._pictures(rows_B))).cpu().numpy()

    def _pictures(self, rows_B: npt.NDArray[np.int64]) -> torch.Tensor:
        return self._dataset.train.images_NCHW.index_select(0, torch.from_numpy(rows_B)).to(self._device)

    def _normalized(self, pixels_BCHW: torch.Tensor) -> torch.Tensor:
        normalization: Normalization = self._normalization
        scale_C11, shift_C11 = (t.to(self._device) for t in (normalization.scale_C11, normalization.shift_C11))
        return torch.mul(pixels_BCHW, scale_C11).add_(shift_C11)

    def _key(self, model: TorchvisionConfig, places: Places) -> dict[str, Any]:
        """All that features depend on, as plain data. Versions and the kind of device change the last bits."""
        size = None if self._dataset.input_shape[1:] == (model.input_size, model.input_size) else model.input_size
        path = find_weights(model, places)
        assert path is not None
        return {
            "pictures": self._dataset.content or _content(self._dataset),
            "picture_shape": self._dataset.input_shape,
            "scale": self._normalization.scale_C11.flatten().tolist(),
            "shift": self._normalization.shift_C11.flatten().tolist(),
            "augment": [],
            "input_size": size,
            "network": model.network,
            "weights": weights_hash(path, places),
            "head_on": model.head_on,
            "device": self._device.type,
            "versions": {"torch": torch.__version__, "torchvision": version("torchvision")},
        }

    def _open(self, key: dict[str, Any], network: str, places: Places, *, n_views: int) -> FeatureStore:
        shape = (len(self._dataset.train.images_NCHW), self._backbone.n_features)
        return open_features(
            places.cache_dir, key, name=network, shape=shape, n_views=n_views, limit_gib=places.features_gib
        )


def _content(dataset: Dataset) -> str:
    return hashlib.sha256(dataset.train.images_NCHW.numpy().tobytes()).hexdigest()


def _outside_inference(features_BF: torch.Tensor) -> torch.Tensor:
    return features_BF.clone()  # autograd saves no tensor that was made in inference mode
