"""The outbox: every epoch sent once, whatever is torn and whoever reads meanwhile."""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sweeper.tracking.outbox import OutboxWriter, Row, read_released


def row(epoch: int, time: int = 0) -> Row:
    return Row(epoch=epoch, timestamp_ms=time, values={"val/accuracy": epoch / 10, "lr": 1e-3})


def epochs(path: Path) -> list[int]:
    return [each.epoch for each in read_released(path)[0]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trial" / "outbox.jsonl"


def test_rows_are_sent_after_their_release(path: Path) -> None:
    writer = OutboxWriter(path)
    writer.append(row(1, 17))
    assert read_released(path) == ([], 0)
    writer.release()
    rows, offset = read_released(path)
    assert rows == [row(1, 17)]
    assert offset == path.stat().st_size


def test_reading_goes_on_where_it_ended(path: Path) -> None:
    writer = OutboxWriter(path)
    offset = 0
    for epoch in (1, 2, 3):
        writer.append(row(epoch))
        writer.release()
        rows, offset = read_released(path, offset)
        assert [each.epoch for each in rows] == [epoch]
    assert read_released(path, offset) == ([], offset)


def test_no_outbox_has_no_rows(path: Path) -> None:
    assert read_released(path) == ([], 0)


@pytest.mark.parametrize("n_bytes", [1, 5, 20])
def test_a_torn_last_line_is_taken_back(path: Path, n_bytes: int) -> None:
    writer = OutboxWriter(path)
    writer.append(row(1))
    writer.release()
    writer.append(row(2))
    writer.close()
    os.truncate(path, path.stat().st_size - n_bytes)
    assert epochs(path) == [1]
    resumed = OutboxWriter(path, checkpoint_epoch=1)
    resumed.append(row(2, 99))
    resumed.release()
    rows, _ = read_released(path)
    assert rows == [row(1), row(2, 99)]


def test_rows_after_the_checkpoint_are_taken_back(path: Path) -> None:
    writer = OutboxWriter(path)
    for epoch in (1, 2, 3):
        writer.append(row(epoch))
    writer.close()
    # The checkpoint covers epoch 2, and the process died before it released.
    resumed = OutboxWriter(path, checkpoint_epoch=2)
    assert resumed.last_epoch == 2
    resumed.append(row(3, 99))
    resumed.release()
    rows, _ = read_released(path)
    assert rows == [row(1), row(2), row(3, 99)]


def test_released_rows_outlive_a_lost_checkpoint(path: Path) -> None:
    writer = OutboxWriter(path)
    for epoch in (1, 2, 3):
        writer.append(row(epoch))
    writer.release()
    writer.close()
    resumed = OutboxWriter(path, checkpoint_epoch=1)
    for epoch in (2, 3, 4):
        resumed.append(row(epoch, 99))
    resumed.release()
    rows, _ = read_released(path)
    assert rows == [row(1), row(2), row(3), row(4, 99)]


@pytest.mark.parametrize("call", ["sync", "release"])
def test_what_counts_is_on_disk(path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    sizes: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (sizes.append(os.fstat(fd).st_size), fsync(fd)))
    writer = OutboxWriter(path)
    writer.append(row(1))
    getattr(writer, call)()
    assert sizes == [path.stat().st_size]


def test_values_that_json_does_not_know(path: Path) -> None:
    writer = OutboxWriter(path)
    writer.append(Row(epoch=1, timestamp_ms=0, values={"bird's é": float("nan"), "x": float("inf")}))
    writer.release()
    (only,), _ = read_released(path)
    assert only.values["bird's é"] != only.values["bird's é"]
    assert only.values["x"] == float("inf")


def test_reading_while_another_writes(path: Path) -> None:
    n_epochs = 500

    def write() -> None:
        writer = OutboxWriter(path)
        for epoch in range(1, n_epochs + 1):
            writer.append(row(epoch))
            if epoch % 7 == 0 or epoch == n_epochs:
                writer.release()

    thread = threading.Thread(target=write)
    thread.start()
    seen: list[int] = []
    offset = 0
    while thread.is_alive() or len(seen) < n_epochs:
        is_last = not thread.is_alive()
        rows, offset = read_released(path, offset)
        seen += [each.epoch for each in rows]
        if is_last:
            break
    assert seen == list(range(1, n_epochs + 1))


class CrashingTrial(RuleBasedStateMachine):
    """A trial whose machine crashes at any moment, losing any part of what was not yet on disk."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "outbox.jsonl"
        self.clock = itertools.count()
        self.checkpoint_epoch = self.previous_epoch = 0
        self.offset = 0
        self.sent: list[int] = []
        self.times: dict[int, int] = {}
        self.begin()

    def begin(self) -> None:
        self.epoch = self.checkpoint_epoch
        self.writer = OutboxWriter(self.path, checkpoint_epoch=self.checkpoint_epoch)
        self.on_disk = self.path.stat().st_size

    @rule()
    def train_an_epoch(self) -> None:
        self.epoch += 1
        self.writer.append(row(self.epoch, next(self.clock)))

    @rule()
    def save(self) -> None:
        self.writer.sync()
        self.on_disk = self.path.stat().st_size
        if self.epoch > self.checkpoint_epoch:
            self.previous_epoch, self.checkpoint_epoch = self.checkpoint_epoch, self.epoch

    @rule()
    def save_and_release(self) -> None:
        self.save()
        self.writer.release()
        self.on_disk = self.path.stat().st_size

    @rule(share=st.floats(0, 1))
    def crash(self, share: float) -> None:
        self.writer.close()
        size = self.path.stat().st_size
        os.truncate(self.path, self.on_disk + int((size - self.on_disk) * share))
        self.begin()

    @rule()
    def crash_and_find_the_checkpoint_torn(self) -> None:
        self.writer.close()
        self.checkpoint_epoch = self.previous_epoch
        self.begin()

    @rule()
    def send(self) -> None:
        rows, self.offset = read_released(self.path, self.offset)
        self.sent += [each.epoch for each in rows]
        for each in rows:
            assert self.times.setdefault(each.epoch, each.timestamp_ms) == each.timestamp_ms

    @invariant()
    def each_epoch_is_sent_once_and_in_order(self) -> None:
        assert self.sent == list(range(1, len(self.sent) + 1))

    def teardown(self) -> None:
        self.writer.release()
        self.send()
        self.each_epoch_is_sent_once_and_in_order()
        assert len(self.sent) >= self.epoch, "an epoch was lost"
        self.writer.close()
        self.folder.cleanup()


CrashingTrial.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestCrashingTrial = CrashingTrial.TestCase
