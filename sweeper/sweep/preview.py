"""What a study would do: configurations drawn at random, their sizes, and how long they would take."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sweeper.data.dataset import Dataset, Split
from sweeper.data.store import is_decoded, open_dataset
from sweeper.errors import DivergedError
from sweeper.places import Places
from sweeper.study.config import DataConfig, LoopTrialConfig, TorchvisionConfig, TrialConfig, trial_config
from sweeper.study.study import Study
from sweeper.study.suggesters import RandomSuggester
from sweeper.tracking.workspace import Workspace
from sweeper.training.loop import Training

__all__ = ["PreviewedTrial", "preview_study"]

N_STEPS = 12
N_BACKBONE = 64
"""Most pictures of each part that a backbone runs for."""


@dataclass(frozen=True, kw_only=True)
class PreviewedTrial:
    """One configuration that the study may try."""

    params: Mapping[str, Any]
    n_parameters: int | None
    """Of the model; None for a loop of its own."""
    seconds: float | None
    """Estimate for all epochs, on one worker that has the device for itself; None for a loop of its own."""


def preview_study(
    study: Study, workspace: Workspace, *, n: int, seed: int, device: str, n_threads: int
) -> Iterator[PreviewedTrial]:
    """Draw `n` configurations and time a few real steps of each; those of a loop of its own are drawn alone.

    Nothing of the workspace is written. Pictures that are not decoded yet are decoded into a temporary folder.
    """
    threads_before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        with tempfile.TemporaryDirectory(prefix="sweeper-preview-") as folder:
            for i in range(n):
                draw = study.trial.draw(RandomSuggester(seed + i))
                config = trial_config(draw.tree).model_validate(draw.tree)
                if isinstance(config, LoopTrialConfig):
                    yield PreviewedTrial(params=draw.params, n_parameters=None, seconds=None)
                    continue
                dataset = _open(config.data, workspace, Path(folder))
                places = replace(workspace.places, cache_dir=Path(folder))
                n_parameters, seconds = _measure(config, dataset, torch.device(device), places)
                yield PreviewedTrial(params=draw.params, n_parameters=n_parameters, seconds=seconds)
    finally:
        torch.set_num_threads(threads_before)


def _open(config: DataConfig, workspace: Workspace, folder: Path) -> Dataset:
    decoded = is_decoded(config, cache_dir=workspace.cache_dir, data_dir=workspace.data_dir)
    return open_dataset(config, cache_dir=workspace.cache_dir if decoded else folder, data_dir=workspace.data_dir)


def _measure(config: TrialConfig, dataset: Dataset, device: torch.device, places: Places) -> tuple[int, float]:
    """Parameters of the model, and seconds of all epochs: two epochs on some of the pictures, the second timed."""
    n_train = min(len(dataset.train), N_STEPS * config.training.batch_size)
    n_validation = min(len(dataset.validation), 1024)
    if isinstance(config.model, TorchvisionConfig):  # a CPU takes tens of milliseconds for each picture
        n_train, n_validation = min(n_train, N_BACKBONE), min(n_validation, N_BACKBONE)
    part = replace(
        dataset,
        train=_some(dataset.train, n_train),
        validation=_some(dataset.validation, n_validation),
    )
    two_epochs = config.model_copy(update={"training": config.training.model_copy(update={"epochs": 2})})
    training = Training(config=two_epochs, dataset=part, device=device, places=places)
    start = time.perf_counter()
    last_seconds = train_seconds = 0.0
    try:
        for metrics in training.epochs():
            train_seconds = n_train / metrics.values["pictures_per_second"]
            last_seconds, start = time.perf_counter() - start, time.perf_counter()
    except DivergedError:  # its steps took as long as those of others
        last_seconds = train_seconds = time.perf_counter() - start
    rest_seconds = last_seconds - train_seconds
    epoch_seconds = train_seconds * len(dataset.train) / n_train + rest_seconds * len(dataset.validation) / n_validation
    return training.n_parameters, epoch_seconds * config.training.epochs


def _some(split: Split, n: int) -> Split:
    # Spread over the part, which is sorted as the files are: all classes are in it.
    picked = torch.linspace(0, len(split) - 1, n).long()
    return replace(split, indices_M=split.indices_M[picked])
