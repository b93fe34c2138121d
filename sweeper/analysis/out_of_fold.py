"""Out-of-fold predictions over the best configurations of a study, averaged."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sweeper.analysis.arrays import FloatArray, IntArray
from sweeper.analysis.folds import Fold, fold_of_pictures, pool_of, read_fold
from sweeper.analysis.pool import train_folds
from sweeper.data.dataset import Dataset
from sweeper.errors import InputError
from sweeper.launch.launcher import WorkerSlot
from sweeper.places import Places
from sweeper.study.config import TrialConfig
from sweeper.study.study import Objective
from sweeper.tracking.records import RunReader, RunRecord, StudyRecord
from sweeper.tracking.subject import OnProgress, config_of, open_pictures
from sweeper.tracking.workspace import Workspace

__all__ = ["Audited", "CrossValidation", "open_audited"]


@dataclass(frozen=True, kw_only=True)
class Audited:
    """The configurations that are cross-validated, and the pictures that all of them share."""

    runs: Sequence[RunRecord]
    configs: Sequence[TrialConfig]
    epochs: Sequence[int]
    """Of each configuration: how many are trained, up to the one that the trial was judged by."""
    datasets: Sequence[Dataset]
    """Of each configuration; they may differ in size and normalization."""
    indices_M: torch.Tensor
    """int64, (M,), ascending: the pictures for training and validation."""
    labels_M: IntArray
    """(M,): their given labels."""
    true_M: IntArray | None
    """(M,): their true labels, where they are known."""

    @property
    def dataset(self) -> Dataset:
        return self.datasets[0]


def open_audited(workspace: Workspace, study: StudyRecord, runs: Sequence[RunRecord], reader: RunReader) -> Audited:
    """Open the configurations and the pictures of some runs.

    Raises:
        InputError: A run is no classifier, or not all were trained on the same pictures with the same labels.
        DataError: The pictures are missing or have changed.
    """
    objective = Objective.model_validate(study.study.get("objective", {}))
    configs, epochs, datasets = [], [], []
    for run in runs:
        config = config_of(run, reader)
        if config.task != "classification":
            raise InputError(f"{run.name} of {study.name} is a {config.task}; allowed: classifiers")
        best = run.tags.get("sweeper.best_epoch", "")
        judged_at = (
            int(best) if objective.at == "best" and best.isdecimal() and int(best) > 0 else config.training.epochs
        )
        # Stopping early would look at the pictures that are held out.
        training = config.training.model_copy(update={"early_stopping": None})
        configs.append(config.model_copy(update={"training": training}))
        epochs.append(min(judged_at, config.training.epochs))
        datasets.append(open_pictures(workspace, run, config))
    first, indices_M = datasets[0], pool_of(datasets[0])
    for run, dataset in zip(runs, datasets, strict=True):
        same = torch.equal(pool_of(dataset), indices_M) and torch.equal(
            dataset.train.labels_N[indices_M], first.train.labels_N[indices_M]
        )
        if not same or dataset.class_names != first.class_names:
            raise InputError(
                f"{run.name} and {runs[0].name} of {study.name} were trained on different pictures or labels, and an "
                "audit is of one set; give a smaller --top"
            )
    true_N = first.train.true_labels_N
    return Audited(
        runs=runs,
        configs=configs,
        epochs=epochs,
        datasets=datasets,
        indices_M=indices_M,
        labels_M=first.train.labels_N[indices_M].numpy(),
        true_M=None if true_N is None else true_N[indices_M].numpy(),
    )


class CrossValidation:
    """Trains folds, or takes their predictions from where they are kept.

    Args:
        audited: What is cross-validated.
        n_folds: Into how many parts the pictures are split.
        n_seeds: How often each configuration is cross-validated, with other weights and other folds each time.
        folder: Where predictions are kept.
        slots: Where folds are trained.
        places: Where pictures lie.
        on_progress: Told of epochs done.
    """

    def __init__(
        self,
        audited: Audited,
        *,
        n_folds: int,
        n_seeds: int,
        folder: Path,
        slots: Sequence[WorkerSlot],
        places: Places,
        on_progress: OnProgress = lambda what, done, total: None,
    ) -> None:
        self._audited = audited
        self._n_folds = n_folds
        self._n_seeds = n_seeds
        self._folder = folder
        self._slots = slots
        self._places = places
        self._on_progress = on_progress
        for seed in range(n_seeds):  # raises before anything is trained
            fold_of_pictures(audited.labels_M, n_folds, seed=seed)

    def predict(self, labels_M: IntArray | None = None, *, what: str = "folds") -> FloatArray:
        """Probabilities, (M, K), of the pictures by models that were not trained on them: the mean over configurations
        and seeds.

        Args:
            labels_M: What is trained on, (M,), with `DROPPED` for nothing; default: the given labels.
            what: What progress is called.

        Raises:
            TrialError: A fold diverged or did not fit into memory.
            SweeperError: A process died; what is done is kept.
        """
        audited = self._audited
        folds = self._folds(labels_M)
        held_out = {
            seed: fold_of_pictures(audited.labels_M, self._n_folds, seed=seed)
            for seed in {fold.config["seed"] for fold in folds}
        }

        def read(fold: Fold) -> np.ndarray | None:
            n = int((held_out[fold.config["seed"]] == fold.index).sum())
            return read_fold(fold, (n, audited.dataset.n_classes))

        self._train([fold for fold in folds if read(fold) is None], len(folds), what)
        sums_MK = np.zeros((len(audited.indices_M), audited.dataset.n_classes))
        for fold in folds:
            log_probabilities_BK = read(fold)
            assert log_probabilities_BK is not None, f"{fold.file} has just been written"
            sums_MK[held_out[fold.config["seed"]] == fold.index] += np.exp(log_probabilities_BK.astype(np.float64))
        mean_MK: FloatArray = sums_MK / sums_MK.sum(1, keepdims=True)
        return mean_MK

    def _folds(self, labels_M: IntArray | None) -> list[Fold]:
        self._folder.mkdir(parents=True, exist_ok=True)
        labels, digest = None, ""
        if labels_M is not None:
            digest = hashlib.sha256(labels_M.tobytes()).hexdigest()[:20]
            labels = self._folder / f"labels-{digest}.npy"
            np.save(labels, labels_M)
        return [
            Fold(
                config=config.model_copy(update={"seed": seed}).model_dump(mode="json"),
                fingerprint=dataset.fingerprint,
                epochs=epochs,
                n_folds=self._n_folds,
                index=index,
                labels=None if labels is None else str(labels),
                labels_digest=digest,
                folder=str(self._folder),
            )
            for seed in range(self._n_seeds)
            for config, epochs, dataset in zip(
                self._audited.configs, self._audited.epochs, self._audited.datasets, strict=True
            )
            for index in range(self._n_folds)
        ]

    def _train(self, missing: Sequence[Fold], n_folds: int, what: str) -> None:
        total = sum(fold.epochs for fold in missing)
        n_kept = n_folds - len(missing)
        label = what if n_kept == 0 else f"{what} ({n_kept} of {n_folds} kept from before)"
        done: dict[str, int] = {}

        def tell(fold: Fold, epoch: int) -> None:
            done[fold.key] = epoch
            self._on_progress(label, sum(done.values()), total)

        self._on_progress(label, 0, total)
        if missing:
            train_folds(
                missing, slots=self._slots, places=self._places, log_dir=self._folder / "workers", on_epoch=tell
            )
