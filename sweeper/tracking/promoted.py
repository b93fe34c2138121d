"""Trials that were continued for longer, read back. They make up a study of their own, `NAME.promoted`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sweeper.errors import NotFoundError
from sweeper.study.direction import is_maximized
from sweeper.tracking.derived import CONTINUED_TAG, derived_name, derived_of_tag, source_of
from sweeper.tracking.records import RunReader, RunRecord, StudyRecord

__all__ = ["Continued", "read_promoted"]


@dataclass(frozen=True, kw_only=True)
class Continued:
    """A trial and its continuation."""

    study: str
    """Name of the study of continued trials."""
    source: RunRecord
    run: RunRecord

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        best_epoch = self.run.tags.get("sweeper.best_epoch", "0")
        return {
            "trial": self.source.number,
            "run": f"{self.study}/{self.run.number}",
            "run_id": self.run.run_id,
            "state": self.run.state,
            "epochs_before": int(self.source.params["training.epochs"]),
            "epochs": int(self.run.params["training.epochs"]),
            "continued_from_epoch": int(self.run.tags.get(CONTINUED_TAG, "0")),
            "value_before": self.source.value,
            "value": self.run.value,
            "best_epoch": int(best_epoch) or None,
        }


def read_promoted(study: StudyRecord, reader: RunReader) -> list[Continued]:
    """The trials of a tracked study that were continued, the best now first."""
    try:
        promoted = reader.read_study(derived_name(study.name, "promoted"))
    except NotFoundError:
        return []
    if promoted.tags.get(derived_of_tag("promoted")) != study.tags.get("sweeper.study_uuid"):
        return []
    sources = {run.number: run for run in study.runs}
    found = [
        Continued(study=promoted.name, source=sources[number], run=run)
        for run in promoted.runs
        if (number := source_of(run)) is not None and number in sources and "training.epochs" in run.params
    ]
    sign = -1.0 if is_maximized(study.study.get("objective", {})) else 1.0
    return sorted(found, key=lambda each: (each.run.value is None, sign * (each.run.value or 0.0), each.run.number))
