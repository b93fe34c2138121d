"""One factor, such as `training.balance`: its values, the trials and tests of each, and what was measured of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import pandas as pd

from sweeper.errors import InputError
from sweeper.report.class_accuracies import interval_over_pictures
from sweeper.report.comparison import Difference, Measured, compare_all
from sweeper.report.configurations import SEED
from sweeper.report.effect import CONFIGURATION, choose_parameter, levels_of, resolve_parameter, value_of
from sweeper.report.format import metric_label, percent_decimals
from sweeper.report.parameters import identity
from sweeper.report.statistics import Interval, Sample, describe_sample
from sweeper.report.study_data import StudyData, is_percent
from sweeper.study.config.base import default_direction
from sweeper.tracking.final import source_of
from sweeper.tracking.records import RunRecord

__all__ = ["N_VALUES", "Factor", "FactorValue", "Pair", "open_factor"]

N_VALUES = 12
"""More values than this are no comparison but a search."""

Pair: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""What trials share that are partners: the seed, and every other parameter that varied."""


@dataclass(frozen=True, kw_only=True)
class FactorValue:
    """A value of the factor and what was trained with it."""

    label: str
    runs: Mapping[Pair, RunRecord]
    """Complete trials. Of several that are alike in everything the first."""
    tests: Mapping[Pair, RunRecord]
    """Complete runs on test, by the configuration that they train again and their own seed."""
    n_trials: int
    """Trials of any state."""
    n_pruned: int

    def of(self, metric: str) -> Mapping[Pair, RunRecord]:
        """The runs that a metric is measured of: tests where it is one of test."""
        return self.tests if metric.startswith("test/") else self.runs


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

    # --- trials -------------------------------------------------------------------------------------------------

    @cached_property
    def others(self) -> list[str]:
        """Other parameters that varied, which partners share: none that is set by a value of the factor."""
        if self.path == CONFIGURATION:
            return []
        own = self.path.removesuffix("name") if self.path.endswith(".name") else f"{self.path}."
        return [
            path
            for path in self.data.factors
            if path not in (self.path, SEED) and not (path.startswith(own) and path not in self.data.searched)
        ]

    @cached_property
    def values(self) -> list[FactorValue]:
        """The values with a complete or diverged trial, in their order."""
        data = self.data
        states = {state: Counter(map(self._key, runs)) for state, runs in data.by_state.items()}
        tested: dict[int, list[RunRecord]] = {}
        for run in [] if self.data.final is None else self.data.final.judged_runs:
            tested.setdefault(source_of(run) or 0, []).append(run)
        found = []
        for level in levels_of(data, self.path, n_most=10**9):
            key = self._key(level.runs[0])
            complete = [run for run in level.runs if run.state == "COMPLETE"]
            tests = {
                self._pair(run, seed=test.params.get(SEED)): test
                for run in reversed(complete)
                for test in tested.get(run.number, ())
            }
            found.append(
                FactorValue(
                    label=level.label,
                    runs={self._pair(run): run for run in reversed(complete)},
                    tests=tests,
                    n_trials=sum(counter[key] for counter in states.values()),
                    n_pruned=states.get("PRUNED", Counter())[key],
                )
            )
        return found

    def _key(self, run: RunRecord) -> str | None:
        value = value_of(self.data, self.path, run)
        return None if value is None else value[0] if value[1] is None else repr(value[1])

    def _pair(self, run: RunRecord, *, seed: object = None) -> Pair:
        params = self.data.params[run.run_id]
        rest = tuple((path, identity(params[path])) for path in self.others if path in params)
        return identity(params.get(SEED) if seed is None else seed), rest

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
        """A metric over the runs of a value: mean, deviation and Student's interval of the mean; of a single run the
        interval over its pictures. None where it was not measured."""
        numbers = self.numbers(value, metric)
        sample = describe_sample(list(numbers.values()))
        if sample is None or (sample.n > 1 and not is_share(metric)):
            return sample
        interval = sample.interval if sample.n > 1 else self._over_pictures(value, metric, 0.95)
        if interval is not None:
            interval = Interval(low=max(interval.low, 0.0), high=min(interval.high, 1.0))
        return Sample(n=sample.n, mean=sample.mean, deviation=sample.deviation, interval=interval)

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
    def differences(self) -> list[Difference]:
        """Each ranked value minus the best, corrected for all pairs of values; of shares within -1 to 1."""
        measured = [
            Measured(
                values=self.numbers(value, self.metric),
                interval_of=lambda confidence, value=value: self._over_pictures(value, self.metric, confidence),  # type: ignore[misc]
            )
            for value in self.ranked
        ]
        return [row[0] for row in compare_all(measured)]

    @property
    def n_comparisons(self) -> int:
        """Pairs of values, for all of which the differences are corrected."""
        return math.comb(len(self.ranked), 2)

    @property
    def has_partners(self) -> bool:
        """Whether trials with different values share all else. Reads no history."""
        partners = Counter(pair for value in self.values for pair in value.runs)
        return max(partners.values(), default=0) > 1

    @property
    def is_comparable(self) -> bool:
        """Whether there are few values, and anything can be said of the difference between two."""
        if len(self.values) > N_VALUES or not self.has_partners:
            return False
        return any(difference.interval is not None or difference.is_equal for difference in self.differences)

    # --- texts --------------------------------------------------------------------------------------------------

    def metric_text(self, metric: str | None = None) -> str:
        """A metric in words: `mean class accuracy in validation, true labels`."""
        part, _, quantity = (metric or self.metric).partition("/")
        words = metric_label(f"{part}/{quantity.removeprefix('true_')}")
        return words + (", true labels" if quantity.startswith("true_") else "")

    def decimals(self, part: str) -> int:
        """Decimals of accuracies in percent, after the number of pictures in a part."""
        return percent_decimals(self.data.n_pictures(part))


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
    if not factor.has_partners:
        shared: Sequence[str] = ["seed", *(factor.data.labels[path] for path in factor.others)]
        return f"no complete trial has a partner with another value and the same {', '.join(shared)}"
    if len(factor.ranked) < 2:
        return f"{factor.metric} was measured of {len(factor.ranked)} of its values"
    return "one pair of trials tells nothing of other seeds"
