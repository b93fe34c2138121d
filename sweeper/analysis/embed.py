"""`sweeper embed`: what a trained model makes of pictures, beside a principal component analysis of their pixels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sweeper.analysis.choices import EmbedPart
from sweeper.analysis.embedding import N_NEIGHBOURS, extract_features, separation, to_plane
from sweeper.errors import DataError, InputError
from sweeper.tracking.analyses import Kept, connect, keep_result
from sweeper.tracking.subject import OnProgress, config_of, find_run, load_model, open_pictures
from sweeper.training.devices import resolve_device

if TYPE_CHECKING:
    from sweeper.analysis.arrays import FloatArray
    from sweeper.data.dataset import Dataset
    from sweeper.tracking.workspace import Workspace

__all__ = ["EmbedOptions", "embed_run"]


@dataclass(frozen=True, kw_only=True)
class EmbedOptions:
    """Which pictures are shown."""

    part: EmbedPart = "val"
    n_pictures: int = 5000
    """At most so many, drawn at random."""
    seed: int = 0
    """Of the draw."""


def embed_run(
    workspace: Workspace,
    name: str,
    options: EmbedOptions,
    *,
    device: str = "cpu",
    on_progress: OnProgress = lambda what, done, total: None,
) -> tuple[dict[str, Any], Kept]:
    """Show what the model of a run makes of pictures, and keep it with the run.

    Args:
        workspace: Where the run is tracked.
        name: See `find_run`.
        options: Which pictures.
        device: Where the model runs.
        on_progress: Told of each step.

    Returns:
        The result as plain data, and where it is kept.

    Raises:
        NotFoundError: No such run, or one that kept no model.
        InputError: Its pictures have no classes, or its model no features.
        DataError: The pictures are missing, have changed, or are too few.
        TrackingError: MLflow cannot be reached.
    """
    subject = find_run(workspace, name)
    config = config_of(subject.run, subject.reader)
    if config.task == "regression":
        raise InputError(f"{subject.run.name} of {subject.study.name} is a regression; allowed: pictures with classes")
    model = load_model(workspace, subject).to(resolve_device(device))
    dataset = open_pictures(workspace, subject.run, config)
    indices_M = _choose(dataset, options)
    split = dataset.train
    images_MCHW = split.images_NCHW[indices_M]
    labels = split.labels_N if split.true_labels_N is None else split.true_labels_N
    labels_M = labels[indices_M].numpy()
    if len(labels_M) < 3 or len(np.unique(labels_M)) < 2:
        raise DataError(f"{len(labels_M)} pictures of {len(np.unique(labels_M))} class(es) show no separation")
    spaces: dict[str, Any] = {}
    on_progress("features", 0, 4)
    features_MF, kind = extract_features(model, images_MCHW)
    if not np.isfinite(features_MF).all():
        raise InputError(f"the model of {subject.run.name} gives features that are not finite")
    pixels_MF = images_MCHW.flatten(1).numpy().astype(np.float64) / 255.0
    for step, (space, points_MF) in enumerate((("features", features_MF), ("pixels", pixels_MF))):
        on_progress(f"plane of {space}", 2 * step, 4)
        plane_M2 = to_plane(points_MF)
        on_progress(f"separation of {space}", 2 * step + 1, 4)
        spaces[space] = {
            "n_dimensions": points_MF.shape[1],
            "plane": asdict(separation(plane_M2, labels_M)),
            "all": asdict(separation(points_MF, labels_M)),
            "points": _rounded(plane_M2),
        }
    on_progress("done", 4, 4)
    result = {
        "analysis": "embedding",
        "study": subject.study.name,
        "trial": subject.run.number,
        "run_id": subject.run.run_id,
        "part": options.part,
        "seed": options.seed,
        "features": kind,
        "n_neighbours": N_NEIGHBOURS,
        "n_pictures": len(labels_M),
        "labels": "given" if split.true_labels_N is None else "true",
        "class_names": list(dataset.class_names),
        "classes": labels_M.tolist(),
        "pictures": indices_M.tolist(),
        "spaces": spaces,
    }
    kept = keep_result(
        connect(workspace),
        subject.run.run_id,
        kind="embedding",
        variant=options.part,
        result=result,
        files={},
        tags=subject.run.tags,
    )
    return result, kept


def _choose(dataset: Dataset, options: EmbedOptions) -> torch.Tensor:
    """int64, (M,), ascending: indices of the pictures that are shown."""
    parts = {"train": [dataset.train], "val": [dataset.validation], "both": [dataset.train, dataset.validation]}
    indices_M = torch.cat([split.indices_M for split in parts[options.part]])
    draw = torch.Generator().manual_seed(options.seed)
    return indices_M[torch.randperm(len(indices_M), generator=draw)[: options.n_pictures]].sort().values


def _rounded(plane_M2: FloatArray) -> list[list[float]]:
    """Four digits are more than a figure shows."""
    return [[float(f"{x:.4g}"), float(f"{y:.4g}")] for x, y in plane_M2.tolist()]
