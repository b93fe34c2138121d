"""One factor, such as `training.balance`: what was measured of its values, and what tells them apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial

import pandas as pd

from sweeper.errors import InputError
from sweeper.report.class_accuracies import interval_over_pictures
from sweeper.report.comparison import Difference, Measured, compare_all
from sweeper.report.effect import choose_parameter, resolve_parameter
from sweeper.report.factor_values import FactorValue, Pair, factor_values, have_partners, other_parameters
from sweeper.report.format import metric_label
from sweeper.report.statistics import Interval, Sample, describe_sample
from sweeper.report.study_data import StudyData, is_percent
from sweeper.study.config.base import default_direction

__all__ = ["N_VALUES", "Factor", "is_share", "open_factor"]

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
            known = ", ".join(self._known_metrics()) or "none"
            raise InputError(f"--metric: {metric!r} was not measured of a complete trial; measured: {known}")

    @property
    def maximize(self) -> bool:
        """Whether higher is better."""
        objective = self.data.objective
        return objective.maximize if self.metric == objective.metric else default_direction(self.metric) == "maximize"

    @cached_property
    def values(self) -> list[FactorValue]:
        """The values with a complete or diverged trial, in their order."""
        return factor_values(self.data, self.path)

    @property
    def others(self) -> list[str]:
        """Other parameters that varied, which partners share."""
        return other_parameters(self.data, self.path)

    # --- measures -----------------------------------------------------------------------------------------------

    @cached_property
    def measured(self) -> pd.DataFrame:
        """What the tables show, and the chosen metric, at the epoch that each run is judged by: a row a run id."""
        metrics = {self.metric, *(m for true in (False, True) for m in self._metrics("val", true=true).values())}
        complete = {run.run_id for value in self.values for run in value.runs.values()}
        frame = self.data.judged(sorted(metrics))
        frame = frame.loc[[run_id for run_id in frame.index if run_id in complete]]
        if self.data.final is not None:
            test = self.data.final.judged
            frame = pd.concat([frame, test[[metric for metric in test.columns if metric.startswith("test/")]]])
        return frame.dropna(axis="columns", how="all")

    def _known_metrics(self) -> list[str]:
        every = {metric for value in self.values for run in value.runs.values() for metric in run.metrics}
        every |= set(self.measured.columns)
        return sorted(metric for metric in every if metric.partition("/")[0] in ("train", "val", "test"))

    def numbers(self, value: FactorValue, metric: str) -> dict[Pair, float]:
        """A metric of the runs of a value, without those that are not finite."""
        if metric not in self.measured.columns:
            return {}
        column = self.measured[metric]
        known = {pair: float(column.get(run.run_id, math.nan)) for pair, run in sorted(value.of(metric).items())}
        return {pair: number for pair, number in known.items() if math.isfinite(number)}

    def measures(self, part: str, *, true: bool = False) -> dict[str, str]:
        """What a table of a part (`val`, `test`) shows: metric by its name there, in order.

        Of classes: overall, avg (their mean), and `class:<name>`; else loss, and `loss:<output>`.
        """
        return {k: metric for k, metric in self._metrics(part, true=true).items() if metric in self.measured.columns}

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
        more than their seed. None where the metric was not measured.
        """
        sample = describe_sample(list(self.numbers(value, metric).values()))
        if sample is None:
            return None
        interval = self._over_pictures(value, metric, 0.95) if sample.n == 1 else sample.interval
        if sample.n > 1 and self.others:
            interval = None
        if interval is not None and is_share(metric):
            interval = Interval(low=max(interval.low, 0.0), high=min(interval.high, 1.0))
        return replace(sample, interval=interval)

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
        means = {v.label: s.mean for v in self.values if (s := self.sample(v, self.metric)) is not None}
        is_test = self.metric.startswith("test/")

        def key(value: FactorValue) -> tuple[bool, float]:
            lacks = not is_test and len(self.numbers(value, self.metric)) < value.n_trials
            return lacks, sign * means[value.label]

        return sorted((value for value in self.values if value.label in means), key=key)

    @cached_property
    def _all_differences(self) -> list[list[Difference]]:
        return compare_all(
            [
                Measured(
                    values=self.numbers(value, self.metric),
                    interval_of=partial(self._over_pictures, value, self.metric),
                )
                for value in self.ranked
            ]
        )

    @property
    def differences(self) -> list[Difference]:
        """Each ranked value minus the best, corrected for all pairs of values."""
        return [row[0] for row in self._all_differences]

    @property
    def n_comparisons(self) -> int:
        """Pairs of values that can be compared, for all of which the differences are corrected."""
        every = [difference for i, row in enumerate(self._all_differences) for difference in row[:i]]
        return sum(difference.p is not None or difference.interval is not None for difference in every)

    @property
    def is_comparable(self) -> bool:
        """Whether there are few values, and anything can be said of the difference between two."""
        if len(self.values) > N_VALUES or not have_partners(self.values):
            return False
        return any(difference.interval is not None or difference.is_equal for difference in self.differences)

    def metric_text(self, metric: str | None = None) -> str:
        """A metric in words: `mean class accuracy in validation, true labels`."""
        part, _, quantity = (metric or self.metric).partition("/")
        words = metric_label(f"{part}/{quantity.removeprefix('true_')}")
        return words + (", true labels" if quantity.startswith("true_") else "")


def is_share(metric: str) -> bool:
    """Whether a metric is an accuracy, on given or true labels."""
    return is_percent(metric.replace("/true_", "/"))


def open_factor(data: StudyData, name: str | None = None, *, metric: str | None = None) -> Factor:
    """A factor that varied, to be compared by its values.

    Args:
        data: The study.
        name: Its path or the end of it. Default: see `choose_parameter`.
        metric: The measure by which values are compared. Default: the study's objective.

    Raises:
        InputError: No parameter of that name varied, it has too many values, or no two trials can be compared.
    """
    path = choose_parameter(data) if name is None else resolve_parameter(data, name)
    varied = ", ".join(data.factors) or "nothing"
    if path is None:
        given = "no factor was given, and none is the one that varied" if name is None else f"given {name!r}"
        raise InputError(f"--factor: {given}; varied has: {varied}")
    factor = Factor(data, path, metric=metric)
    if len(factor.values) > N_VALUES:
        raise InputError(
            f"--factor: {path} has {len(factor.values)} values, more than {N_VALUES}; "
            f"see what it did with `sweeper report {data.record.name} --by {path}`; varied has: {varied}"
        )
    if not factor.is_comparable:
        raise InputError(f"--factor: {path} cannot be compared: {_why_not(factor)}; varied has: {varied}")
    return factor


def _why_not(factor: Factor) -> str:
    if not have_partners(factor.values):
        shared: Sequence[str] = ["seed", *(factor.data.labels[path] for path in factor.others)]
        return f"no complete trial has a partner with another value and the same {', '.join(shared)}"
    if len(factor.ranked) < 2:
        return f"{factor.metric} was measured of {len(factor.ranked)} of its values"
    return "one pair of trials tells nothing of other seeds"
