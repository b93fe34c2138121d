"""Runs by which the best configurations of a study were tested, read back.

They make up a study of their own, `NAME.final`. Each run is judged by the epoch that validation chose; what test says
at that epoch is what counts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sweeper.errors import NotFoundError
from sweeper.tracking.derived import RUN_TAG, derived_name, derived_of_tag, source_of, source_tags
from sweeper.tracking.records import RunReader, RunRecord, StudyRecord
from sweeper.tracking.runs import frame_of, read_study
from sweeper.tracking.workspace import Workspace

if TYPE_CHECKING:  # takes half a second to import
    import pandas as pd

__all__ = [
    "FINAL_OF_TAG",
    "final_name",
    "final_runs",
    "final_tags",
    "judged_epoch",
    "judged_metrics",
    "read_final",
    "round_of",
    "round_time",
    "source_of",
]

FINAL_OF_TAG = derived_of_tag("final")
"""Of the parent run: the id of the study whose configurations are tested."""
_ROUND_TAG = "sweeper.final_round"
_TIME_TAG = "sweeper.final_round_time_ms"


def final_name(name: str) -> str:
    """The name of the study of tests of a study."""
    return derived_name(name, "final")


def final_tags(*, source_trial: int, source_run_id: str | None, round_number: int, time_ms: int) -> dict[str, str]:
    """Tags that link a run of a test to the trial whose configuration it trains again.

    Args:
        source_trial: Number of that trial in its study.
        source_run_id: Its run; None where that is not known.
        round_number: Which request for tests this run was begun by, from 1.
        time_ms: When that was.
    """
    tags = {_ROUND_TAG: str(round_number), _TIME_TAG: str(time_ms)}
    return {**source_tags(source_trial, source_run_id), **tags}


def round_of(run: RunRecord) -> int | None:
    """Which request for tests a run was begun by, from 1; None for other runs."""
    return _number(run, _ROUND_TAG)


def round_time(run: RunRecord) -> datetime | None:
    """When that request was made, UTC."""
    milliseconds = _number(run, _TIME_TAG)
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def judged_epoch(run: RunRecord) -> int | None:
    """The epoch that validation chose: the best by the objective, or the last for `at: last`. None before any."""
    return _number(run, "sweeper.best_epoch") or None


def _number(run: RunRecord, tag: str) -> int | None:
    text = run.tags.get(tag, "")
    return int(text) if text.isascii() and text.isdecimal() else None


def read_final(study: StudyRecord, reader: RunReader) -> StudyRecord | None:
    """The runs by which the configurations of a tracked study were tested; None where none were."""
    try:
        final = reader.read_study(final_name(study.name))
    except NotFoundError:
        return None
    is_ours = final.tags.get(FINAL_OF_TAG) == study.tags.get("sweeper.study_uuid")
    return final if is_ours and final.runs else None


def judged_metrics(final: StudyRecord, reader: RunReader) -> pd.DataFrame:
    """Every metric of each complete run at the epoch that the run is judged by: a row a run id, a column a metric."""
    epochs = {run.run_id: judged_epoch(run) for run in final.runs if run.state == "COMPLETE"}
    rows = reader.read_histories(sorted(epochs))
    rows = rows[rows["epoch"] == rows["run_id"].map(epochs)]
    wide = rows.drop_duplicates(["run_id", "metric"], keep="last").pivot(
        index="run_id", columns="metric", values="value"
    )
    return wide.rename_axis(columns=None).reindex(columns=sorted(wide.columns))


def final_runs(study: str, *, workspace: Workspace | None = None) -> pd.DataFrame:
    """The runs by which the best configurations of a study were tested, a row a run: number, state, value, run_id,
    start, trial_seconds, source_trial, source_run_id, round, epoch; then every parameter under its dotted name, and
    every metric at that epoch, the one that validation chose: `test/accuracy`, `test/accuracy/<class>`, ...

    Args:
        study: The name of the study whose configurations were tested.
        workspace: Default: the current folder's, with `MLFLOW_TRACKING_URI` honoured.

    Raises:
        NotFoundError: Nothing of that name is tracked, or nothing of it was tested.
    """
    import pandas as pd

    record, reader = read_study(study, workspace)
    final = read_final(record, reader)
    if final is None:
        raise NotFoundError(f"nothing of {study!r} was tested yet; test its best with `sweeper finalize {study}`")
    judged = judged_metrics(final, reader)
    frame = frame_of(final)
    n_head = frame.columns.get_loc("trial_seconds") + 1  # type: ignore[operator]  # the name is unique
    last_metrics = {metric for run in final.runs for metric in run.metrics}
    links: dict[str, list[Any]] = {
        "source_trial": [source_of(run) for run in final.runs],
        "source_run_id": [run.tags.get(RUN_TAG) for run in final.runs],
        "round": [round_of(run) for run in final.runs],
        "epoch": [judged_epoch(run) for run in final.runs],
    }
    head = frame.iloc[:, :n_head].assign(**links).astype({"epoch": "Int64"})
    params = frame.iloc[:, n_head:].drop(columns=sorted(last_metrics))
    metrics = judged.reindex(frame["run_id"].tolist()).reset_index(drop=True)
    return pd.concat([head, params, metrics], axis=1)
