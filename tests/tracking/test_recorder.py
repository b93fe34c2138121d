"""The recorder: whatever call fails, before or after it was carried out, the tracker ends up with everything once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import TrackingError
from sweeper.tracking import recorder as recorder_module
from sweeper.tracking import recording as recording_module
from sweeper.tracking.memory import MemoryRun, MemoryTracker
from sweeper.tracking.recorder import Recorder
from sweeper.tracking.recording import (
    Parent,
    record_study,
    record_study_status,
    record_trial,
    study_status,
    unsent_trials,
)
from sweeper.tracking.tracker import RunInfo
from sweeper.tracking.workspace import read_json, write_json
from tests.tracking.trials import (
    PARAMS,
    UUID,
    begin_trial,
    end_trial,
    study_files,
    study_info,
    train_trial,
)

PARENT = Parent(experiment_id="1", run_id="parent")
GUARD_SECONDS = 60.0


class CrashError(Exception):
    """The process ends here."""


class Crashes:
    """Raises at one of the moments before and after each call, counted from 0; -1 never."""

    def __init__(self, at: int = -1) -> None:
        self.at = at
        self.n_moments = 0

    def __call__(self, call: str, after: bool) -> None:
        moment, self.n_moments = self.n_moments, self.n_moments + 1
        if moment == self.at:
            raise CrashError(f"{'after' if after else 'before'} {call}")


def live_through(folder: Path, tracker: MemoryTracker, record: Callable[[], None]) -> None:
    """The life of a trial: dispatched, trained, stopped, continued, ended."""
    files = study_files(folder).trial(0)
    begin_trial(files)
    record()
    train_trial(files, 1, 2)
    record()
    write_json(files.end, {"state": "WAITING"})
    record()
    files.end.unlink()
    train_trial(files, 3, 3)
    record()
    end_trial(files)
    record()


def run_with_crash_at(moment: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[MemoryTracker, Crashes]:
    """The life of a trial with a crash at one moment, after which the recorder begins anew."""
    crashes = Crashes(moment)
    tracker = MemoryTracker(crashes)

    def write(path: Path, data: Any, *, durable: bool = True) -> None:
        crashes("write_json", False)
        write_json(path, data, durable=durable)
        crashes("write_json", True)

    def record() -> None:
        for _ in range(2):
            try:
                with monkeypatch.context() as patch:
                    patch.setattr(recording_module, "write_json", write)
                    record_trial(tracker, study_files(folder).trial(0), PARENT)
            except CrashError:
                continue
            return
        raise AssertionError("crashed twice")

    live_through(folder, tracker, record)
    return tracker, crashes


def only_run(tracker: MemoryTracker) -> MemoryRun:
    (run,) = tracker.runs.values()
    return run


def check_complete(tracker: MemoryTracker, folder: Path) -> None:
    run = only_run(tracker)
    assert run.params == PARAMS
    assert run.rows == {
        (metric, epoch, 0.1 if metric == "lr" else epoch / 10): 1
        for metric in ("objective", "val/accuracy", "lr")
        for epoch in (1, 2, 3)
    }
    assert (run.status, run.end_time_ms) == ("FINISHED", 9000)
    assert run.tags["sweeper.state"] == "COMPLETE"
    assert run.tags["sweeper.best_epoch"] == "3"
    assert run.artifacts.keys() == {"confusion.json", "model.json", "model/model.pt", "model/model.json"}
    assert run.artifacts["model/model.pt"] == b"weights"
    assert run.parent_run_id == "parent"
    assert unsent_trials(study_files(folder)) == []


def count_moments() -> int:
    import tempfile

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        return run_with_crash_at(-1, Path(folder), monkeypatch)[1].n_moments


@pytest.mark.parametrize("moment", range(-1, count_moments()))
def test_a_crash_at_any_moment(moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker, _ = run_with_crash_at(moment, tmp_path, monkeypatch)
    check_complete(tracker, tmp_path)


@pytest.mark.parametrize("state", ["PRUNED", "FAIL"])
def test_states_and_statuses(tmp_path: Path, state: str) -> None:
    files = study_files(tmp_path).trial(0)
    begin_trial(files)
    end_trial(files, state, publish=False)
    tracker = MemoryTracker()
    record_trial(tracker, files, PARENT)
    assert only_run(tracker).status == {"PRUNED": "KILLED", "FAIL": "FAILED"}[state]
    assert "model/model.pt" not in only_run(tracker).artifacts


def test_pictures_of_the_data_are_artifacts_of_the_study(tmp_path: Path) -> None:
    tracker = MemoryTracker()
    parent = record_study(tracker, study_files(tmp_path), study_info(tmp_path))
    files = study_files(tmp_path).trial(0)
    begin_trial(files)
    files.of_data.mkdir()
    (files.of_data / "pictures.png").write_bytes(b"picture")
    (files.of_data / "link.png").symlink_to(files.trial)
    record_trial(tracker, files, parent)
    assert "data/pictures.png" not in tracker.runs[parent.run_id].artifacts
    end_trial(files)
    run_id = record_trial(tracker, files, parent)
    assert tracker.runs[parent.run_id].artifacts["data/pictures.png"] == b"picture"
    assert "data/link.png" not in tracker.runs[parent.run_id].artifacts
    assert not any(name.startswith("data/") for name in tracker.runs[run_id or ""].artifacts)


def test_a_trial_that_waits_is_scheduled_and_has_no_end(tmp_path: Path) -> None:
    files = study_files(tmp_path).trial(0)
    begin_trial(files)
    write_json(files.end, {"state": "WAITING"})
    tracker = MemoryTracker()
    record_trial(tracker, files, PARENT)
    assert (only_run(tracker).status, only_run(tracker).end_time_ms) == ("SCHEDULED", None)


def test_a_trial_that_was_never_dispatched_has_no_run(tmp_path: Path) -> None:
    tracker = MemoryTracker()
    assert record_trial(tracker, study_files(tmp_path).trial(0), PARENT) is None
    assert not tracker.runs


def test_recording_twice_changes_nothing(tmp_path: Path) -> None:
    files = study_files(tmp_path).trial(0)
    begin_trial(files)
    train_trial(files, 1, 3)
    end_trial(files)
    calls: list[str] = []
    tracker = MemoryTracker(lambda call, after: calls.append(call))
    record_trial(tracker, files, PARENT)
    n_calls = len(calls)
    record_trial(tracker, files, PARENT)
    assert len(calls) == n_calls


def test_a_run_that_ends_has_all_its_rows(tmp_path: Path) -> None:
    """The trial ends while the recorder is at it: it is not shown as ended before its last rows are there."""
    files = study_files(tmp_path).trial(0)
    begin_trial(files)
    train_trial(files, 1, 2)
    seen: list[int] = []

    def end_meanwhile(call: str, after: bool) -> None:
        if call == "log_batch" and not after and not files.end.exists():
            train_trial(files, 3, 3)
            end_trial(files)
        if call == "set_status":
            seen.append(len(only_run(tracker).rows))

    tracker = MemoryTracker(end_meanwhile)
    while unsent_trials(study_files(tmp_path)):
        record_trial(tracker, files, PARENT)
    assert seen == [9, 9]
    check_complete(tracker, tmp_path)


class LateTracker(MemoryTracker):
    """The first request to create a run times out, and is carried out when the second one has been."""

    late: list[tuple[str, RunInfo, str | None]]

    def create_run(self, experiment_id: str, info: RunInfo, parent_run_id: str | None) -> str:
        if not hasattr(self, "late"):
            self.late = [(experiment_id, info, parent_run_id)]
            raise TrackingError("timed out")
        run_id = super().create_run(experiment_id, info, parent_run_id)
        while self.late:
            super().create_run(*self.late.pop())
        return run_id


def test_a_request_that_is_carried_out_late_leaves_no_double(tmp_path: Path) -> None:
    files = study_files(tmp_path).trial(0)
    begin_trial(files)
    tracker = LateTracker()
    with pytest.raises(TrackingError):
        record_trial(tracker, files, PARENT)
    run_id = record_trial(tracker, files, PARENT)
    assert len(tracker.runs) == 2
    train_trial(files, 1, 3)
    end_trial(files)
    record_trial(tracker, files, PARENT)
    assert only_run(tracker).run_id == run_id
    check_complete(tracker, tmp_path)


@pytest.mark.parametrize("moment", range(-1, 16))
def test_a_crash_while_the_study_is_recorded(tmp_path: Path, moment: int) -> None:
    tracker = MemoryTracker(Crashes(moment))
    files, info = study_files(tmp_path), study_info(tmp_path)
    for _ in range(2):
        try:
            parent = record_study(tracker, files, info)
            record_study_status(tracker, files, parent, "FINISHED", 9000)
        except CrashError:
            continue
        break
    run = only_run(tracker)
    assert run.run_id == parent.run_id
    assert list(tracker.experiments) == ["birds"]
    assert run.params == {"sampler": "tpe"}
    assert json.loads(run.artifacts["study.json"])["name"] == "birds"
    assert (run.status, run.end_time_ms) == ("FINISHED", 9000)
    assert study_status(files) == "FINISHED"
    assert record_study(tracker, files, info) == parent


def test_unsent_trials(tmp_path: Path) -> None:
    study = study_files(tmp_path)
    tracker = MemoryTracker()
    for number in range(3):
        begin_trial(study.trial(number), number)
    assert [f.folder.name for f in unsent_trials(study)] == ["00000", "00001", "00002"]
    for number in range(3):
        record_trial(tracker, study.trial(number), PARENT)
    assert unsent_trials(study) == []
    train_trial(study.trial(1), 1, 1)
    end_trial(study.trial(2), publish=False)
    assert [f.folder.name for f in unsent_trials(study)] == ["00001", "00002"]
    for number in range(3):
        record_trial(tracker, study.trial(number), PARENT)
    study.trial(2).publish.touch()
    assert [f.folder.name for f in unsent_trials(study)] == ["00002"]


class Outage:
    """A tracker that can be switched off, and what the recorder said of it."""

    def __init__(self) -> None:
        self.is_down = threading.Event()
        self.failure: Exception = TrackingError("connection refused")
        self.problems: list[str | None] = []
        self.n_failures = 0
        self.tracker = MemoryTracker(self._fault)

    def _fault(self, call: str, after: bool) -> None:
        if self.is_down.is_set():
            self.n_failures += 1
            raise self.failure

    def connect(self) -> MemoryTracker:
        self._fault("connect", False)
        return self.tracker

    def wait_for_failures(self, n: int) -> None:
        deadline = time.monotonic() + GUARD_SECONDS
        while self.n_failures < n and time.monotonic() < deadline:
            time.sleep(0.01)
        assert self.n_failures >= n


def start_recorder(tmp_path: Path, outage: Outage) -> Recorder:
    recorder = Recorder(outage.connect, study_files(tmp_path), study_info(tmp_path), on_problem=outage.problems.append)
    recorder.start()
    return recorder


def trial_runs(tracker: MemoryTracker) -> list[MemoryRun]:
    return sorted((r for r in tracker.runs.values() if r.info.key != UUID), key=lambda r: r.info.name)


@pytest.mark.parametrize("failure", [TrackingError("connection refused"), OSError("disk full"), KeyError("surprise")])
def test_an_outage_loses_nothing_and_is_told_once(tmp_path: Path, failure: Exception) -> None:
    outage = Outage()
    outage.failure = failure
    outage.is_down.set()
    recorder = start_recorder(tmp_path, outage)
    study = study_files(tmp_path)
    for number in range(3):
        files = study.trial(number)
        begin_trial(files, number)
        train_trial(files, 1, 3)
        recorder.note(number)
    outage.wait_for_failures(3)
    assert recorder.problem is not None
    assert not recorder.flush(0.01)
    for number in range(3):
        end_trial(study.trial(number))
        recorder.note(number, urgent=True)
    recorder.set_study_status("FINISHED", 9500)
    outage.is_down.clear()
    assert recorder.flush(GUARD_SECONDS)
    recorder.close()
    assert [problem is None for problem in outage.problems] == [False, True]
    assert recorder.problem is None
    assert unsent_trials(study) == []
    runs = trial_runs(outage.tracker)
    assert [run.info.name for run in runs] == ["trial-000", "trial-001", "trial-002"]
    assert all(run.status == "FINISHED" and set(run.rows.values()) == {1} and len(run.rows) == 9 for run in runs)


def test_each_outage_is_told_once(tmp_path: Path) -> None:
    outage = Outage()
    recorder = start_recorder(tmp_path, outage)
    files = study_files(tmp_path).trial(0)
    begin_trial(files)
    for epoch in (1, 2):
        outage.is_down.set()
        before = outage.n_failures
        train_trial(files, epoch, epoch)
        recorder.note(0, urgent=True)
        outage.wait_for_failures(before + 2)
        outage.is_down.clear()
        assert recorder.flush(GUARD_SECONDS)
    recorder.close()
    assert [problem is None for problem in outage.problems] == [False, True, False, True]


def test_the_study_is_shown_as_ended_after_its_trials(tmp_path: Path) -> None:
    order: list[tuple[str, int]] = []
    outage = Outage()
    outage.tracker._fault = lambda call, after: order.append((call, len(trial_runs(outage.tracker))))
    recorder = start_recorder(tmp_path, outage)
    recorder.set_study_status("RUNNING", None)
    study = study_files(tmp_path)
    for number in range(3):
        begin_trial(study.trial(number), number)
        recorder.note(number)
    assert recorder.flush(GUARD_SECONDS)
    for number in range(3):
        end_trial(study.trial(number), publish=False)
        recorder.note(number)  # not urgent: due in two seconds
    recorder.set_study_status("FINISHED", 9500)
    assert recorder.flush(GUARD_SECONDS)
    recorder.close()
    parent = next(run for run in outage.tracker.runs.values() if run.info.key == UUID)
    assert (parent.status, parent.end_time_ms) == ("FINISHED", 9500)
    assert order[-1] == ("set_status", 3)
    assert all(run.status == "FINISHED" for run in trial_runs(outage.tracker))


def test_a_study_that_goes_on_is_shown_so_while_trials_have_news(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "MIN_SECONDS", 1000.0)
    outage = Outage()
    recorder = start_recorder(tmp_path, outage)
    study = study_files(tmp_path)
    begin_trial(study.trial(0))
    recorder.note(0)
    assert recorder.flush(GUARD_SECONDS)
    recorder.note(0)  # not yet due
    recorder.set_study_status("SCHEDULED", None)
    deadline = time.monotonic() + GUARD_SECONDS
    while study_status(study) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert study_status(study) == "SCHEDULED"
    assert list(recorder._pending) == [0]
    recorder.close()


def test_flush_gives_up_on_a_tracker_that_hangs_and_close_ends(tmp_path: Path) -> None:
    release = threading.Event()
    outage = Outage()

    def hang(call: str, after: bool) -> None:
        release.wait(GUARD_SECONDS)

    outage.tracker._fault = hang
    recorder = start_recorder(tmp_path, outage)
    begin_trial(study_files(tmp_path).trial(0))
    recorder.note(0)
    start = time.monotonic()
    assert not recorder.flush(0.2)
    assert time.monotonic() - start < GUARD_SECONDS / 2
    release.set()
    assert recorder.flush(GUARD_SECONDS)
    recorder.close()
    assert not recorder._thread.is_alive()


def test_flush_interrupts_the_wait_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "MIN_BACKOFF_SECONDS", 1e6)
    outage = Outage()
    outage.is_down.set()
    recorder = start_recorder(tmp_path, outage)
    begin_trial(study_files(tmp_path).trial(0))
    recorder.note(0)
    outage.wait_for_failures(1)
    outage.is_down.clear()
    assert recorder.flush(GUARD_SECONDS)
    recorder.close()


def test_close_interrupts_the_wait_after_a_failure(tmp_path: Path) -> None:
    outage = Outage()
    outage.is_down.set()
    recorder = start_recorder(tmp_path, outage)
    begin_trial(study_files(tmp_path).trial(0))
    recorder.note(0)
    outage.wait_for_failures(2)
    recorder.close()
    assert not recorder._thread.is_alive()
    assert read_json(study_files(tmp_path).trial(0).trial) is not None
