"""Pictures before and after an attack, with what was added to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sweeper.analysis.attack_pictures import BATCH_SIZE, Attack, AttackOptions, changed_batch
from sweeper.analysis.pictures import Tile, draw_sheet

if TYPE_CHECKING:
    from sweeper.models.trained import TrainedModel

__all__ = ["draw_examples"]


def draw_examples(
    model: TrainedModel, attack: Attack, options: AttackOptions
) -> tuple[list[dict[str, Any]], bytes | None]:
    """Pictures that were predicted rightly before and wrongly after (as the target, if there is one): before, noise,
    after, a row each.

    Returns:
        What is shown, row by row, and the sheet; None where there is nothing to show.
    """
    shown, rows = [], []
    for n, e in _find_examples(attack, options.n_examples):
        epsilon = attack.epsilons[e]
        before_1CHW = attack.images_NCHW[n : n + 1].to(torch.float32) / 255.0
        # Drawn again with the same batch, so that what is shown is what was counted.
        start = n // BATCH_SIZE * BATCH_SIZE
        piece = slice(start, start + BATCH_SIZE)
        labels_B = torch.from_numpy(attack.labels_N[piece])
        changed_BCHW = changed_batch(
            model, attack.images_NCHW[piece], labels_B, attack.target, epsilon, options, seed_of=(e, start)
        )
        after_1CHW = changed_BCHW[n - start : n - start + 1].cpu()
        noise_1CHW = 0.5 + (after_1CHW - before_1CHW) / (2.0 * epsilon)
        names = attack.class_names
        described = {
            "label": names[attack.labels_N[n]],
            "epsilon": epsilon,
            "noise_scale": 1.0 / (2.0 * epsilon),
            "before": names[attack.predicted_EN[0, n]],
            "before_confidence": round(float(attack.confidence_EN[0, n]), 4),
            "after": names[attack.predicted_EN[e, n]],
            "after_confidence": round(float(attack.confidence_EN[e, n]), 4),
        }
        shown.append(described)
        rows.append(
            (
                Tile(image_CHW=before_1CHW[0], caption=_caption(described, "before")),
                Tile(image_CHW=noise_1CHW[0], caption=_noise_caption(described)),
                Tile(image_CHW=after_1CHW[0], caption=_caption(described, "after")),
            )
        )
    if not rows:
        return shown, None
    # Two examples side by side: a sheet that is as wide as a page.
    pairs = [sum(rows[i : i + 2], ()) for i in range(0, len(rows), 2)]
    return shown, draw_sheet(pairs)


def _caption(described: dict[str, Any], when: str) -> tuple[str, str]:
    return str(described[when]), f"{100 * described[f'{when}_confidence']:.1f} %"


def _noise_caption(described: dict[str, Any]) -> tuple[str, str]:
    # The font that comes with Pillow has neither × nor ε.
    return f"noise x {described['noise_scale']:.3g}", f"+- {described['epsilon'] * 255:.3g} / 255"


def _find_examples(attack: Attack, n_examples: int) -> list[tuple[int, int]]:
    """Positions of pictures, each with an index of ε at which the attack succeeds. That is the smallest ε at which it
    does on at least half of the pictures that were right before, else the one at which it does on most; the pictures
    are the first of each class, in turns."""
    right_N = attack.predicted_EN[0] == attack.labels_N
    aim_N = attack.labels_N if attack.target is None else attack.target
    done_EN = right_N & ((attack.predicted_EN == aim_N) == (attack.target is not None))
    n_done_E = done_EN.sum(1)
    enough_E = 2 * n_done_E >= max(1, int(right_N.sum()))
    e = int(enough_E.argmax() if enough_E.any() else n_done_E.argmax())
    queues = [np.flatnonzero(done_EN[e] & (attack.labels_N == k)).tolist() for k in np.unique(attack.labels_N).tolist()]
    chosen: list[tuple[int, int]] = []
    while len(chosen) < n_examples and any(queues):
        for queue in queues:
            if queue and len(chosen) < n_examples:
                chosen.append((queue.pop(0), e))
    return chosen
