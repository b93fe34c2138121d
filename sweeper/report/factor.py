"""One factor, such as `training.balance`: what was measured of its values, and what tells them apart."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property, partial

import pandas as pd

from sweeper.errors import InputError
from sweeper.report.class_accuracies import interval_over_pictures
from sweeper.report.comparison import Difference, Measured, compare_all
from sweeper.report.factor_values import FactorValue, Pair, factor_values, have_partners, other_parameters
from sweeper.report.format import metric_label
from sweeper.report.shares import is_share, possible, possible_difference
from sweeper.report.statistics import NO_DEVIATION, Interval, Sample, describe_sample
from sweeper.report.study_data import StudyData
from sweeper.study.direction import default_direction
from sweeper.tracking.final import FINAL_OF_TAG

__all__ = ["N_VALUES", "Factor"]

N_VALUES = 12
"""More values than this are no comparison but a search."""


class Factor:
    """One factor and what was measured of its values.

    Args:
        data: The study.
        path: The parameter, one of `data.factors`, or `configuration` for all of them together.
        metric: The measure by which values are compared. Default: the study's objective.

    Raises:
        InputError: The metric was not measured, or of no complete trial.
    """

    def __init__(self, data: StudyData, path: str, *, metric: str | None = None) -> None:
        self.data = data
        self.path = path
        self.label = data.labels.get(path, path)
        self.metric = metric or data.objective.metric
        if metric is not None and metric not in self.measured.columns:
            raise InputError(f"{metric!r} was not measured of a complete trial; {self._measured_words()}")

    @property
    def maximize(self) -> bool:
        """Whether higher is better."""
        objective = self.data.objective
        return objective.maximize if self.metric == objective.metric else default_direction(self.metric) == "maximize"

    @cached_property
    def _found(self) -> tuple[list[FactorValue], list[str]]:
        return factor_values(self.data, self.path)

    @property
    def values(self) -> list[FactorValue]:
        """The values with a complete or diverged trial, in their order."""
        return self._found[0]

    @property
    def unfinished(self) -> list[str]:
        """The other values: their trials run, wait, were pruned or failed."""
        return self._found[1]

    @property
    def others(self) -> list[str]:
        """Other parameters that varied, which partners share."""
        return other_parameters(self.data, self.path)

    # --- measures -----------------------------------------------------------------------------------------------

    @cached_property
    def measured(self) -> pd.DataFrame:
        """What the tables show, and the chosen metric, at the epoch that each run is judged by: a row a run id."""
        parts = ("val", "test") if FINAL_OF_TAG in self.data.record.tags else ("val",)
        shown = (self._metrics(part, true=true) for part in parts for true in (False, True))
        metrics = {self.metric, *(metric for each in shown for metric in each.values())}
        complete = {run.run_id for value in self.values for run in value.runs.values()}
        frame = self.data.judged(sorted(metrics))
        frame = frame.loc[[run_id for run_id in frame.index if run_id in complete]]
        if self.data.final is not None:
            test = self.data.final.judged
            frame = pd.concat([frame, test[[metric for metric in test.columns if metric.startswith("test/")]]])
        return frame.dropna(axis="columns", how="all")

    def _measured_words(self) -> str:
        """The metrics that may be chosen; those of classes and outputs as one."""
        known = {metric for value in self.values for run in value.runs.values() for metric in run.metrics}
        parts = [metric.split("/") for metric in known | set(self.measured.columns)]
        short = {"/".join([*p[:2], *(["CLASS"] if p[2:] else [])]) for p in parts if p[0] in ("train", "val", "test")}
        untested = (
            ""
            if any(p[0] == "test" for p in parts)
            else (f"; test is measured by `sweeper finalize {self.data.record.name}`")
        )
        return f"measured: {', '.join(sorted(short)) or 'none'}{untested}"

    def numbers(self, value: FactorValue, metric: str) -> dict[Pair, float]:
        """A metric of the runs of a value, without those that are not finite."""
        if metric not in self.measured.columns:
            return {}
        column = self.measured[metric]
        known = {pair: float(column.get(run.run_id, math.nan)) for pair, run in sorted(value.of(metric).items())}
        return {pair: number for pair, number in known.items() if math.isfinite(number)}

    def measures(self, part: str, *, true: bool = False) -> dict[str, str]:
        """What a table of a part (`val`, `test`) shows: metric by its name there, in order.

        Of classes: overall, avg (their mean), and `class:<name>`; else loss, and `loss:<output>`. Nothing against true
        labels that are the given ones.
        """
        columns = self.measured.columns
        found = {key: metric for key, metric in self._metrics(part, true=true).items() if metric in columns}
        given = self._metrics(part, true=False)
        if true and all(
            given[key] in columns and self.measured[given[key]].equals(self.measured[metric])
            for key, metric in found.items()
        ):
            return {}
        return found

    def _metrics(self, part: str, *, true: bool) -> dict[str, str]:
        kind = "true_" if true else ""
        if self.data.task == "classification":
            found = {"overall": f"{part}/{kind}accuracy", "avg": f"{part}/{kind}balanced_accuracy"}
            return found | {f"class:{name}": f"{part}/{kind}accuracy/{name}" for name in self.data.class_names}
        outputs = {f"loss:{name}": f"{part}/loss/{name}" for name in self.data.output_names}
        return {} if true else {"loss": f"{part}/loss", **outputs}

    def sample(self, value: FactorValue, metric: str) -> Sample | None:
        """A metric over the runs of a value: mean, deviation, and the interval of the mean.

        It is Student's over the seeds; of a single run the one over its pictures. There is none of runs that differ in
        more than their seed, and of runs that are equal. None where the metric was not measured.
        """
        sample = describe_sample(list(self.numbers(value, metric).values()))
        if sample is None:
            return None
        interval = self._over_pictures(value, metric, 0.95) if sample.n == 1 else sample.interval
        if sample.deviation is not None and (self.others or sample.deviation < NO_DEVIATION):
            interval = None
        return replace(sample, interval=possible(interval, metric))

    def _over_pictures(self, value: FactorValue, metric: str, confidence: float) -> Interval | None:
        part, _, quantity = metric.partition("/")
        true = quantity.startswith("true_")
        if part == "train" or not is_share(metric):
            return None
        measures = self.measures(part, true=true)
        key = next((key for key, own in measures.items() if own == metric), "")
        shares = {k: x for k, own in measures.items() for x in self.numbers(value, own).values()}
        return interval_over_pictures(self.data, shares, key, part, true=true, confidence=confidence)

    # --- differences --------------------------------------------------------------------------------------------

    @cached_property
    def ranked(self) -> list[FactorValue]:
        """Values with a number, the best by their mean first; those of which a trial is missing after the others."""
        sign = -1.0 if self.maximize else 1.0
        samples = [(value, self.sample(value, self.metric)) for value in self.values]
        is_test = self.metric.startswith("test/")

        def key(found: tuple[FactorValue, Sample]) -> tuple[bool, float, int]:
            value, sample = found
            first = min((run.number for run in value.runs.values()), default=0)  # as ties among configurations
            return not is_test and sample.n < value.n_trials, sign * sample.mean, first

        return [value for value, _ in sorted([(v, s) for v, s in samples if s is not None], key=key)]

    @property
    def has_seeds(self) -> bool:
        """Whether it was trained with several seeds."""
        return len({pair[0] for value in self.ranked for pair in self.numbers(value, self.metric)}) > 1

    @cached_property
    def _all_differences(self) -> list[list[Difference]]:
        return compare_all(
            [
                Measured(
                    values=self.numbers(value, self.metric),
                    interval_of=partial(self._over_pictures, value, self.metric),
                )
                for value in self.ranked
            ],
            unit_of=(lambda pair: pair[0]) if self.has_seeds else None,
        )

    @property
    def differences(self) -> list[Difference]:
        """Each ranked value minus the best, corrected for all pairs of values."""
        first = (row[0] for row in self._all_differences)
        return [replace(each, interval=possible_difference(each.interval, self.metric)) for each in first]

    @property
    def n_comparisons(self) -> int:
        """Pairs of values that can be compared, for all of which the differences are corrected."""
        every = [difference for i, row in enumerate(self._all_differences) for difference in row[:i]]
        return sum(difference.is_known for difference in every)

    @property
    def is_comparable(self) -> bool:
        """Whether there are few values, and two of them have runs that differ in nothing else."""
        return len(self.values) <= N_VALUES and have_partners(self.values, self.metric) and len(self.ranked) > 1

    def metric_text(self, metric: str | None = None) -> str:
        """A metric in words: `mean class accuracy in validation, true labels`."""
        part, _, quantity = (metric or self.metric).partition("/")
        words = metric_label(f"{part}/{quantity.removeprefix('true_')}")
        return words + (", true labels" if quantity.startswith("true_") else "")
