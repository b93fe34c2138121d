"""One tracked study, read once and ready to compute from."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, wraps
from typing import Any, TypeVar

import pandas as pd

from sweeper.errors import InputError, StudyError
from sweeper.report.augmentations import fold_augmentations
from sweeper.report.configurations import SEED, Configuration, group_configurations
from sweeper.report.data_info import DataInfo, data_info
from sweeper.report.determined import find_determined
from sweeper.report.final import FinalData, open_final
from sweeper.report.format import as_float, metric_label, number, percent, percent_decimals, short_names
from sweeper.report.parameters import identity, run_params, varied_params
from sweeper.report.searched import Parameter, parameters_of_space
from sweeper.report.shares import is_share
from sweeper.study.flatten import flatten
from sweeper.study.study import Objective, Study
from sweeper.tracking.final import FINAL_OF_TAG
from sweeper.tracking.records import RunReader, RunRecord, StudyRecord

__all__ = ["N_COMPARED", "StudyData", "once_per_study"]

_Made = TypeVar("_Made")

_STATE_ORDER = {"COMPLETE": 0, "PRUNED": 1, "RUNNING": 2, "WAITING": 3, "FAIL": 4}
_SUMMARY_METRICS = ("train/accuracy", "train/loss", "val/accuracy", "val/loss")
N_COMPARED = 12
"""With more configurations than this, only the best are compared in detail."""
_PNG = b"\x89PNG\r\n\x1a\n"


class StudyData:
    """A tracked study with what the sections compute from. Everything is read on first use, histories in bulk.

    Args:
        record: The study and its runs, in any order.
        reader: Where histories and artifacts come from.
        top: How many of the best trials are shown in detail, at least 1.
        by: The parameter by which trials are compared, as the user gave it; None to choose one.

    Raises:
        InputError: The definition stored with the study cannot be read.
    """

    def __init__(self, record: StudyRecord, reader: RunReader, *, top: int = 5, by: str | None = None) -> None:
        if top < 1:
            raise InputError(f"a report shows at least 1 of the best trials, not {top}")
        self.record = record
        self.reader = reader
        self.top = top
        self.by = by
        self.computed: dict[Callable[[StudyData], Any], Any] = {}
        """What functions made of this study; see `once_per_study`."""
        try:
            self.study = Study.model_validate(dict(record.study))
        except StudyError as error:
            raise InputError(
                f"study {record.name!r}: this version of sweeper cannot read the definition stored with it: {error}"
            ) from error
        self.runs: tuple[RunRecord, ...] = tuple(sorted(record.runs, key=lambda run: (run.number, run.run_id)))

    # --- the objective ------------------------------------------------------------------------------------------

    @property
    def objective(self) -> Objective:
        return self.study.objective

    @cached_property
    def task(self) -> str:
        """`classification`, `regression` or `reconstruction`, by what was recorded of the configurations."""
        for params in (*(run.params for run in self.ranked[:1]), self.record.study.get("trial") or {}):
            flat = flatten(params)
            if flat.get("data.name") == "functions":
                return "regression"
            if "autoencoder" in (flat.get("model.name"), flat.get("model")):
                return "reconstruction"
        return "classification"

    @property
    def value_is_percent(self) -> bool:
        """Whether the objective is an accuracy, a fraction that is shown in percent."""
        return is_share(self.objective.metric)

    @property
    def value_label(self) -> str:
        return metric_label(self.objective.metric) + (" (%)" if self.value_is_percent else "")

    def value_text(self, value: Any) -> str:
        """The objective's value as text, without a percent sign."""
        return percent(value, self.decimals) if self.value_is_percent else number(value)

    @cached_property
    def decimals(self) -> int:
        """Decimals of accuracies in percent, after the number of validation pictures."""
        return percent_decimals(self.n_pictures("val"))

    def accuracy_text(self, value: Any) -> str:
        """An accuracy as percent, without the sign."""
        return percent(value, self.decimals)

    def label_words(self, *, true: bool) -> str:
        """What stands behind a part in a title: which labels, where true ones are known beside those given."""
        if true:
            return ", true labels"
        return ", given labels" if any("val/true_accuracy" in run.metrics for run in self.runs) else ""

    # --- trials -------------------------------------------------------------------------------------------------

    @cached_property
    def by_state(self) -> dict[str, list[RunRecord]]:
        """Runs by state, in the order of `STATES`; states that do not occur are left out."""
        states = sorted({run.state for run in self.runs}, key=lambda s: (_STATE_ORDER.get(s, 9), s))
        return {state: [run for run in self.runs if run.state == state] for state in states}

    @cached_property
    def ranked(self) -> list[RunRecord]:
        """Every run: complete ones best first, then pruned, running, waiting and failed ones."""
        sign = -1.0 if self.objective.maximize else 1.0

        def key(run: RunRecord) -> tuple[Any, ...]:
            value = as_float(run.value)
            return (_STATE_ORDER.get(run.state, 9), value is None, sign * (value or 0.0), run.number, run.run_id)

        return sorted(self.runs, key=key)

    @cached_property
    def complete(self) -> list[RunRecord]:
        """Complete runs with a finite value, best first. Only these can be best."""
        return [run for run in self.ranked if run.state == "COMPLETE" and as_float(run.value) is not None]

    @cached_property
    def configurations(self) -> list[Configuration]:
        """What was tried, seeds taken together, best first; without seeds, one a complete trial."""
        return group_configurations(self.runs, self.params, self.objective)

    @cached_property
    def has_seeds(self) -> bool:
        """Whether some configuration was trained with several seeds."""
        return any(configuration.n_trials > 1 for configuration in self.configurations)

    @property
    def shown(self) -> list[Configuration]:
        """The configurations that are compared in detail: all where they are few, else the best `top`."""
        return self.configurations[: self.top if len(self.configurations) > N_COMPARED else None]

    @property
    def best(self) -> RunRecord | None:
        """The best complete run; with seeds the typical one of the best configuration, not the luckiest."""
        return self.configurations[0].typical if self.configurations else None

    @property
    def best_runs(self) -> list[RunRecord]:
        """The best `top` complete runs, best first; with seeds the typical ones of as many configurations."""
        return [configuration.typical for configuration in self.configurations[: self.top]]

    # --- parameters ---------------------------------------------------------------------------------------------

    @cached_property
    def params(self) -> dict[str, dict[str, Any]]:
        """Parameters by run id, lengths of lists included, augmentations in words unless they are searched in."""
        if any(path.startswith("data.augment.") for path in self.searched):
            return {run.run_id: run_params(run) for run in self.runs}
        return {run.run_id: fold_augmentations(run_params(run)) for run in self.runs}

    @cached_property
    def varied(self) -> list[str]:
        """Paths of the parameters that varied."""
        return varied_params([self.params[run.run_id] for run in self.runs])

    @property
    def factors(self) -> list[str]:
        """Paths of the parameters that varied, without the seed where there are several of a configuration."""
        return [path for path in self.varied if path != SEED or not self.has_seeds]

    @cached_property
    def determined(self) -> dict[str, str]:
        """Parameters that follow from another one, with the path of that one; see `find_determined`."""
        return find_determined([self.params[run.run_id] for run in self.runs], self.factors, self.searched)

    @cached_property
    def value_counts(self) -> dict[str, Counter[str]]:
        """How many trials have each value of each parameter that varied, by the identity of the value."""
        every = self.params.values()
        return {path: Counter(identity(params[path]) for params in every if path in params) for path in self.varied}

    @cached_property
    def telling(self) -> dict[str, dict[str, list[str]]]:
        """For the path of a branch's name, and each name: settings that were not searched, and yet differ between the
        trials of that name. One pass over the trials, since every trial is asked for its value."""
        found: dict[str, dict[str, list[str]]] = {}
        for path in (path for path in self.factors if path.endswith(".name")):
            prefix = path.removesuffix("name")
            inner = [p for p in self.factors if p.startswith(prefix) and p != path and p not in self.searched]
            values: dict[str, dict[str, set[str]]] = {}
            for params in self.params.values() if inner else ():
                of_name = values.setdefault(str(params.get(path)), {p: set() for p in inner})
                for setting in inner:
                    of_name[setting].add(identity(params.get(setting)))
            found[path] = {name: [p for p in inner if len(v[p]) > 1] for name, v in values.items()}
        return found

    @cached_property
    def labels(self) -> dict[str, str]:
        """Short names of the parameters that varied."""
        return short_names(self.varied)

    @cached_property
    def searched(self) -> dict[str, Parameter]:
        return parameters_of_space(self.study.trial)

    # --- epochs -------------------------------------------------------------------------------------------------

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """Objective, losses and accuracies of all runs: index (run_id, epoch), one column a metric."""
        metrics = sorted({self.objective.metric, *_SUMMARY_METRICS})
        return _wide(self.reader.read_histories([run.run_id for run in self.runs], metrics), metrics)

    @cached_property
    def details(self) -> pd.DataFrame:
        """All metrics of the runs of the shown configurations: index (run_id, epoch), one column a metric."""
        ids = [run.run_id for configuration in self.shown for run in configuration.runs]
        return _wide(self.reader.read_histories(ids, None), ())

    @cached_property
    def n_epochs(self) -> dict[str, int]:
        """Last epoch recorded by run id; 0 for runs without any."""
        last = self.epochs.reset_index().groupby("run_id", observed=True)["epoch"].max()
        return {run.run_id: int(last.get(run.run_id, 0)) for run in self.runs}

    @cached_property
    def epoch_of(self) -> dict[str, int | None]:
        """The epoch that a run is judged by: its best one, or its last one for `at: last`. None without any."""
        return {run.run_id: self._epoch_of(run) for run in self.runs}

    def _epoch_of(self, run: RunRecord) -> int | None:
        n_epochs = self.n_epochs[run.run_id]
        tag = run.tags.get("sweeper.best_epoch", "")
        if self.objective.at == "best" and tag.isdecimal() and int(tag) > 0:
            return int(tag)
        if n_epochs == 0:
            return None
        if self.objective.at == "last":
            return n_epochs
        values = self.epochs.loc[run.run_id][self.objective.metric].dropna()
        values = values[values.map(math.isfinite)]
        if values.empty:
            return None
        place = int(values.argmax() if self.objective.maximize else values.argmin())
        return int(values.index.tolist()[place])

    def at_epoch(self, run: RunRecord, metric: str) -> float | None:
        """A metric of a run at the epoch that the run is judged by; None where it was not recorded.

        Losses and accuracies over all pictures are known of every run, others of the shown configurations alone.
        """
        known = self._judged_epochs if metric in self.epochs.columns else self._judged_details
        return as_float(known.get(metric, {}).get(run.run_id))

    @cached_property
    def _judged_epochs(self) -> dict[str, dict[str, float]]:
        return _rows_of(self.epochs, self.epoch_of)

    @cached_property
    def _judged_details(self) -> dict[str, dict[str, float]]:
        return _rows_of(self.details, self.epoch_of)

    def histories(self, run_ids: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
        """Metrics of some runs: index (run_id, epoch), one column a metric."""
        return _wide(self.reader.read_histories(run_ids, metrics), metrics)

    def judged(self, metrics: Sequence[str]) -> pd.DataFrame:
        """Metrics of every run at the epoch that it is judged by: a row a run id, a column a recorded metric."""
        recorded = {metric for run in self.runs for metric in run.metrics}.intersection(metrics)
        known = pd.DataFrame({m: values for m, values in self._judged_epochs.items() if m in recorded}, dtype="float64")
        epochs = {run_id: epoch for run_id, epoch in self.epoch_of.items() if epoch is not None}
        rows = self.reader.read_epochs(epochs, sorted(recorded.difference(known.columns)))
        rows = rows.drop_duplicates(["run_id", "metric"], keep="last")
        rest = rows.pivot(index="run_id", columns="metric", values="value").rename_axis(columns=None)
        return known.dropna(how="all").join(rest, how="outer").sort_index(axis="columns").rename_axis(index="run_id")

    # --- data ---------------------------------------------------------------------------------------------------

    @cached_property
    def final(self) -> FinalData | None:
        """The tests of this study's configurations; None where there are none, or these are the tests themselves."""
        return None if FINAL_OF_TAG in self.record.tags else open_final(self.record, self.reader)

    def artifact(self, run: RunRecord, path: str) -> Any:
        """A JSON artifact of a run; None where the run has none that can be read."""
        content = self.reader.read_artifact(run, path)
        if content is None:
            return None
        try:
            return json.loads(content)
        except ValueError:
            return None

    def picture(self, path: str) -> bytes | None:
        """A PNG artifact of the study's own run, else of the best trial's; None where neither has one."""
        for run in (self.record.parent, *self.ranked[:1]):
            content = None if run is None else self.reader.read_artifact(run, path)
            if content is not None and content.startswith(_PNG):
                return content
        return None

    @cached_property
    def data(self) -> DataInfo | None:
        """What was trained on. Read from the best run that says so; from five runs at most, since each is a request."""
        for run in self.ranked[:5]:
            info = data_info(self.artifact(run, "data.json"))
            if info is not None:
                return info
        return None

    def n_pictures(self, part: str) -> int | None:
        """Pictures in `train`, `val` or `test`; None where it is not known."""
        return None if self.data is None else self.data.n_pictures(part)

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        """Outputs of a regression that have a loss of their own, sorted."""
        prefix = "val/loss/"
        return tuple(sorted({m.removeprefix(prefix) for run in self.runs for m in run.metrics if m.startswith(prefix)}))

    def class_counts(self, part: str, *, true: bool = False) -> list[int] | None:
        """Pictures of each class in a part, by the labels that were given or by the true ones; None where not known."""
        if not true:
            counts = [] if self.data is None else list(self.data.counts.get(part, ()))
            return counts if len(counts) == len(self.class_names) else None
        matrix = (self.best_confusion or {}).get(f"true_{part}")
        return [sum(map(int, line)) for line in matrix] if matrix and len(matrix) == len(self.class_names) else None

    @cached_property
    def best_confusion(self) -> dict[str, Any] | None:
        """The artifact `confusion.json` of the best trial; None where it has none."""
        raw = None if self.best is None else self.artifact(self.best, "confusion.json")
        return raw if isinstance(raw, dict) else None

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the data's order; where that is not known, those with an accuracy, sorted."""
        if self.data is not None:
            return self.data.class_names
        prefix = "val/accuracy/"
        return tuple(sorted({m.removeprefix(prefix) for run in self.runs for m in run.metrics if m.startswith(prefix)}))


def _rows_of(histories: pd.DataFrame, epochs: Mapping[str, int | None]) -> dict[str, dict[str, float]]:
    """Of each run one epoch: metric, then run id, then value."""
    run_ids, own = (histories.index.get_level_values(level) for level in ("run_id", "epoch"))
    rows = histories[own == run_ids.map(epochs)].droplevel("epoch")
    return {str(metric): dict(zip(rows.index.tolist(), rows[metric].tolist(), strict=True)) for metric in rows.columns}


def _wide(rows: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    # The last of two rows of one epoch is the later attempt's; `sort=True` makes the order independent of the reader's.
    rows = rows.drop_duplicates(["run_id", "metric", "epoch"], keep="last")
    wide = rows.pivot(index=["run_id", "epoch"], columns="metric", values="value").sort_index()
    return wide.reindex(columns=sorted({*wide.columns, *metrics}))


def once_per_study(function: Callable[[StudyData], _Made]) -> Callable[[StudyData], _Made]:
    """Computes a function of a study once, for all sections that need it. What it returns is not to be changed."""

    @wraps(function)
    def remembered(data: StudyData) -> _Made:
        if function not in data.computed:
            data.computed[function] = function(data)
        made: _Made = data.computed[function]
        return made

    return remembered
