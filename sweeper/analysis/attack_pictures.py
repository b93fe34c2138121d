"""Adversarial attacks on the pictures of a data set, and what a model makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from sweeper.analysis.choices import Method, Part
from sweeper.analysis.perturb import Scores, perturb
from sweeper.errors import DataError, InputError
from sweeper.tracking.subject import OnProgress

if TYPE_CHECKING:
    from sweeper.data.dataset import Dataset, Split
    from sweeper.models.trained import TrainedModel

__all__ = ["DEFAULT_EPSILONS", "Attack", "AttackOptions", "attack_pictures", "changed_batch"]

DEFAULT_EPSILONS = (0.0, 1 / 255, 2 / 255, 4 / 255, 8 / 255, 16 / 255, 32 / 255)
"""0 to an eighth of the range of a pixel."""
BATCH_SIZE = 128


@dataclass(frozen=True, kw_only=True)
class AttackOptions:
    """What is tried."""

    method: Method = "fgsm"
    epsilons: Sequence[float] = DEFAULT_EPSILONS
    """Largest changes of a pixel, 0 to 1, ascending; 0 is added."""
    target: str | None = None
    """Class that pictures are to be taken for. Default: untargeted, any class but their own."""
    source: str | None = None
    """Class of the pictures that are attacked. Default: all, but the target."""
    n_steps: int = 10
    """Steps of `bim` and `pgd`."""
    n_pictures: int = 1000
    """At most so many are attacked, of each class as large a share."""
    n_examples: int = 6
    """Pictures that are shown before and after."""
    part: Part = "val"
    seed: int = 0
    """Of the choice of pictures and of where `pgd` begins."""

    @property
    def variant(self) -> str:
        """Results of different variants are kept side by side."""
        return self.method if self.target is None else f"{self.method}-targeted"


@dataclass(frozen=True, kw_only=True)
class Attack:
    """What came of it. ε is that of `epsilons`, the first of which is 0."""

    epsilons: Sequence[float]
    class_names: Sequence[str]
    labels_N: npt.NDArray[np.int64]
    """(N,): class of each attacked picture."""
    images_NCHW: torch.Tensor
    """uint8: the attacked pictures."""
    predicted_EN: npt.NDArray[np.int64]
    """(E, N): predicted class at each ε."""
    confidence_EN: npt.NDArray[np.float32]
    """(E, N): probability of the predicted class at each ε."""
    target: int | None

    def accuracy_rows(self) -> list[dict[str, Any]]:
        """For each ε and class: n pictures, accuracy, and share taken for the target."""
        rows = []
        for e, epsilon in enumerate(self.epsilons):
            for k in np.unique(self.labels_N).tolist():
                predicted_M = self.predicted_EN[e, self.labels_N == k]
                row = {
                    "epsilon": epsilon,
                    "class": self.class_names[k],
                    "n": len(predicted_M),
                    "right": int((predicted_M == k).sum()),
                }
                if self.target is not None:
                    row["as_target"] = int((predicted_M == self.target).sum())
                rows.append(row)
        return rows


def attack_pictures(
    model: TrainedModel,
    dataset: Dataset,
    options: AttackOptions,
    *,
    on_progress: OnProgress = lambda what, done, total: None,
) -> Attack:
    """Attack pictures of a part at each ε.

    Raises:
        InputError: An option does not fit.
        DataError: There are no pictures to attack.
    """
    names = dataset.class_names
    target, source = (_class_index(field, name, names) for field, name in _named_classes(options))
    if target is not None and target == source:
        raise InputError(f"--source: given {options.source!r}, which is the target; allowed: another class")
    if not all(0.0 <= epsilon <= 1.0 for epsilon in options.epsilons):
        raise InputError(f"--epsilon: given {list(options.epsilons)}; allowed: 0 to 1, the range of a pixel")
    split = dataset.validation if options.part == "val" else dataset.train
    rows_M, labels_M = _choose(split, options, target=target, source=source)
    if len(rows_M) == 0:
        raise DataError(f"no pictures to attack in the {options.part} part of {dataset.name}")
    epsilons = tuple(sorted({0.0, *options.epsilons}))
    images_NCHW = split.images_NCHW[rows_M]
    predicted_EN = np.empty((len(epsilons), len(rows_M)), dtype=np.int64)
    confidence_EN = np.empty(predicted_EN.shape, dtype=np.float32)
    for e, epsilon in enumerate(epsilons):
        on_progress(f"ε {epsilon:.4g}", e, len(epsilons))
        for start in range(0, len(rows_M), BATCH_SIZE):
            piece = slice(start, start + BATCH_SIZE)
            changed_BCHW = changed_batch(
                model, images_NCHW[piece], labels_M[piece], target, epsilon, options, seed_of=(e, start)
            )
            with torch.inference_mode():
                probabilities_BK = unit_scores(model)(changed_BCHW).softmax(1)
            confidence_B, predicted_B = probabilities_BK.max(1)
            predicted_EN[e, piece], confidence_EN[e, piece] = predicted_B.cpu().numpy(), confidence_B.cpu().numpy()
    on_progress("attacked", len(epsilons), len(epsilons))
    return Attack(
        epsilons=epsilons,
        class_names=names,
        labels_N=labels_M.numpy(),
        images_NCHW=images_NCHW,
        predicted_EN=predicted_EN,
        confidence_EN=confidence_EN,
        target=target,
    )


def unit_scores(model: TrainedModel) -> Scores:
    """The model on pictures from 0 to 1, float, so that it can be differentiated with respect to them."""

    def scores(images_NCHW: torch.Tensor) -> torch.Tensor:
        outputs_NK: torch.Tensor = model.network((images_NCHW - model.mean_1C11) / model.deviation_1C11)
        return outputs_NK

    return scores


def changed_batch(
    model: TrainedModel,
    images_BCHW: torch.Tensor,
    labels_B: torch.Tensor,
    target: int | None,
    epsilon: float,
    options: AttackOptions,
    *,
    seed_of: tuple[int, int],
) -> torch.Tensor:
    """A batch of pictures, uint8 (B, C, H, W), attacked: float, 0 to 1. The same arguments give the same pictures."""
    device = model.mean_1C11.device
    generator = torch.Generator().manual_seed(
        int(np.random.SeedSequence((options.seed, *seed_of)).generate_state(1)[0])
    )
    led_B = labels_B if target is None else torch.full_like(labels_B, target)
    return perturb(
        unit_scores(model),
        images_BCHW.to(device, torch.float32) / 255.0,
        led_B.to(device),
        epsilon=epsilon,
        method=options.method,
        targeted=target is not None,
        n_steps=options.n_steps,
        generator=generator,
    )


def _named_classes(options: AttackOptions) -> tuple[tuple[str, str | None], tuple[str, str | None]]:
    return ("--target", options.target), ("--source", options.source)


def _class_index(field: str, name: str | None, class_names: Sequence[str]) -> int | None:
    if name is None:
        return None
    if name not in class_names:
        raise InputError(f"{field}: given {name!r}; allowed: {', '.join(class_names)}")
    return list(class_names).index(name)


def labels_of(split: Split) -> torch.Tensor:
    """int64, (N,): the true class of each picture of the file, where known, else the given one."""
    return split.labels_N if split.true_labels_N is None else split.true_labels_N


def _choose(
    split: Split, options: AttackOptions, *, target: int | None, source: int | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices, (M,), and labels, (M,), of the pictures to attack: of each class the same share, at least one."""
    labels_M = labels_of(split)[split.indices_M]
    wanted_M = torch.ones_like(labels_M, dtype=torch.bool)
    if source is not None:
        wanted_M &= labels_M == source
    elif target is not None:
        wanted_M &= labels_M != target
    rows_M, labels_M = split.indices_M[wanted_M], labels_M[wanted_M]
    share = min(1.0, options.n_pictures / max(len(rows_M), 1))
    draw = torch.Generator().manual_seed(options.seed)
    kept = []
    for k in np.unique(labels_M.numpy()).tolist():
        places = (labels_M == k).nonzero().squeeze(1)
        n = max(1, int(len(places) * share))
        kept.append(places[torch.randperm(len(places), generator=draw)[:n]])
    order = torch.cat(kept).sort().values if kept else torch.empty(0, dtype=torch.int64)
    return rows_M[order], labels_M[order]
