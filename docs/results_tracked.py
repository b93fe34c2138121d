"""What was tracked of the studies of the results page: their configurations, and what was measured of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from sweeper.errors import NotFoundError
from sweeper.report.augmentations import fold_augmentations
from sweeper.report.final import FinalData, open_final
from sweeper.report.format import param_text, percent_decimals, short_names
from sweeper.report.parameters import identity, run_params, varied_params
from sweeper.report.shares import possible
from sweeper.report.statistics import Sample, describe_sample
from sweeper.study.study import Objective
from sweeper.tracking.final import judged_metrics
from sweeper.tracking.records import RunReader, RunRecord, StudyRecord
from sweeper.tracking.runs import read_study
from sweeper.tracking.workspace import Workspace

SEED = "seed"


class Tried:
    """The configurations of a study, tested or not, and what was measured of them."""

    def __init__(self, record: StudyRecord, reader: RunReader) -> None:
        self.record = record
        self.reader = reader
        self.final: FinalData | None = open_final(record, reader)
        self.part = "val" if self.final is None else "test"
        if self.final is None:
            self._judged = judged_metrics(record, reader)
            self.groups = self._group()
        else:
            self.groups = [list(c.complete) for c in self.final.configurations if c.complete]

    def _group(self) -> list[list[RunRecord]]:
        """Complete runs that differ in their seed alone, the best by validation first."""
        groups: dict[tuple[tuple[str, str], ...], list[RunRecord]] = {}
        for run in self.record.runs:
            if run.state == "COMPLETE" and run.value is not None:
                key = tuple(sorted((k, identity(v)) for k, v in run.params.items() if k != SEED))
                groups.setdefault(key, []).append(run)
        sign = -1.0 if Objective.model_validate(self.record.study.get("objective", {})).maximize else 1.0
        return sorted(groups.values(), key=lambda runs: sign * math.fsum(r.value or 0.0 for r in runs) / len(runs))

    def sample(self, runs: Sequence[RunRecord], measure: str) -> Sample | None:
        """A metric over the runs of a configuration, with the interval of its mean."""
        metric = measure if measure.startswith(("val/", "train/")) else f"{self.part}/{measure}"
        if self.final is not None:
            return self.final.sample(next(c for c in self.final.configurations if c.runs[0] in runs), metric)
        if metric not in self._judged.columns:
            return None
        values = self._judged[metric].reindex([run.run_id for run in runs]).tolist()
        found = describe_sample([float(value) for value in values if math.isfinite(value)])
        return None if found is None else replace(found, interval=possible(found.interval, metric))

    @property
    def decimals(self) -> int:
        """Of percentages, such that one picture more shows."""
        return 1 if self.final is None else percent_decimals(self.final.n_pictures("test"))

    @property
    def chosen(self) -> list[RunRecord]:
        """Runs of the configuration that validation chooses."""
        return self.groups[0] if self.groups else []

    def labels(self) -> list[dict[str, str]]:
        """What tells each configuration from the others: values by parameter."""
        params = [fold_augmentations(run_params(runs[0])) for runs in self.groups]
        varied = [path for path in varied_params(params) if path != SEED]
        names = short_names(varied)
        return [{names[p]: param_text(one[p]) if p in one else "" for p in varied} for one in params]


def open_tried(name: str) -> Tried | None:
    """What was tracked of a study in the workspace of the current folder; None where it was not run."""
    try:
        return Tried(*read_study(name, Workspace.from_environment()))
    except NotFoundError:
        return None


def seconds_of(tried: Tried) -> float:
    """Training time of all trials, those of the tests included."""
    runs = [*tried.record.runs, *([] if tried.final is None else tried.final.final.runs)]
    times = [(run.start_time, run.end_time) for run in runs]
    return math.fsum((end - start).total_seconds() for start, end in times if start and end)
