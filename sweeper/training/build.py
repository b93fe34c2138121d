"""The parts of a training that its configuration chooses between: where batches come from, and what learns."""

from __future__ import annotations

import torch
from torch import nn

from sweeper.data.dataset import Dataset
from sweeper.places import Places
from sweeper.study.config import TorchvisionConfig, TrialConfig
from sweeper.training.features import FeatureFeed
from sweeper.training.feed import Feed, PictureFeed
from sweeper.training.frozen import BackboneFeed
from sweeper.training.learner import Learner, TorchLearner
from sweeper.training.losses import ClassLoss, Loss
from sweeper.training.numpy_network import NumpyLearner
from sweeper.training.optimizers import build_optimizer, parameter_groups
from sweeper.training.precision import use_precision
from sweeper.training.unfreezing import Unfreezing

__all__ = ["build_feed", "build_learner", "n_outputs"]


def build_feed(config: TrialConfig, dataset: Dataset, device: torch.device, places: Places | None) -> Feed:
    """Where the batches of a training come from.

    Args:
        config: What to train.
        dataset: What to train on.
        device: Where batches appear.
        places: Where caches and pretrained weights lie; None where there are none.
    """
    model = config.model
    if not isinstance(model, TorchvisionConfig) or not model.frozen:
        return PictureFeed(config, dataset, device)
    if places is None or model.views == 0:
        return BackboneFeed(config, dataset, device, places)
    return FeatureFeed(config, dataset, device, places)


def build_learner(config: TrialConfig, model: nn.Module, loss: Loss, *, may_split_batches: bool = True) -> Learner:
    """What trains `model`, which lies on its device already; `may_split_batches` as for `TorchLearner`.

    Raises:
        TrialError: The device does not compute in the precision that is asked for.
    """
    precision = config.training.precision
    use_precision(precision, next(model.parameters()).device)
    if config.training.backend == "numpy":
        assert isinstance(loss, ClassLoss)
        return NumpyLearner(model, loss, config.training.optimizer)
    groups = parameter_groups(model, backbone_lr_factor=config.training.backbone_lr_factor)
    unfreezing = None
    if isinstance(config.model, TorchvisionConfig) and config.model.unfreezing is not None:
        unfreezing = Unfreezing(model.get_submodule("backbone"), config.model.unfreezing)
    optimizer = build_optimizer(config.training.optimizer, groups)
    return TorchLearner(
        model, loss, optimizer, unfreezing=unfreezing, may_split_batches=may_split_batches, precision=precision
    )


def n_outputs(dataset: Dataset) -> int:
    """Number of outputs of a model for `dataset`: its classes, or the numbers to be predicted."""
    return len(dataset.output_names) or dataset.n_classes
