"""What a training of a head alone is fed: the outputs of its frozen backbone, from the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sweeper.data.augmentation import build_augmentation
from sweeper.data.batches import Normalization, build_normalization
from sweeper.data.dataset import Dataset, Split
from sweeper.data.features import Compute, FeatureStore, open_features
from sweeper.models.backbone_table import NETWORKS, n_backbone_features
from sweeper.models.backbone_weights import find_weights, weights_hash
from sweeper.places import Places
from sweeper.study.config import TorchvisionConfig, TrialConfig
from sweeper.training.feed import EVALUATION_BATCH_SIZE, Batch, TrainingOrder, join_lone_picture
from sweeper.training.frozen import FrozenBackbone
from sweeper.training.seeding import derive_seed

__all__ = ["FeatureFeed"]


@dataclass(frozen=True)
class _Cached:
    """A store, and how what it lacks is computed."""

    store: FeatureStore
    compute: Compute


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
        self.input_shape = (n_backbone_features(config.model),)
        self._plain = self._open_cached(config, places, augmented=False)
        self._augmented = self._plain
        if self._augmentation is not None:
            self._augmented = self._open_cached(config, places, augmented=True)

    def prepare(self, splits: Iterable[Split]) -> Iterator[tuple[int, int]]:
        """Compute what is missing; see `Feed`."""
        rows_M = self._dataset.train.indices_M.numpy()
        wanted = [(self._augmented, view, rows_M) for view in range(self._n_views)]
        wanted += [(self._plain, 0, split.indices_M.numpy()) for split in splits if self._is_cached(split)]
        total = sum(len(rows_M) for _, _, rows_M in wanted)
        done = 0
        for cached, view, rows_M in wanted:
            for n_missing in cached.store.fill(view, rows_M, cached.compute):
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
        drawn = self._batches(self._dataset.train, order_M, views_M, self._augmented.store, self._batch_size)
        return join_lone_picture(drawn, n_pictures=len(order_M), batch_size=self._batch_size)

    def evaluation(self, split: Split) -> Iterator[Batch]:
        if not self._is_cached(split):
            return self._uncached(split)
        for _ in self._plain.store.fill(0, split.indices_M.numpy(), self._plain.compute):
            pass
        order_M = torch.arange(len(split))
        return self._batches(split, order_M, torch.zeros_like(order_M), self._plain.store, EVALUATION_BATCH_SIZE)

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
                features_BF = torch.empty((len(rows_B), *self.input_shape))
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
            yield self._backbone.for_head(images_BCHW), learnt_B.to(self._device)

    def _compute_augmented(self, view: int, rows_B: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
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

    def _open_cached(self, config: TrialConfig, places: Places, *, augmented: bool) -> _Cached:
        model = config.model
        assert isinstance(model, TorchvisionConfig)
        key = self._key(model, places)
        if augmented:
            key["augment"] = [step.model_dump(mode="json") for step in config.data.augment]
        open_store = partial(
            open_features,
            places.cache_dir,
            name=model.network,
            n_views=self._n_views if augmented else 1,
            limit_gib=places.features_gib,
        )
        n_pictures = len(self._dataset.train.images_NCHW)
        run_backbone = self._compute_augmented if augmented else self._compute_plain
        store = open_store(key, shape=(n_pictures, *self.input_shape))
        if not self._backbone.is_split:
            return _Cached(store=store, compute=run_backbone)

        @cache  # not opened where all outputs are cached
        def features() -> FeatureStore:
            return open_store({**key, "head_on": "features"}, shape=(n_pictures, NETWORKS[model.network].n_features))

        def compute_outputs(view: int, rows_B: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
            """By way of the features, which trials with a head on them share."""
            for _ in features().fill(view, rows_B, run_backbone):
                pass
            features_BF = torch.from_numpy(features().views[view][rows_B]).to(self._device)
            return self._backbone.outputs(features_BF).cpu().numpy()

        return _Cached(store=store, compute=compute_outputs)

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


def _content(dataset: Dataset) -> str:
    return hashlib.sha256(dataset.train.images_NCHW.numpy().tobytes()).hexdigest()
