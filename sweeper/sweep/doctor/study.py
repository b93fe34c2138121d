"""One study: its trials in Optuna's database, their files, and their runs, held against each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from sweeper.errors import InputError, SweeperError
from sweeper.search.storage import StoredStudy, TrialRecord
from sweeper.sweep.doctor.finding import Finding
from sweeper.sweep.doctor.places import tracker_file
from sweeper.sweep.doctor.runs import examine_runs
from sweeper.sweep.owner import Owner, read_owner
from sweeper.sweep.record import check_tracker
from sweeper.tracking.recording import is_recorded
from sweeper.tracking.workspace import StudyFiles, TrialFiles, Workspace, read_json

__all__ = ["examine_owned", "examine_study", "forgotten_folders", "is_driven"]


def examine_study(workspace: Workspace, stored: StoredStudy) -> Iterator[Finding]:
    """What there is to say of a study. One that is being driven is not judged: its driver is about to write."""
    name = stored.study.name
    try:
        files = workspace.study_files(name, stored.uuid)
        owner = read_owner(files)
    except (SweeperError, OSError) as error:
        yield Finding(level="fault", where=name, what=str(error), remedy="see who has made this, and why")
        return
    if owner is not None:
        yield Finding(level="ok", where=name, what=f"is being driven by {owner}; it is looked at when that has ended")
        return
    findings = [*_dead_driver(name, files), *examine_owned(workspace, stored, files)]
    if not findings:
        yield _summary(stored)
    yield from findings


def is_driven(workspace: Workspace, stored: StoredStudy) -> bool:
    """Whether a driver that lives owns the study."""
    return read_owner(workspace.study_files(stored.study.name, stored.uuid)) is not None


def forgotten_folders(workspace: Workspace, names: list[str]) -> list[Finding]:
    """Folders in `.sweeper` of studies that Optuna's database does not have."""
    home = workspace.root / ".sweeper"
    remedy = "is SWEEPER_STORAGE right? else remove it"
    return [
        Finding(level="note", where=str(folder), what="is the folder of no study in Optuna's database", remedy=remedy)
        for folder in sorted(home.glob("[!.]*"))
        if folder.is_dir() and folder.name not in names
    ]


def _summary(stored: StoredStudy) -> Finding:
    n_ended = stored.count("COMPLETE", "PRUNED", "FAIL")
    what = f"{n_ended} of {stored.n_trials} trials have ended; files, Optuna and MLflow agree"
    return Finding(level="ok", where=stored.study.name, what=what)


def examine_owned(workspace: Workspace, stored: StoredStudy, files: StudyFiles) -> Iterator[Finding]:
    """What is not as it should be with a study that nobody drives, or that the caller owns."""
    name = stored.study.name
    begun = [trial for trial in stored.trials if trial.start is not None]
    if begun and not (files.folder / files.uuid).exists():
        what = f"has {len(begun)} trials, and no files in {files.folder}: it was driven from another workspace"
        yield Finding(level="note", where=name, what=what, remedy="run sweeper doctor there")
        return
    try:
        check_tracker(workspace, files, name)
    except InputError as error:
        yield Finding(level="fault", where=name, what=str(error), remedy="set MLFLOW_TRACKING_URI back")
        return
    if len(stored.trials) > stored.n_trials:
        what = f"has {len(stored.trials)} trials, more than its budget of {stored.n_trials}"
        yield Finding(level="fault", where=name, what=what, remedy="report it: sweeper makes no trial over the budget")
    yield from _stray_folders(stored, files)
    trials: dict[int, TrialFiles] = {}
    for trial in stored.trials:
        try:
            trials[trial.number] = files.trial(trial.number)
        except InputError as error:
            yield Finding(level="fault", where=_where(name, trial), what=str(error), remedy="remove the link")
    has_ended = stored.count("COMPLETE", "PRUNED", "FAIL") >= stored.n_trials
    for trial in stored.trials:
        if trial.number in trials:
            yield from _examine_trial(name, trial, trials[trial.number], study_has_ended=has_ended)
    file = tracker_file(workspace)
    try:
        yield from examine_runs(workspace, stored, files, trials, is_there=file is None or file.exists())
    except SweeperError as error:
        yield Finding(level="fault", where=name, what=f"its runs cannot be read: {error}", remedy="see MLflow above")


def _dead_driver(name: str, files: StudyFiles) -> Iterator[Finding]:
    left = read_json(files.owner)
    if left is not None:
        what = f"its driver ({Owner(**left)}) was killed"
        yield Finding(level="note", where=name, what=what, remedy=f"sweeper resume {name}, or --fix", mend="recover")


def _where(name: str, trial: TrialRecord) -> str:
    return f"{name}, trial {trial.number}"


def _stray_folders(stored: StoredStudy, files: StudyFiles) -> Iterator[Finding]:
    name, numbers = stored.study.name, {trial.number for trial in stored.trials}
    known = {f"{number:05d}" for number in numbers}
    for folder in sorted((files.folder / files.uuid / "trials").glob("*")):
        if folder.name not in known:
            yield Finding(
                level="fault",
                where=f"{name}, {folder.name}",
                what=f"{folder} is the folder of no trial that Optuna's database has",
                remedy="is SWEEPER_STORAGE right? else --fix sets it aside, in .sweeper/.removed",
                mend="set_aside",
                target=str(folder),
            )
    for folder in sorted(files.folder.glob("*")):
        if (folder / "trials").is_dir() and folder.name != files.uuid:
            what = f"{folder} belongs to a study of that name that is no more in Optuna's database"
            yield Finding(level="note", where=name, what=what, remedy="remove it, or set SWEEPER_STORAGE back")


def _examine_trial(name: str, trial: TrialRecord, files: TrialFiles, *, study_has_ended: bool) -> Iterator[Finding]:
    where, number = _where(name, trial), trial.number
    if trial.state == "RUNNING":
        what, remedy = "is RUNNING, and nobody drives the study", f"sweeper resume {name}, or --fix to put it back"
        yield Finding(level="fault", where=where, what=what, remedy=remedy, mend="recover", number=number)
        if _is_locked(files):
            what = "a worker of a driver that died still has it; it ends by itself within seconds"
            yield Finding(level="note", where=where, what=what, number=number)
        return
    end = read_json(files.end)
    if trial.finished and files.trial.exists() and (end is None or end["state"] != trial.state):
        what = f"is {trial.state} in Optuna's database, and {end['state'] if end else 'not ended'} in its files"
        yield Finding(level="fault", where=where, what=what, remedy="--fix", mend="recover", number=number)
    elif not is_recorded(files):
        what, remedy = "has rows or a state that MLflow was not sent", f"sweeper sync {name}"
        yield Finding(level="fault", where=where, what=what, remedy=remedy, mend="send", number=number)
    for left in _left_over(trial, files):
        what, remedy = f"has ended, and left {left}", "--fix removes it"
        yield Finding(
            level="fault", where=where, what=what, remedy=remedy, mend="remove", number=number, target=str(left)
        )
    if not trial.finished:
        yield from _examine_checkpoints(where, trial, files)
    elif study_has_ended and files.model.exists() and not files.publish.exists():
        what, remedy = "is among the best, and its model is no artifact yet", f"sweeper resume {name}, or --fix"
        yield Finding(level="fault", where=where, what=what, remedy=remedy, mend="recover", number=number)


def _left_over(trial: TrialRecord, files: TrialFiles) -> list[Path]:
    """Files that an ended trial needs no more, and files that were being written when a process was killed."""
    if not files.folder.is_dir() or not trial.finished:
        return []
    left = [file for file in (files.checkpoint, files.previous_checkpoint) if file.exists()]
    if trial.state != "COMPLETE":
        left += [file for file in (files.model, files.last) if file.exists()]
    return left + sorted(files.folder.glob(".*.tmp"))


def _examine_checkpoints(where: str, trial: TrialRecord, files: TrialFiles) -> Iterator[Finding]:
    there = [file for file in (files.checkpoint, files.previous_checkpoint) if file.exists()]
    if not there:
        return
    from sweeper.training.checkpoint import is_whole  # torch takes seconds

    whole = [file for file in there if is_whole(file)]
    for file in there:
        if file in whole:
            continue
        what = f"{file} cannot be loaded: torn, or more than data; "
        what += "the one before it is used" if whole else "the trial begins anew"
        yield Finding(
            level="fault",
            where=where,
            what=what,
            remedy="--fix removes it",
            mend="remove",
            number=trial.number,
            target=str(file),
        )


def _is_locked(files: TrialFiles) -> bool:
    if not files.lock.exists():
        return False
    lock = FileLock(files.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
