"""Artifacts of a trial that are known before its first epoch."""

from __future__ import annotations

from typing import Any

from sweeper.data.batches import input_statistics
from sweeper.data.dataset import Dataset
from sweeper.models.backbone_weights import find_weights, weights_hash
from sweeper.models.layers import backbone_row, layer_table
from sweeper.places import Places
from sweeper.study.config import CustomModelConfig, TorchvisionConfig, TrialConfig
from sweeper.training.loop import Training
from sweeper.training.memory import out_of_memory_is_infeasible

__all__ = ["describe"]


def describe(config: TrialConfig, dataset: Dataset, training: Training, places: Places | None) -> dict[str, Any]:
    """The contents of `data.json`, `layers.json` and `model.json`, by these names."""
    mean_C, deviation_C = input_statistics(dataset, normalize=config.data.normalize)
    parts: dict[str, Any] = {"train": dataset.train, "val": dataset.validation, "test": dataset.test}
    is_own = not isinstance(config.model, CustomModelConfig)
    with out_of_memory_is_infeasible():
        rows = layer_table(training.model, training.feed.input_shape, is_own=is_own)
    if isinstance(config.model, TorchvisionConfig) and config.model.frozen:
        rows.insert(0, backbone_row(config.model))
    return {
        "data.json": {
            "name": dataset.name,
            "task": config.task,
            "class_names": dataset.class_names,
            "output_names": dataset.output_names,
            "counts": {part: split.class_counts(dataset.n_classes) for part, split in parts.items()},
            "fingerprint": dataset.fingerprint,
            "input_shape": dataset.input_shape,
            "split_seed": config.data.split_seed,
        },
        "layers.json": [
            {"name": r.name, "kind": r.kind, "output_shape": r.output_shape, "n_parameters": r.n_parameters}
            for r in rows
        ],
        "model.json": {
            "model": config.model.model_dump(mode="json"),
            "loss": config.training.loss.name,
            "input_shape": dataset.input_shape,
            "task": config.task,
            "class_names": dataset.class_names,
            "output_names": dataset.output_names,
            "normalize": config.data.normalize,
            "mean": mean_C.tolist(),
            "deviation": deviation_C.tolist(),
            "weights_sha256": _weights_hash(config, places),
        },
    }


def _weights_hash(config: TrialConfig, places: Places | None) -> str | None:
    """Which pretrained weights the model began with, or has for good."""
    path = find_weights(config.model, places) if isinstance(config.model, TorchvisionConfig) else None
    return None if path is None else weights_hash(path, places)
