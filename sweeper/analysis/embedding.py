"""Features of pictures in the plane, beside their pixels, and how well classes separate there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from sweeper.analysis.arrays import FloatArray, IntArray
from sweeper.errors import InputError

if TYPE_CHECKING:
    from sweeper.models.trained import TrainedModel

__all__ = ["Separation", "extract_features", "separation", "to_plane"]

_BATCH_SIZE = 256
N_NEIGHBOURS = 10


@dataclass(frozen=True, kw_only=True)
class Separation:
    """How well classes separate."""

    knn_accuracy: float
    """Share of pictures whose class most of their 10 nearest neighbours have, 0 to 1; themselves left out."""
    silhouette: float
    """Mean silhouette (Rousseeuw 1987), -1 to 1: how much nearer a picture is to its own class than to the next."""


def extract_features(model: TrainedModel, images_NCHW: torch.Tensor) -> tuple[FloatArray, str]:
    """What a model makes of pictures, uint8 (N, C, H, W): the output of its bottleneck, if it has one, else the input
    of its last linear layer.

    Returns:
        The features, (N, F), and what they are: `bottleneck` or `penultimate`.

    Raises:
        InputError: The model has neither.
    """
    found: list[torch.Tensor] = []
    modules = dict(model.network.named_modules())
    bottleneck = next((m for name, m in modules.items() if name.rpartition(".")[2] == "bottleneck"), None)
    linear = [module for module in modules.values() if isinstance(module, nn.Linear)]
    if bottleneck is not None:
        handle = bottleneck.register_forward_hook(lambda module, inputs, output: found.append(output))
    elif linear:
        handle = linear[-1].register_forward_pre_hook(lambda module, inputs: found.append(inputs[0]))
    else:
        raise InputError("the model has neither a bottleneck nor a linear layer, whose features could be shown")
    device = model.mean_1C11.device
    try:
        with torch.inference_mode():
            for images_BCHW in torch.split(images_NCHW, _BATCH_SIZE):
                model(images_BCHW.to(device))
    finally:
        handle.remove()
    features_NF = torch.cat(found).flatten(1).cpu().numpy().astype(np.float64)
    return features_NF, "penultimate" if bottleneck is None else "bottleneck"


def to_plane(features_NF: FloatArray) -> FloatArray:
    """(N, 2): features of two dimensions as they are, others by their first two principal components; a missing second
    dimension is 0."""
    if features_NF.shape[1] == 2:
        return features_NF
    if features_NF.shape[1] == 1:
        return np.concatenate((features_NF, np.zeros_like(features_NF)), axis=1)
    from sklearn.decomposition import PCA

    # Exact, and of a fixed sign: the same pictures give the same plane.
    plane_N2: FloatArray = PCA(
        2, svd_solver="full" if min(features_NF.shape) < 500 else "covariance_eigh"
    ).fit_transform(features_NF)
    return plane_N2


def separation(points_ND: FloatArray, labels_N: IntArray) -> Separation:
    """How well the classes of points separate. There must be two classes and three points."""
    from sklearn.metrics import silhouette_score
    from sklearn.neighbors import NearestNeighbors

    n = len(points_ND)
    k = min(N_NEIGHBOURS, n - 1)
    near_NK = NearestNeighbors(n_neighbors=k + 1).fit(points_ND).kneighbors(points_ND, return_distance=False)
    is_self_NK = near_NK == np.arange(n)[:, None]
    is_self_NK[~is_self_NK.any(1), -1] = True  # among equal points it may not be its own neighbour
    near_NK = near_NK[~is_self_NK].reshape(n, k)
    n_classes = int(labels_N.max()) + 1
    votes_NK = np.zeros((n, n_classes), dtype=np.int64)
    np.add.at(votes_NK, (np.arange(n)[:, None], labels_N[near_NK]), 1)
    return Separation(
        knn_accuracy=float((votes_NK.argmax(1) == labels_N).mean()),
        silhouette=float(silhouette_score(points_ND, labels_N)),
    )
