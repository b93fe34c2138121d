"""Asking for runs from Python: `sweeper.runs`, `sweeper.best_runs`.

Imports torch only to load a model, and pandas only for data frames: `sweeper best` and `sweeper runs` need neither.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sweeper.errors import NotFoundError
from sweeper.places import Places
from sweeper.study.direction import is_maximized
from sweeper.study.html import facts, folded, heading
from sweeper.tracking.reading import open_reader
from sweeper.tracking.records import RunReader, RunRecord, StudyRecord
from sweeper.tracking.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from sweeper.models.trained import TrainedModel

__all__ = ["TrackedRun", "best_of", "best_runs", "frame_of", "read_study", "runs"]

_HEAD = ("number", "state", "value", "run_id", "start", "trial_seconds")


class TrackedRun:
    """One tracked trial, and what can be asked of it."""

    def __init__(self, record: RunRecord, reader: RunReader) -> None:
        self.record = record
        self._reader = reader

    def __repr__(self) -> str:
        value = "" if self.value is None else f", value={self.value:.6g}"
        return f"<TrackedRun {self.record.name} {self.record.state}{value}>"

    def _repr_html_(self) -> str:
        """For notebooks: how it went, and by a click everything that it was trained with."""
        record = self.record
        shown = [f"{part}/{name}" for part in ("train", "val") for name in ("accuracy", "loss")]
        metrics = {name: record.metrics[name] for name in shown if name in record.metrics}
        at = record.tags.get("sweeper.best_epoch")
        return (
            heading(record.name, record.state)
            + facts({"value": self.value, **({"best epoch": at} if at else {}), **metrics, "run id": self.run_id})
            + folded(f"{len(record.params)} parameters", facts(record.params))
            + folded(f"{len(record.metrics)} metrics, last values", facts(record.metrics))
        )

    @property
    def run_id(self) -> str:
        """MLflow's id."""
        return self.record.run_id

    @property
    def number(self) -> int:
        """Number of the trial in its study."""
        return self.record.number

    @property
    def state(self) -> str:
        """COMPLETE, PRUNED, FAIL, RUNNING or WAITING."""
        return self.record.state

    @property
    def value(self) -> float | None:
        """The objective."""
        return self.record.value

    @property
    def params(self) -> Mapping[str, Any]:
        """Every leaf of the configuration under its dotted path, typed."""
        return self.record.params

    @property
    def metrics(self) -> Mapping[str, float]:
        """The last value of each metric."""
        return self.record.metrics

    def history(self) -> pd.DataFrame:
        """All metrics: a row an epoch (the index), a column a metric."""
        rows = self._reader.read_histories([self.run_id])
        frame = rows.pivot_table(index="epoch", columns="metric", values="value", dropna=False)
        return frame.rename_axis(columns=None)

    def per_class(self, epoch: int | None = None) -> pd.DataFrame:
        """Accuracy of each class that has pictures: a row a class, columns `train` and `val`, fractions.

        Args:
            epoch: Default: the epoch of the trial's best value.

        Raises:
            NotFoundError: The trial has no such epoch.
        """
        history = self.history()
        if epoch is None:
            epoch = int(self.record.tags.get("sweeper.best_epoch", history.index.max() if len(history) else 0))
        if epoch not in history.index:
            raise NotFoundError(f"{self.record.name} has no epoch {epoch}; it has {len(history)}")
        row = history.loc[epoch]
        import pandas as pd

        parts = {
            part: {
                str(name).removeprefix(f"{part}/accuracy/"): value
                for name, value in row.items()
                if str(name).startswith(f"{part}/accuracy/")
            }
            for part in ("train", "val")
        }
        frame = pd.DataFrame(parts)
        names = (self.artifact_json("data.json") or {}).get("class_names", frame.index)
        return frame.reindex([name for name in names if name in frame.index]).rename_axis("class")

    def confusion(self, part: str = "val") -> pd.DataFrame:
        """Confusion matrix at the best epoch: rows the truth, columns the prediction, counts.

        Args:
            part: `train` or `val`; where labels were made wrong on purpose, `true_train` or `true_val` too, with the
                true classes as rows.

        Raises:
            NotFoundError: The trial has none: it failed, has not finished an epoch, or is about no classes.
        """
        data = self.artifact_json("confusion.json")
        if data is None or part not in data:
            raise NotFoundError(f"{self.record.name} has no confusion matrix of {part!r}")
        import pandas as pd

        names = data["class_names"]
        frame = pd.DataFrame(data[part], index=names, columns=names)
        return frame.rename_axis(index="truth", columns="prediction")

    def load_model(self, *, places: Places | None = None) -> TrainedModel:
        """The trained model at the best epoch, with its preprocessing, on the CPU. Imports torch.

        Args:
            places: Where the weights of a frozen backbone are looked for. Default: `SWEEPER_DATA` and the cache.

        Raises:
            NotFoundError: The trial did not keep its model; only the best of a study do (`keep_models`).
        """
        state = self._reader.read_artifact(self.record, "model/model.pt")
        description = self._reader.read_artifact(self.record, "model/model.json")
        if state is None or description is None:
            raise NotFoundError(
                f"{self.record.name} kept no model; the best `keep_models` trials of a study do, when its sweep ends"
            )
        from sweeper.models.trained import load_trained

        places = places or Workspace.from_environment().places
        return load_trained(json.loads(description), state, places=places)

    def artifact_json(self, path: str) -> Any:
        """A JSON artifact; None where there is none of that path."""
        data = self._reader.read_artifact(self.record, path)
        return None if data is None else json.loads(data)


def read_study(study: str, workspace: Workspace | None = None) -> tuple[StudyRecord, RunReader]:
    """A tracked study and the reader that it came from."""
    reader = open_reader((workspace or Workspace.from_environment()).tracking_uri)
    return reader.read_study(study), reader


def runs(study: str, *, workspace: Workspace | None = None) -> pd.DataFrame:
    """All runs of a study, a row a trial: number, state, value, run_id, start, trial_seconds; then every parameter
    under its dotted name and the last value of every metric, typed.

    Args:
        study: Its name.
        workspace: Default: the current folder's, with `MLFLOW_TRACKING_URI` honoured.

    Raises:
        NotFoundError: Nothing of that name is tracked.
    """
    record, _ = read_study(study, workspace)
    return frame_of(record)


def frame_of(record: StudyRecord) -> pd.DataFrame:
    """The runs of a study as a data frame; see `runs`."""
    import pandas as pd

    rows = []
    for run in record.runs:
        seconds = None
        if run.start_time is not None and run.end_time is not None:
            seconds = (run.end_time - run.start_time).total_seconds()
        head: dict[str, Any] = {
            "number": run.number,
            "state": run.state,
            "value": run.value,
            "run_id": run.run_id,
            "start": run.start_time,
            "trial_seconds": seconds,
        }
        rows.append({**head, **run.params, **run.metrics})
    frame = pd.DataFrame(rows, columns=None if rows else list(_HEAD))
    return frame.astype({"value": "float64", "trial_seconds": "float64"})


def best_runs(study: str, k: int = 1, *, workspace: Workspace | None = None) -> list[TrackedRun]:
    """The best complete trials of a study, the best first.

    Raises:
        NotFoundError: Nothing of that name is tracked.
    """
    record, reader = read_study(study, workspace)
    return [TrackedRun(run, reader) for run in best_of(record, k)]


def best_of(record: StudyRecord, k: int) -> list[RunRecord]:
    """The best complete trials of a study that was read, the best first; ties go to the earlier trial."""
    complete = [run for run in record.runs if run.state == "COMPLETE" and run.value is not None]
    sign = -1.0 if is_maximized(record.study.get("objective", {})) else 1.0
    return sorted(complete, key=lambda run: (sign * (run.value or 0.0), run.number))[:k]
