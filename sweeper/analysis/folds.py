"""Out-of-fold predictions: each picture is predicted by a model that was not trained on it.

A fold is trained from its description alone, in any process, and its predictions are kept in a file under a key of all
that they depend on, so that an interrupted analysis goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sweeper.data.dataset import Dataset, Split
from sweeper.data.store import open_dataset
from sweeper.errors import DataError
from sweeper.failpoints import failpoint
from sweeper.places import Places
from sweeper.study.config import TrialConfig
from sweeper.study.plugins.sources import load_plugins
from sweeper.training.loop import Training

__all__ = ["DROPPED", "Fold", "fold_of_pictures", "pool_of", "read_fold", "train_fold"]

DROPPED = -1
"""In the place of a label: the picture is not trained on."""
_VERSION = 1
"""To be raised when the same description gives other predictions."""

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Fold:
    """What is trained, and on what. Plain data, which travels as JSON."""

    config: Mapping[str, Any]
    """A `TrialConfig` as plain data; its seed counts."""
    fingerprint: str
    """Of the data set."""
    epochs: int
    """Epochs that are trained, at most those of the configuration, whose schedule is kept."""
    n_folds: int
    index: int
    """Which fold is held out and predicted, from 0."""
    labels: str | None
    """File with labels that are trained on in the place of the given ones, int64 (M,) as `.npy`, `DROPPED` among them;
    None for the given ones. Folds are made by the given ones always."""
    labels_digest: str
    folder: str
    """Where predictions are kept."""

    @property
    def key(self) -> str:
        """Same key, same predictions."""
        parts = asdict(self) | {"version": _VERSION}
        del parts["folder"], parts["labels"]  # where files lie
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]

    @property
    def file(self) -> Path:
        """Log-probabilities, float32 (M, K), of the held out pictures in the order of the pool."""
        return Path(self.folder) / f"{self.key}.npy"


def pool_of(dataset: Dataset) -> torch.Tensor:
    """int64, (M,), ascending: indices of all pictures for training and validation."""
    return torch.cat((dataset.train.indices_M, dataset.validation.indices_M)).sort().values


def fold_of_pictures(labels_M: IntArray, n_folds: int, *, seed: int) -> IntArray:
    """(M,): the fold in which each picture is held out. Stratified by label.

    Raises:
        DataError: A class has fewer pictures than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    counts = np.bincount(labels_M)
    if counts[counts > 0].min() < n_folds:
        raise DataError(
            f"--folds: given {n_folds}; allowed: at most {counts[counts > 0].min()}, the pictures of the rarest class"
        )
    folds_M = np.empty(len(labels_M), dtype=np.int64)
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    for index, (_, held_out) in enumerate(splitter.split(np.zeros((len(labels_M), 1)), labels_M)):
        folds_M[held_out] = index
    return folds_M


def read_fold(fold: Fold, shape: tuple[int, int]) -> npt.NDArray[np.float32] | None:
    """The predictions of a fold, (M, K); None where they are not there yet, or damaged."""
    try:
        predictions: npt.NDArray[np.float32] = np.load(fold.file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return predictions if predictions.shape == shape and predictions.dtype == np.float32 else None


def train_fold(
    fold: Fold, *, places: Places, device: torch.device, on_epoch: Callable[[int], None] = lambda epoch: None
) -> None:
    """Train a fold and write its predictions.

    Raises:
        DivergedError: Its loss became NaN or infinite.
        InfeasibleError: It does not fit into memory.
        DataError: The pictures are missing.
    """
    load_plugins(places.plugins)
    config = TrialConfig.model_validate(fold.config)
    dataset = open_dataset(config.data, cache_dir=places.cache_dir, data_dir=places.data_dir)
    training = Training(config=config, dataset=_without(dataset, config, fold), device=device, places=places)
    for metrics in training.epochs():
        on_epoch(metrics.epoch)
        if metrics.epoch >= fold.epochs:
            break
    log_probabilities_MK = training.evaluate(training.dataset.validation).log_probabilities_NK
    assert log_probabilities_MK is not None, "only classifiers are audited"
    partial = fold.file.with_name(f".{fold.file.name}.{os.getpid()}.tmp")
    with partial.open("wb") as file:
        np.save(file, log_probabilities_MK.float().cpu().numpy())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(fold.file)
    failpoint("analysis.fold_written")


def _without(dataset: Dataset, config: TrialConfig, fold: Fold) -> Dataset:
    """The data set with a fold of its pool as validation part, and the rest of the pool as training part."""
    indices_M = pool_of(dataset)
    given_N = dataset.train.labels_N
    held_out_M = torch.from_numpy(
        fold_of_pictures(given_N[indices_M].numpy(), fold.n_folds, seed=config.seed) == fold.index
    )
    kept_M, labels_N = ~held_out_M, given_N
    if fold.labels is not None:
        labels_M = torch.from_numpy(np.load(fold.labels, allow_pickle=False))
        kept_M &= labels_M != DROPPED
        labels_N = given_N.clone()
        labels_N[indices_M[kept_M]] = labels_M[kept_M]

    def split(indices_M: torch.Tensor, labels_N: torch.Tensor) -> Split:
        return Split(images_NCHW=dataset.train.images_NCHW, labels_N=labels_N, indices_M=indices_M)

    return Dataset(
        name=dataset.name,
        class_names=dataset.class_names,
        train=split(indices_M[kept_M], labels_N),
        validation=split(indices_M[held_out_M], given_N),
        test=split(indices_M[:0], given_N),
        mean_C=dataset.mean_C,
        deviation_C=dataset.deviation_C,
        fingerprint=f"{dataset.fingerprint}/{fold.key}",
        content=dataset.content,
    )
