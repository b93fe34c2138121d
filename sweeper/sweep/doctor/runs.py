"""The runs of a study in MLflow, held against its trials."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sweeper.search.storage import StoredStudy, TrialRecord
from sweeper.sweep.doctor.finding import Finding
from sweeper.sweep.record import status_now
from sweeper.tracking.names import metric_name, original_name
from sweeper.tracking.outbox import read_released
from sweeper.tracking.reading import open_reader
from sweeper.tracking.recording import is_recorded
from sweeper.tracking.tracker import STATUS_OF_STATE
from sweeper.tracking.workspace import StudyFiles, TrialFiles, Workspace, read_json

if TYPE_CHECKING:
    from sweeper.tracking.audit import AuditedRun

__all__ = ["examine_runs"]

RowKeys = Counter[tuple[str, int]]
"""How often there is each (metric, epoch)."""


def examine_runs(
    workspace: Workspace, stored: StoredStudy, files: StudyFiles, trials: Mapping[int, TrialFiles], *, is_there: bool
) -> Iterator[Finding]:
    """What there is to say of the runs of a study that nobody drives.

    Args:
        workspace: Where.
        stored: The study.
        files: Its files.
        trials: The files of its trials, by number.
        is_there: Whether MLflow's database exists; asking would create it.

    Raises:
        TrackingError: MLflow is out of reach.
    """
    from sweeper.tracking.audit import audit_runs  # imports MLflow, which takes seconds

    name = stored.study.name
    by_key: dict[str, list[AuditedRun]] = defaultdict(list)
    for run in audit_runs(workspace.tracking_uri, name) if is_there else ():
        by_key[run.key].append(run)
    parents = by_key.pop(stored.uuid, [])
    if read_json(files.tracked) is not None or parents:
        yield from _examine_parent(stored, files, parents)
    numbers = {f"{stored.uuid}/{trial.number}" for trial in stored.trials}
    for key in sorted(by_key.keys() - numbers):
        if key.startswith(f"{stored.uuid}/"):
            for run in by_key[key]:
                what = (
                    f"the run {run.run_id} is of trial {key.rpartition('/')[2]}, which Optuna's database does not have"
                )
                yield _deletable(name, what, run.run_id)
        elif "/" in key:
            what = f"the run {by_key[key][0].run_id} is of a study of that name that is no more in Optuna's database"
            yield Finding(level="note", where=name, what=what, remedy="delete it in MLflow's UI, or leave it")
    ids = [run.run_id for key in numbers for run in by_key.get(key, ())]
    rows = _read_rows(workspace, ids)
    parent = (read_json(files.tracked) or {}).get("run_id")
    for trial in stored.trials:
        if trial.number in trials:
            runs = by_key.get(f"{stored.uuid}/{trial.number}", [])
            yield from _examine_trial(name, trial, trials[trial.number], runs, rows, parent)


def _deletable(where: str, what: str, run_id: str) -> Finding:
    remedy = "--fix moves it to MLflow's trash"
    return Finding(level="fault", where=where, what=what, remedy=remedy, mend="delete_run", target=run_id)


def _examine_parent(stored: StoredStudy, files: StudyFiles, parents: list[AuditedRun]) -> Iterator[Finding]:
    name = stored.study.name
    run_id = (read_json(files.tracked) or {}).get("run_id")
    known = next((run for run in parents if run.run_id == run_id), None)
    if known is None:
        what = "its parent run is gone from MLflow" if not parents else "its parent run is another than its files say"
        yield Finding(level="fault", where=name, what=what, remedy="--fix makes it again", mend="new_parent")
        return
    for run in parents:
        if run is not known:
            yield _deletable(name, f"has a second parent run, {run.run_id}", run.run_id)
    wanted, _ = status_now(ended=stored.count("COMPLETE", "PRUNED", "FAIL") >= stored.n_trials)
    if known.status != wanted:
        what, remedy = f"its parent run is {known.status} and should be {wanted}", f"sweeper sync {name}, or --fix"
        yield Finding(level="fault", where=name, what=what, remedy=remedy, mend="send_parent")


def _read_rows(workspace: Workspace, run_ids: list[str]) -> Mapping[str, RowKeys]:
    rows: dict[str, RowKeys] = defaultdict(Counter)
    if run_ids:
        frame = open_reader(workspace.tracking_uri).read_histories(sorted(run_ids))
        for run_id, metric, epoch in zip(frame["run_id"], frame["metric"], frame["epoch"], strict=True):
            rows[run_id][(metric, int(epoch))] += 1
    return rows


def _examine_trial(
    name: str,
    trial: TrialRecord,
    files: TrialFiles,
    runs: list[AuditedRun],
    rows: Mapping[str, RowKeys],
    parent: str | None,
) -> Iterator[Finding]:
    where, number = f"{name}, trial {trial.number}", trial.number
    tracked = read_json(files.tracked) or {}
    if not files.trial.exists():
        if trial.state not in ("RUNNING", "WAITING"):
            what = f"is {trial.state}, and its files are gone; what MLflow has of it stays"
            yield Finding(level="note" if runs else "fault", where=where, what=what, number=number)
        return
    known = next((run for run in runs if run.run_id == tracked.get("run_id")), None)
    if known is None:
        if "run_id" in tracked:
            what, remedy = f"its run {tracked['run_id']} is gone from MLflow", "--fix makes it again from its files"
            yield Finding(level="fault", where=where, what=what, remedy=remedy, mend="new_run", number=number)
        return  # else it was never sent, which has been said
    for run in runs:
        if run is not known:
            yield _deletable(where, f"has a second run, {run.run_id}", run.run_id)
    if trial.state == "RUNNING" or not is_recorded(files):
        return  # said before; what MLflow has is not the last word
    if trial.state == "WAITING" and known.has_ended:
        what, remedy = "waits to be continued, and its run has ended", "--fix makes the run again from its files"
        yield Finding(level="fault", where=where, what=what, remedy=remedy, mend="new_run", number=number)
    elif (known.status, known.state, known.has_ended) != (STATUS_OF_STATE[trial.state], trial.state, trial.finished):
        what = f"is {trial.state}, and its run is {known.status} ({known.state or 'without a state'})"
        yield Finding(level="fault", where=where, what=what, remedy="--fix", mend="send_state", number=number)
    if parent is not None and known.parent_run_id != parent:
        what = "its run does not hang below the study's"
        yield Finding(
            level="fault",
            where=where,
            what=what,
            remedy="--fix",
            mend="link_parent",
            number=number,
            target=known.run_id,
        )
    yield from _examine_rows(where, number, files, rows.get(known.run_id, Counter()))


def _examine_rows(where: str, number: int, files: TrialFiles, found: RowKeys) -> Iterator[Finding]:
    released = read_released(files.outbox)[0]
    wanted = {(original_name(metric_name(metric)), row.epoch) for row in released for metric in row.values}
    strange = found.keys() - wanted
    twice = [key for key, count in found.items() if count > 1]
    if strange:
        metric, epoch = min(strange)
        what = f"its run has {len(strange)} rows that its outbox does not, such as {metric} of epoch {epoch}"
        yield Finding(level="fault", where=where, what=what, remedy="see who has logged them", number=number)
    elif twice:
        metric, epoch = min(twice)
        what = f"its run has {len(twice)} rows more than once, such as {metric} of epoch {epoch}"
        remedy = "--fix makes the run again from its files, and moves this one to MLflow's trash"
        yield Finding(level="fault", where=where, what=what, remedy=remedy, mend="new_run", number=number)
    elif wanted - found.keys():
        what = f"its run lacks {len(wanted - found.keys())} of {len(wanted)} rows that were sent"
        yield Finding(level="fault", where=where, what=what, remedy="--fix sends them", mend="send_rows", number=number)
    epochs = [row.epoch for row in released]
    if epochs != list(range(1, len(epochs) + 1)):
        what = f"its outbox has the epochs {epochs[:5]}... in place of 1 to {len(epochs)}"
        yield Finding(level="fault", where=where, what=what, remedy="report it, with the outbox", number=number)
