"""What the tests of a study say, as numbers: for the report and for the terminal. Imports no Plotly."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import pandas as pd

from sweeper.report.shares import possible
from sweeper.report.statistics import Sample, accuracy_interval, describe_sample
from sweeper.study.study import Objective
from sweeper.tracking.final import judged_epoch, judged_metrics, read_final, round_of, round_time, source_of
from sweeper.tracking.records import RunReader, RunRecord, StudyRecord

__all__ = ["FinalData", "Round", "TestedConfiguration", "open_final"]

_MEASURES = ("accuracy", "balanced_accuracy", "true_accuracy", "true_balanced_accuracy", "auc", "loss")
_OVER_PICTURES = ("accuracy", "true_accuracy")


@dataclass(frozen=True, kw_only=True)
class TestedConfiguration:
    """One configuration and the runs that trained it again."""

    source: int
    """Number of the trial in the study that found it."""
    params: Mapping[str, Any]
    """Of the first of its runs; they differ in the seed alone."""
    runs: Sequence[RunRecord]
    """By trial number."""
    value: float | None
    """Mean of the objective over its complete runs: what validation says. None without any."""

    @property
    def complete(self) -> list[RunRecord]:
        """Runs that have ended well; the others count for nothing but are said to be."""
        return [run for run in self.runs if run.state == "COMPLETE" and judged_epoch(run) is not None]


@dataclass(frozen=True, kw_only=True)
class Round:
    """One request for tests."""

    number: int
    time: datetime | None
    """UTC."""
    sources: Sequence[int]
    """The configurations that it added runs of, by the number of their trial."""
    n_runs: int


class FinalData:
    """The tests of a study, read once. Test numbers are those at the epoch that validation chose for each run.

    Args:
        study: The study whose configurations were tested.
        final: The runs of the tests.
        reader: Where histories and artifacts come from.
    """

    def __init__(self, study: StudyRecord, final: StudyRecord, reader: RunReader) -> None:
        self.study = study
        self.final = final
        self.reader = reader
        self.objective = Objective.model_validate(study.study.get("objective", {}))

    @cached_property
    def judged(self) -> pd.DataFrame:
        """Every metric of each complete run at the epoch that it is judged by: a row a run id."""
        return judged_metrics(self.final, self.reader)

    @property
    def judged_runs(self) -> list[RunRecord]:
        """Complete runs of the tests, those of the best configuration first."""
        return [run for configuration in self.configurations for run in configuration.complete]

    @cached_property
    def configurations(self) -> list[TestedConfiguration]:
        """What was tested, the best by validation first."""
        groups: dict[int, list[RunRecord]] = {}
        for run in sorted(self.final.runs, key=lambda run: (run.number, run.run_id)):
            source = source_of(run)
            if source is not None:
                groups.setdefault(source, []).append(run)
        found = [
            TestedConfiguration(
                source=source,
                params=runs[0].params,
                runs=runs,
                value=_mean(run.value for run in runs if run.state == "COMPLETE"),
            )
            for source, runs in groups.items()
        ]
        sign = -1.0 if self.objective.maximize else 1.0
        return sorted(found, key=lambda c: (c.value is None, sign * (c.value or 0.0), c.source))

    @property
    def chosen(self) -> TestedConfiguration | None:
        """The configuration that validation chooses of those that were tested; None where none has a complete run."""
        return self.configurations[0] if self.configurations and self.configurations[0].complete else None

    @cached_property
    def measures(self) -> list[str]:
        """What is measured on test over all pictures, the objective's first: accuracy, balanced_accuracy, ..., loss."""
        part, _, quantity = self.objective.metric.partition("/")
        first = [quantity] if part in ("train", "val") else []
        return [m for m in dict.fromkeys([*first, *_MEASURES]) if f"test/{m}" in self.judged.columns]

    @cached_property
    def class_names(self) -> list[str]:
        """Classes, or outputs of a regression, in the data's order."""
        return [str(name) for name in self.data.get("class_names") or self.data.get("output_names") or ()]

    def class_measures(self, measure: str) -> list[str]:
        """`accuracy/<class>` of each class that it was measured of."""
        names = [f"{measure}/{name}" for name in self.class_names]
        return [name for name in names if f"test/{name}" in self.judged.columns]

    def sample(self, configuration: TestedConfiguration, metric: str) -> Sample | None:
        """A metric, such as `test/accuracy`, over the runs of a configuration.

        The interval is Student's over the seeds; for one run Wilson's over the pictures of the part, where the metric
        is a share of them. None where the metric was not measured.
        """
        if metric not in self.judged.columns:
            return None
        values = self.judged[metric].reindex([run.run_id for run in configuration.complete]).tolist()
        sample = describe_sample([float(value) for value in values if math.isfinite(value)])
        if sample is None:
            return None
        if sample.n > 1:
            return replace(sample, interval=possible(sample.interval, metric))
        part, _, quantity = metric.partition("/")
        is_over_pictures = quantity in _OVER_PICTURES
        interval = accuracy_interval(sample.mean, self.n_pictures(part)) if is_over_pictures else None
        return replace(sample, interval=interval)

    @cached_property
    def data(self) -> Mapping[str, Any]:
        """The artifact `data.json` of one of the runs; empty where none has it."""
        for run in [run for c in self.configurations for run in c.runs][:5]:
            content = self.reader.read_artifact(run, "data.json")
            if content is not None:
                data = json.loads(content)
                return data if isinstance(data, dict) else {}
        return {}

    def n_pictures(self, part: str) -> int | None:
        """Pictures in `train`, `val` or `test`; None where it is not known."""
        return sum((self.data.get("counts") or {}).get(part) or ()) or None

    @cached_property
    def rounds(self) -> list[Round]:
        """The requests for tests, by number."""
        groups: dict[int, list[RunRecord]] = {}
        for run in self.final.runs:
            groups.setdefault(round_of(run) or 0, []).append(run)
        return [
            Round(
                number=number,
                time=min((time for run in runs if (time := round_time(run)) is not None), default=None),
                sources=sorted({source for run in runs if (source := source_of(run)) is not None}),
                n_runs=len(runs),
            )
            for number, runs in sorted(groups.items())
        ]

    @cached_property
    def histories(self) -> pd.DataFrame:
        """Losses and accuracies of the chosen configuration's complete runs: columns run_id, metric, epoch, value."""
        runs = [] if self.chosen is None else [run.run_id for run in self.chosen.complete]
        metrics = [f"{part}/{quantity}" for part in ("train", "val", "test") for quantity in ("loss", "accuracy")]
        return self.reader.read_histories(runs, metrics)

    @cached_property
    def n_evaluations(self) -> int:
        """How often a model was measured on test: once an epoch of each run."""
        rows = self.reader.read_histories([run.run_id for run in self.final.runs], ["test/loss"])
        return len(rows.drop_duplicates(["run_id", "epoch"]))

    def confusion(self, key: str) -> tuple[list[str], list[list[int]]] | None:
        """Counts on test, summed over the runs of the chosen configuration: names of the classes, and rows of truths.

        Args:
            key: `test` (against given labels) or `true_test`.
        """
        total: list[list[int]] | None = None
        names: list[str] = []
        for run in [] if self.chosen is None else self.chosen.complete:
            content = self.reader.read_artifact(run, "confusion.json")
            raw = {} if content is None else json.loads(content)
            matrix = raw.get(key)
            if not matrix:
                continue
            if total is None:
                names, total = [str(name) for name in raw["class_names"]], [[0] * len(line) for line in matrix]
            total = [[a + int(b) for a, b in zip(x, y, strict=True)] for x, y in zip(total, matrix, strict=True)]
        return None if total is None else (names, total)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        metrics = [m for m in self.judged.columns if m.partition("/")[0] in ("train", "val", "test")]
        return {
            "study": self.study.name,
            "tests": self.final.name,
            "objective": self.objective.metric,
            "chosen": None if self.chosen is None else self.chosen.source,
            "configurations": [
                {
                    "trial": configuration.source,
                    "params": {k: v for k, v in configuration.params.items() if k != "seed"},
                    "n_seeds": len(configuration.complete),
                    "n_failed": sum(run.state == "FAIL" for run in configuration.runs),
                    "n_left": sum(run.state in ("RUNNING", "WAITING") for run in configuration.runs),
                    "value": configuration.value,
                    "runs": [
                        {
                            "run_id": run.run_id,
                            "seed": run.params.get("seed"),
                            "state": run.state,
                            "epoch": judged_epoch(run),
                            "value": run.value,
                        }
                        for run in configuration.runs
                    ],
                    "metrics": {m: _as_dict(self.sample(configuration, m)) for m in metrics},
                }
                for configuration in self.configurations
            ],
            "test": {
                "n_pictures": self.n_pictures("test"),
                "n_runs": len(self.final.runs),
                "n_evaluations": self.n_evaluations,
                "rounds": [
                    {"number": r.number, "time": r.time, "trials": list(r.sources), "n_runs": r.n_runs}
                    for r in self.rounds
                ],
            },
        }


def open_final(study: StudyRecord, reader: RunReader) -> FinalData | None:
    """The tests of a tracked study; None where nothing of it was tested."""
    final = read_final(study, reader)
    return None if final is None else FinalData(study, final, reader)


def _mean(values: Any) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return math.fsum(known) / len(known) if known else None


def _as_dict(sample: Sample | None) -> dict[str, Any] | None:
    if sample is None:
        return None
    low, high = (None, None) if sample.interval is None else (sample.interval.low, sample.interval.high)
    return {"mean": sample.mean, "deviation": sample.deviation, "low": low, "high": high, "n": sample.n}
