"""Whether two runs agree: their metrics epoch by epoch, to the last bit, and what was not the same about them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sweeper.tracking.provenance import PACKAGES
from sweeper.tracking.records import RunReader, RunRecord

__all__ = ["Agreement", "Change", "EpochAgreement", "changed_tags", "compare_runs"]

_TIMES = ("seconds", "pictures_per_second")
"""Metrics that no two trainings share."""
_ORIGIN = ("version", "commit", "dirty", *PACKAGES, "python", "platform", "host")
_TRAINING = ("device", "n_threads", "micro_batch", "data_fingerprint")
_BESIDE = "changes beside the commit"


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that is not as it was."""

    what: str
    """Such as `commit` or `torch`."""
    before: str | None
    """None where it is not known, or was not there."""
    now: str | None

    def __str__(self) -> str:
        words = {"true": "some", "false": "none"} if self.what == _BESIDE else {}
        before, now = ("not recorded" if each is None else words.get(each, each) for each in (self.before, self.now))
        return f"{self.what} {before} → {now}"


@dataclass(frozen=True, kw_only=True)
class EpochAgreement:
    """One epoch of two runs."""

    epoch: int
    n_differing: int
    """Metrics that are not the same to the last bit."""
    largest: float
    """Largest difference of a metric; infinite where one of them is not finite."""
    worst: str
    """The metric that it is of; empty where all agree."""
    values: tuple[float | None, float | None]
    """The objective's metric in both."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far a run and its reproduction agree."""

    run_id: str
    """Of the run."""
    reproduced_run_id: str
    n_epochs: tuple[int, int]
    """Of the run and its reproduction."""
    metrics: Sequence[str]
    """What was compared."""
    not_compared: Sequence[str]
    """Metrics that only one of them has."""
    epochs: Sequence[EpochAgreement]
    """Those that both have."""
    changes: Sequence[Change]
    """What was not the same about the two trainings."""
    reason: str
    """Why the reproduction failed, if it did."""
    was_cut_short: bool
    """Whether the run was pruned: its reproduction, which is not, has more epochs."""

    @property
    def is_identical(self) -> bool:
        """Whether all numbers are the same to the last bit."""
        has_all = self.n_epochs[0] == len(self.epochs) and (self.was_cut_short or self.n_epochs[0] == self.n_epochs[1])
        return not self.reason and has_all and bool(self.epochs) and not any(e.n_differing for e in self.epochs)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"is_identical": self.is_identical, **asdict(self)}


def changed_tags(before: Mapping[str, str], now: Mapping[str, str], *, training: bool = False) -> list[Change]:
    """What differs between the tags of two runs about where they come from; with `training`, how they were trained too.

    A commit that had changes beside it may differ from itself, and is said to.
    """
    names = (*_ORIGIN, *_TRAINING) if training else _ORIGIN
    changes = []
    for name in names:
        pair = before.get(f"sweeper.{name}"), now.get(f"sweeper.{name}")
        if pair[0] != pair[1] or (name == "dirty" and "true" in pair):
            what = _BESIDE if name == "dirty" else name
            changes.append(Change(what=what, before=pair[0], now=pair[1]))
    return changes


def compare_runs(reader: RunReader, run: RunRecord, again: RunRecord, *, metric: str = "objective") -> Agreement:
    """Hold the metrics of two runs against each other.

    Args:
        reader: Where both are tracked.
        run: The one.
        again: The other, which was trained as it was.
        metric: Whose values are shown.
    """
    before, now = (_history(reader, each.run_id) for each in (run, again))
    names = [{name for values in history.values() for name in values} for history in (before, now)]
    metrics = sorted(names[0] & names[1])
    epochs = [_epoch(epoch, before[epoch], now[epoch], metrics, metric) for epoch in sorted(before.keys() & now.keys())]
    return Agreement(
        run_id=run.run_id,
        reproduced_run_id=again.run_id,
        n_epochs=(len(before), len(now)),
        metrics=metrics,
        not_compared=sorted(names[0] ^ names[1]),
        epochs=epochs,
        changes=changed_tags(run.tags, again.tags, training=True),
        reason=again.tags.get("sweeper.reason", "") if again.state == "FAIL" else "",
        was_cut_short=run.state == "PRUNED",
    )


def _history(reader: RunReader, run_id: str) -> dict[int, dict[str, float]]:
    """Values by epoch and metric. What test says is not compared: the reproduction does not touch test."""
    history: dict[int, dict[str, float]] = {}
    rows = reader.read_histories([run_id])
    for metric, epoch, value in zip(rows["metric"], rows["epoch"], rows["value"], strict=True):
        if metric not in _TIMES and not metric.startswith("test/"):
            history.setdefault(int(epoch), {})[str(metric)] = float(value)
    return history


def _epoch(
    epoch: int, before: Mapping[str, float], now: Mapping[str, float], metrics: Sequence[str], shown: str
) -> EpochAgreement:
    n_differing, largest, worst = 0, 0.0, ""
    for metric in metrics:
        a, b = before.get(metric), now.get(metric)
        if a is None or b is None:
            if a is not b:
                n_differing, largest, worst = n_differing + 1, math.inf, metric
            continue
        if a == b or (math.isnan(a) and math.isnan(b)):
            continue
        n_differing += 1
        difference = abs(a - b)
        difference = math.inf if math.isnan(difference) else difference
        if difference > largest:
            largest, worst = difference, metric
    values = before.get(shown), now.get(shown)
    return EpochAgreement(epoch=epoch, n_differing=n_differing, largest=largest, worst=worst, values=values)
