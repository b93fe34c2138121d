"""Mends what can be mended without a decision: what is made again comes from files, what is deleted can be restored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sweeper.search.optimizer import Optimizer
from sweeper.search.storage import StoredStudy, StudyStore
from sweeper.sweep.doctor.finding import Finding
from sweeper.sweep.doctor.study import examine_owned
from sweeper.sweep.ledger import Ledger
from sweeper.sweep.owner import own
from sweeper.sweep.record import bind_tracker, connect_tracker, status_now, study_info
from sweeper.tracking.paths import refuse_links_in
from sweeper.tracking.provenance import provenance_tags
from sweeper.tracking.recording import record_study, record_study_status, record_trial, unsent_trials
from sweeper.tracking.tracker import Tracker
from sweeper.tracking.workspace import StudyFiles, Workspace, read_json, write_json

__all__ = ["mend_study"]

MAX_ROUNDS = 4
"""A run that is made again may show that its parent has to be; no chain is longer."""


def mend_study(workspace: Workspace, store: StudyStore, name: str) -> Iterator[str]:
    """Own a study and mend it; yields what was done.

    Raises:
        OwnedError: A driver that lives owns it.
        TrackingError: MLflow is out of reach, for what needs it.
    """
    stored = store.read(name)
    files = workspace.study_files(name, stored.uuid)
    was_left = files.owner.exists()
    with own(files, name) as ownership:
        if was_left:
            yield f"{name}: cleared up after a driver that was killed"
        refuse_links_in(files.folder)
        stored = store.read(name)
        bind_tracker(workspace, files, stored)
        if ownership.is_shared and stored.count("RUNNING"):
            ownership.wait_for_predecessor()
        yield from _recover(workspace, store, files, stored)
        mender = _Mender(workspace, files, name)
        for _ in range(MAX_ROUNDS):
            stored = store.read(name)
            findings = [f for f in examine_owned(workspace, stored, files) if f.mend is not None]
            if not findings:
                break
            yield from mender.mend(stored, findings)


def _recover(workspace: Workspace, store: StudyStore, files: StudyFiles, stored: StoredStudy) -> Iterator[str]:
    """As a driver that resumes does, without training."""
    name = stored.study.name
    optimizer = Optimizer(store, name)
    try:
        ledger = Ledger(optimizer, files, provenance_tags(workspace.root))
        touched = ledger.recover()
        if optimizer.exhausted:
            ledger.publish_models()
        states = {trial.number: trial.state for trial in optimizer.trials()}
    finally:
        optimizer.close()
    for number in touched:
        done = "put back, to be continued" if states[number] == "WAITING" else f"ended, {states[number]}"
        yield f"{name}, trial {number}: {done}"


class _Mender:
    def __init__(self, workspace: Workspace, files: StudyFiles, name: str) -> None:
        self._workspace = workspace
        self._files = files
        self._name = name
        self._connected: Tracker | None = None

    @property
    def _tracker(self) -> Tracker:
        if self._connected is None:
            self._connected = connect_tracker(self._workspace)
        return self._connected

    def mend(self, stored: StoredStudy, findings: list[Finding]) -> Iterator[str]:
        """Mend each finding, then send what is unsent."""
        for finding in findings:
            done = self._mend(stored, finding)
            if done:
                yield f"{finding.where}: {done}"
        unsent = unsent_trials(self._files)
        needs_parent = any(finding.mend in ("new_parent", "send_parent") for finding in findings)
        if not unsent and not needs_parent:
            return
        info = study_info(self._files, stored, provenance_tags(self._workspace.root))
        parent = record_study(self._tracker, self._files, info)
        for trial in unsent:
            record_trial(self._tracker, trial, parent)
        ended = stored.count("COMPLETE", "PRUNED", "FAIL") >= stored.n_trials
        record_study_status(self._tracker, self._files, parent, *status_now(ended=ended))
        if unsent:
            yield f"{self._name}: sent what MLflow did not have of {len(unsent)} trial{'' if len(unsent) == 1 else 's'}"

    def _mend(self, stored: StoredStudy, finding: Finding) -> str:
        """Mend one finding as far as it has not been; returns what was done."""
        if finding.mend == "remove":
            Path(finding.target).unlink(missing_ok=True)
            return f"removed {finding.target}"
        if finding.mend == "set_aside":
            return f"set aside as {self._set_aside(Path(finding.target))}"
        if finding.mend == "delete_run":
            self._tracker.delete_run(finding.target)
            return f"moved the run {finding.target} to MLflow's trash"
        if finding.mend == "new_parent":
            self._files.tracked.unlink(missing_ok=True)
            return "made its parent run again"
        if finding.mend == "send_parent":
            return "corrected the status of its parent run"
        if finding.mend == "link_parent":
            parent = read_json(self._files.tracked)["run_id"]
            self._tracker.log_batch(finding.target, tags={"mlflow.parentRunId": parent})
            return "hung its run below the study's"
        if finding.number is None:
            return ""
        return self._mend_run(stored, finding.mend, finding.number)

    def _mend_run(self, stored: StoredStudy, how: str | None, number: int) -> str:
        """Have the recorder send a run again, in whole or in part."""
        path = self._files.trial(number).tracked
        tracked = read_json(path)
        if how == "new_run":
            parent = read_json(self._files.tracked)
            if parent is not None:
                for run_id in self._tracker.find_runs(parent["experiment_id"], f"{stored.uuid}/{number}"):
                    self._tracker.delete_run(run_id)
            path.unlink(missing_ok=True)
            return "made its run again from its files"
        if how == "send_rows":
            write_json(path, {**tracked, "sent_bytes": 0})
            return "sent its rows again"
        if how == "send_state":
            write_json(path, {**tracked, "state": ""})
            return "corrected the state of its run"
        return ""

    def _set_aside(self, folder: Path) -> Path:
        place = self._files.folder.parent / ".removed" / self._name / self._files.uuid
        refuse_links_in(place, deep=False)
        place.mkdir(parents=True, exist_ok=True)
        target = place / folder.name
        n = 1
        while target.exists():
            n += 1
            target = place / f"{folder.name}-{n}"
        return folder.rename(target)
