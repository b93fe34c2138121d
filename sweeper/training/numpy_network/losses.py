"""Cross entropy of a softmax, with its derivative, in NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sweeper.training.losses import ClassLoss
from sweeper.training.numpy_network.layers import Array

__all__ = ["SoftmaxCrossEntropy", "log_softmax"]


def log_softmax(logits_BK: Array) -> Array:
    """Log-probabilities, (B, K)."""
    shifted_BK: Array = logits_BK - logits_BK.max(axis=1, keepdims=True)  # no exponential overflows
    shifted_BK -= np.log(np.exp(shifted_BK).sum(axis=1, keepdims=True))
    return shifted_BK


class SoftmaxCrossEntropy:
    """What `ClassLoss` computes, from logits: cross entropy, or NLL of their log-softmax, which is the same.

    With weights w of the classes, smoothing s and label y, a picture's loss is the cross entropy of its probabilities
    with targets t_k = (1 - s) w_y [k = y] + s w_k / K, as in PyTorch; the batch's is their sum by that of all w_y.

    Args:
        loss: Weights of the classes and smoothing.
        dtype: Type to compute in.
    """

    def __init__(self, loss: ClassLoss, dtype: npt.DTypeLike) -> None:
        self._smoothing = loss.label_smoothing
        self._weights_K: Array | None = None
        if loss.weights_K is not None:
            self._weights_K = loss.weights_K.numpy(force=True).astype(dtype)

    def __call__(self, log_probabilities_BK: Array, labels_B: npt.NDArray[np.int64]) -> tuple[np.floating, Array]:
        """The loss, and its derivative by each logit, (B, K)."""
        n_pictures, n_classes = log_probabilities_BK.shape
        targets_BK = np.zeros_like(log_probabilities_BK)
        rows_B = np.arange(n_pictures)
        smoothing, weights_K = self._smoothing, self._weights_K
        if weights_K is None:
            total = float(n_pictures)
            targets_BK += smoothing / n_classes
            targets_BK[rows_B, labels_B] += 1.0 - smoothing
        else:
            weights_B = weights_K[labels_B]
            total = float(weights_B.sum())
            targets_BK += weights_K * (smoothing / n_classes)
            targets_BK[rows_B, labels_B] += weights_B * (1.0 - smoothing)
        # Where all pictures have a weight of 0, so has the batch: see ClassLoss.scale.
        targets_BK *= 1.0 / total if total > 0.0 else 0.0
        loss = -np.vdot(targets_BK, log_probabilities_BK)
        slopes_BK = np.exp(log_probabilities_BK)
        if smoothing > 0.0 or weights_K is not None:
            slopes_BK *= targets_BK.sum(axis=1, keepdims=True)
        else:
            slopes_BK *= 1.0 / total
        slopes_BK -= targets_BK
        return loss, slopes_BK
