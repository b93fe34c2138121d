"""Results of analyses count whole or not at all, and once."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from sweeper.errors import TrackingError
from sweeper.tracking.analyses import find_results, keep_result
from sweeper.tracking.memory import MemoryTracker
from sweeper.tracking.records import RunRecord, StudyRecord
from sweeper.tracking.tracker import RunInfo
from tests.report.synthetic import MemoryReader, make_record, make_run

TAG = "sweeper.analysis.attack.fgsm"


class Calls:
    """Counts calls, and fails one of them."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.fail_at: tuple[str, int] | None = None

    def __call__(self, call: str, after: bool) -> None:
        if not after:
            self.counts[call] += 1
            if self.fail_at == (call, self.counts[call]):
                raise TrackingError("down")


def tracker_with_run(calls: Calls) -> tuple[MemoryTracker, str]:
    tracker = MemoryTracker(calls)
    experiment = tracker.open_experiment("s", {})
    info = RunInfo(key="u/0", name="trial-0", start_time_ms=0, params={}, tags={})
    return tracker, tracker.create_run(experiment, info, None)


def keep(tracker: MemoryTracker, run_id: str, value: float = 0.5) -> str:
    return keep_result(
        tracker,
        run_id,
        kind="attack",
        variant="fgsm",
        result={"analysis": "attack", "value": value},
        files={"pictures.png": b"png"},
        tags=tracker.runs[run_id].tags,
    ).folder


def test_a_result_is_kept_once() -> None:
    calls = Calls()
    tracker, run_id = tracker_with_run(calls)
    folder = keep(tracker, run_id)
    run = tracker.runs[run_id]
    assert run.tags[TAG] == folder
    assert json.loads(run.artifacts[f"{folder}/result.json"]) == {"analysis": "attack", "value": 0.5}
    assert run.artifacts[f"{folder}/pictures.png"] == b"png"
    before = calls.counts.copy()
    assert keep(tracker, run_id) == folder
    assert calls.counts == before


def test_another_result_takes_its_place_and_the_first_stays() -> None:
    tracker, run_id = tracker_with_run(Calls())
    first, second = keep(tracker, run_id), keep(tracker, run_id, value=0.7)
    assert first != second
    run = tracker.runs[run_id]
    assert run.tags[TAG] == second
    assert {path for path in run.artifacts if path.startswith(first)} == {
        f"{first}/result.json",
        f"{first}/pictures.png",
    }


@pytest.mark.parametrize("fail_at", [("log_artifact", 1), ("log_artifact", 2), ("log_batch", 1)])
def test_a_result_that_was_not_kept_whole_does_not_count(fail_at: tuple[str, int]) -> None:
    calls = Calls()
    tracker, run_id = tracker_with_run(calls)
    calls.fail_at = fail_at
    with pytest.raises(TrackingError):
        keep(tracker, run_id)
    assert TAG not in tracker.runs[run_id].tags
    folder = keep(tracker, run_id)
    assert tracker.runs[run_id].tags[TAG] == folder
    assert len(tracker.runs[run_id].artifacts) == 2


def study_with(runs: list[RunRecord], reader: MemoryReader) -> StudyRecord:
    record = replace(make_record(runs), parent_run_id="parent", artifact_uri="memory:/", tags={TAG: "analysis/p"})
    reader.artifacts["parent", "analysis/p/result.json"] = b'{"analysis": "attack", "of": "parent"}'
    return record


def test_results_are_found_in_order_and_those_that_are_none_are_left_out() -> None:
    reader = MemoryReader()
    tags = {
        f"sweeper.analysis.attack.{variant}": f"analysis/{variant}" for variant in ("b", "a", "torn", "gone", "other")
    }
    runs = [make_run(1, tags=tags), make_run(0, tags={TAG: "analysis/a"}), make_run(2)]
    for run, variant, content in (
        ("s-001", "a", b'{"analysis": "attack", "of": "1a"}'),
        ("s-001", "b", b'{"analysis": "attack", "of": "1b"}'),
        ("s-001", "torn", b'{"analysis": '),
        ("s-001", "other", b'{"analysis": "embedding"}'),
        ("s-000", "a", b'{"analysis": "attack", "of": "0a"}'),
    ):
        reader.artifacts[run, f"analysis/{variant}/result.json"] = content
    found = find_results(study_with(runs, reader), reader, "attack")
    assert [each.result["of"] for each in found] == ["parent", "0a", "1a", "1b"]
    assert [each.variant for each in found] == ["fgsm", "fgsm", "a", "b"]
    reader.artifacts["s-001", "analysis/a/pictures.png"] = b"png"
    assert found[2].read("pictures.png") == b"png"
    assert found[3].read("pictures.png") is None
