"""How each trial's learning rate did, by its training loss: diverged, too high, too slow, or fine."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Set

import numpy as np
import pandas as pd

from sweeper.report.class_accuracies import gather_class_accuracies
from sweeper.report.divergence import blew_up, has_diverged, loss_of_constant
from sweeper.report.format import as_float
from sweeper.report.parameters import identity
from sweeper.report.study_data import StudyData
from sweeper.tracking.records import RunRecord

__all__ = ["LR", "VERDICTS", "gather_learning", "loss_scale"]

LR = "training.optimizer.lr"
VERDICTS = {
    "diverged": "its loss became NaN or infinite",
    "blew up": "its last training loss is finite, but far above that of a useful model",
    "learnt nothing": "its last training loss is hardly below, or above, that of predicting the same for each picture",
    "too slow": "worse than the best trial, with a training loss that was still falling to what another had early on",
    "fine": "none of the faults that are looked for",
}
_SCALE = ("training.loss.", "training.balance")
_HARDLY = 0.98
_STILL = 0.02
"""Share of the whole fall of the loss that the last quarter of the epochs has, from which the loss still falls."""
_EARLY = 0.2
"""Share of its epochs that another trial may take to the same loss, for this one to be slow."""
_N_EPOCHS = 4
"""Of fewer epochs nobody can tell whether a loss still falls."""


def gather_learning(data: StudyData) -> pd.DataFrame:
    """One row a complete or diverged trial with a learning rate, by its number.

    Columns: trial, optimizer, lr, verdict (a key of `VERDICTS`), first_loss, last_loss (in training), last_fall (share
    of the fall of the loss that lies in the last quarter of the epochs), reached_at (share of its epochs after which
    the fastest of the other trials had that last loss; None where none reached it).

    No trial is too slow whose value lies within the best one's 95 % interval, where that is an accuracy: other
    parameters, such as dropout, keep a training loss high too.
    """
    blown = blew_up(data)
    losses = _losses(data)
    complete = {run.run_id for run in data.runs if run.state == "COMPLETE"}
    reached_at = _reached(losses, {run.run_id: loss_scale(data, run) for run in data.runs}, complete)
    rows = []
    for run in data.runs:
        own = data.params[run.run_id]
        lr = as_float(own.get(LR))
        if lr is None or not (run.run_id in complete or has_diverged(run)):
            continue
        loss, reached = losses.get(run.run_id), reached_at.get(run.run_id)
        fall = None if loss is None else _last_fall(loss)
        verdict = "diverged" if has_diverged(run) else _verdict(data, run, loss, fall, reached, blown)
        if verdict is None:
            continue
        rows.append(
            {
                "trial": run.number,
                "optimizer": own.get("training.optimizer.name"),
                "lr": lr,
                "verdict": verdict,
                "first_loss": None if loss is None else float(loss.iloc[0]),
                "last_loss": None if loss is None else float(loss.iloc[-1]),
                "last_fall": fall,
                "reached_at": reached,
            }
        )
    columns = ["trial", "optimizer", "lr", "verdict", "first_loss", "last_loss", "last_fall", "reached_at"]
    frame = pd.DataFrame(rows, columns=columns, dtype=object)
    return frame.where(frame.notna(), None)


def loss_scale(data: StudyData, run: RunRecord) -> tuple[tuple[str, str], ...]:
    """What losses must share to be compared: smoothing of labels and weights of classes put them on another scale."""
    own = data.params[run.run_id]
    return tuple((p, identity(own[p])) for p in sorted(own) if p.startswith(_SCALE) and p != "training.loss.name")


def _losses(data: StudyData) -> dict[str, pd.Series]:
    """Finite training losses by run and epoch, in the order of the runs; none of a run without any."""
    losses = data.epochs["train/loss"]
    finite = losses[losses.abs() < math.inf].reset_index("run_id")
    found = {str(run_id): own["train/loss"] for run_id, own in finite.groupby("run_id", observed=True)}
    return {run.run_id: found[run.run_id] for run in data.runs if run.run_id in found}


def _last_fall(losses: pd.Series) -> float | None:
    """Share of the fall from the first epoch to the last that lies in the last quarter; None where it did not fall."""
    if len(losses) < _N_EPOCHS:
        return None
    first, before, last = (float(losses.iloc[i]) for i in (0, -1 - max(len(losses) // 4, 1), -1))
    return (before - last) / (first - last) if first > last else None


def _reached(
    losses: Mapping[str, pd.Series], scales: Mapping[str, Hashable], complete: Set[str]
) -> dict[str, float | None]:
    """By run: the smallest share of its epochs after which another complete one, of losses on the same scale, had the
    last training loss of this one; None where no other has."""
    by_scale: dict[Hashable, list[str]] = {}
    for run_id in losses:
        by_scale.setdefault(scales[run_id], []).append(run_id)
    reached: dict[str, float | None] = {}
    for run_ids in by_scale.values():
        last_R = np.array([losses[run_id].iloc[-1] for run_id in run_ids])
        earliest_R = np.full(len(run_ids), math.inf)
        for row, run_id in enumerate(run_ids):
            if run_id in complete:
                fallen_E = -np.minimum.accumulate(losses[run_id].to_numpy())
                epoch_R = np.searchsorted(fallen_E, -last_R) + 1  # the first that is as low, or one beyond the last
                share_R = np.where(epoch_R <= len(fallen_E), epoch_R / len(fallen_E), math.inf)
                share_R[row] = math.inf
                earliest_R = np.minimum(earliest_R, share_R)
        found = zip(run_ids, earliest_R.tolist(), strict=True)
        reached |= {run_id: share if share < math.inf else None for run_id, share in found}
    return reached


def _verdict(
    data: StudyData,
    run: RunRecord,
    losses: pd.Series | None,
    fall: float | None,
    reached: float | None,
    blown: set[str],
) -> str | None:
    if losses is None:
        return None
    if run.run_id in blown:
        return "blew up"
    constant = _loss_of_shares(data)
    # With weights for classes or smoothed labels, a loss is on another scale than the entropy of the shares.
    own = data.params[run.run_id]
    changed = ("training.loss.label_smoothing", "training.loss.class_weights")
    if own.get("training.balance") not in ("none", None) or any(map(own.get, changed)):
        # Equal probabilities have this loss under weights or smoothing; under both together hardly more.
        constant = loss_of_constant(data)
    if constant is not None and float(losses.iloc[-1]) >= _HARDLY * constant:
        return "learnt nothing"
    is_slow = fall is not None and fall >= _STILL and reached is not None and reached <= _EARLY
    if is_slow and _is_worse(data, run):
        return "too slow"
    return "fine"


def _is_worse(data: StudyData, run: RunRecord) -> bool:
    """Whether a trial is worse than the best one, of accuracies beyond the best one's interval."""
    assert data.best is not None
    value, best = as_float(run.value), as_float(data.best.value)
    if value is None or best is None:
        return False
    limit = _limit_of_best(data)
    return data.objective.is_better(best if limit is None else limit, value)


def _limit_of_best(data: StudyData) -> float | None:
    """The lower end of the best one's 95 % interval, where the objective is an accuracy in validation, else None."""
    part, _, quantity = data.objective.metric.partition("/")
    plain = quantity.removeprefix("true_")
    ends = {"accuracy": "low", "balanced_accuracy": "avg_low"}
    if part != "val" or plain not in ends or not data.objective.maximize:
        return None
    first = gather_class_accuracies(data, part, true=plain != quantity).iloc[0]
    return as_float(first[ends[plain]])


def _loss_of_shares(data: StudyData) -> float | None:
    """The loss of predicting the shares of the classes in training, their entropy; None without classes."""
    counts = data.class_counts("train") if data.task == "classification" else None
    if not counts or not sum(counts):
        return loss_of_constant(data)
    return -math.fsum(n / sum(counts) * math.log(n / sum(counts)) for n in counts if n)
