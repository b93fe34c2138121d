"""The store of features: kept by key, shared, resumed, bounded; torn vectors are found."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sweeper.data.features import FeatureStore, open_features
from sweeper.errors import DataError

N_PICTURES, N_FEATURES = 1000, 48
ALL = np.arange(N_PICTURES)


def vectors(view: int, rows_B: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """What the backbone of these tests gives: numbers that tell view, picture and place."""
    places_F = np.arange(N_FEATURES, dtype=np.float32)
    return np.asarray(1000 * view + rows_B[:, None] + places_F / 64, dtype=np.float32)


def open_store(cache_dir: Path, *, n_views: int = 1, limit: float = 1.0, **key: Any) -> FeatureStore:
    return open_features(
        cache_dir, {"weights": "w", **key}, name="net", shape=(N_PICTURES, N_FEATURES), n_views=n_views, limit_gib=limit
    )


def fill(store: FeatureStore, rows_M: npt.NDArray[np.int64], view: int = 0) -> list[int]:
    """Fill, and return the rows that had to be computed."""
    computed: list[int] = []

    def compute(view: int, rows_B: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        computed.extend(rows_B.tolist())
        return vectors(view, rows_B)

    for _ in store.fill(view, rows_M, compute):
        pass
    return computed


def test_only_what_is_asked_for_and_missing_is_computed(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    some_M = np.array([3, 4, 64, 500, 999])
    assert fill(store, some_M) == some_M.tolist()
    more_M = np.arange(0, 1000, 4)
    assert fill(store, more_M) == sorted(set(more_M.tolist()) - set(some_M.tolist()))
    again = open_store(tmp_path)
    assert fill(again, more_M) == []
    np.testing.assert_array_equal(again.views[0][more_M], vectors(0, more_M))
    assert again.missing(0, ALL).tolist() == sorted(set(range(1000)) - set(some_M.tolist()) - set(more_M.tolist()))
    n_blocks = (again.folder / "view0.f32").stat().st_blocks
    assert n_blocks * 512 < N_PICTURES * N_FEATURES * 4 + 4096


def test_progress_counts_down(tmp_path: Path) -> None:
    missing = list(open_store(tmp_path).fill(0, ALL, vectors))
    assert missing[0] == N_PICTURES
    assert missing[-1] == 0
    assert missing == sorted(missing, reverse=True)
    assert len(missing) >= 8


def test_another_key_is_another_store_and_views_are_apart(tmp_path: Path) -> None:
    first, other = open_store(tmp_path), open_store(tmp_path, weights="v")
    assert first.folder != other.folder
    fill(first, ALL)
    assert len(other.missing(0, ALL)) == N_PICTURES
    fewer = open_store(tmp_path, n_views=2, augment=["flip"])
    fill(fewer, ALL, view=1)
    more = open_store(tmp_path, n_views=4, augment=["flip"])  # the views that were there are kept
    assert more.folder == fewer.folder
    assert [len(more.missing(view, ALL)) for view in range(4)] == [1000, 0, 1000, 1000]
    np.testing.assert_array_equal(more.views[1], vectors(1, ALL))


def test_what_is_torn_or_damaged_is_computed_again(tmp_path: Path) -> None:
    fill(open_store(tmp_path), ALL)
    folder = open_store(tmp_path).folder
    with (folder / "view0.f32").open("r+b") as file:
        file.seek((500 * N_FEATURES + 7) * 4)
        file.write(b"torn")
        file.seek(700 * N_FEATURES * 4)
        file.write(bytes(N_FEATURES * 4))  # as a page that a power cut kept from the disk
    store = open_store(tmp_path)
    assert store.missing(0, ALL).tolist() == [500, 700]
    assert fill(store, ALL) == [500, 700]
    np.testing.assert_array_equal(open_store(tmp_path).views[0], vectors(0, ALL))
    os.truncate(folder / "view0.f32", 5000)
    assert len(open_store(tmp_path).missing(0, ALL)) == N_PICTURES


def test_vectors_of_zeros_are_vectors(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for _ in store.fill(0, ALL, lambda view, rows_B: np.zeros((len(rows_B), N_FEATURES), np.float32)):
        pass
    assert len(open_store(tmp_path).missing(0, ALL)) == 0


WORKER = """
import os, signal, sys, time
from pathlib import Path
from tests.data.test_features import ALL, open_store, vectors
def compute(view, rows_B):
    time.sleep(0.02)
    with open(sys.argv[2], "a") as log:
        log.write("".join(f"{row}\\n" for row in rows_B))
    return vectors(view, rows_B)
store = open_store(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.readline()
for _ in store.fill(0, ALL, compute):
    pass
"""


def start_worker(cache_dir: Path, log: Path, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(cache_dir), str(log)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environ},
    )  # fmt: skip


def go(*workers: subprocess.Popen[str]) -> None:
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "open\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()


def test_two_workers_share_the_work(tmp_path: Path) -> None:
    logs = [tmp_path / "log0", tmp_path / "log1"]
    workers = [start_worker(tmp_path, log) for log in logs]
    go(*workers)
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0]
    rows = [[int(line) for line in log.read_text().split()] for log in logs]
    assert sorted(rows[0] + rows[1]) == ALL.tolist()  # each once
    assert min(len(rows[0]), len(rows[1])) >= 128
    np.testing.assert_array_equal(open_store(tmp_path).views[0], vectors(0, ALL))
    assert len(open_store(tmp_path).missing(0, ALL)) == 0


@pytest.mark.parametrize("place", ["features.vector_written", "features.batch_written"])
def test_a_killed_worker_loses_one_batch_at_most(place: str, tmp_path: Path) -> None:
    # Killed at its third batch of 128, amid the vectors or after their checksums.
    count = 300 if place == "features.vector_written" else 3
    worker = start_worker(tmp_path, tmp_path / "log", SWEEPER_FAILPOINTS=f"{place}=kill@{count}")
    go(worker)
    assert worker.wait(timeout=60) == -signal.SIGKILL
    store = open_store(tmp_path)
    assert len(store.missing(0, ALL)) == N_PICTURES - (2 if place == "features.vector_written" else 3) * 128
    fill(store, ALL)  # its claims ended with it
    np.testing.assert_array_equal(store.views[0], vectors(0, ALL))


@pytest.fixture
def gib() -> float:
    """The size of a store with one view, in GiB."""
    return N_PICTURES * (N_FEATURES + 1) * 4 / 2**30


def test_the_store_that_was_used_longest_ago_goes_first(tmp_path: Path, gib: float) -> None:
    for name in ("a", "b", "c"):
        open_store(tmp_path, limit=3.5 * gib, weights=name)
        time.sleep(0.01)
    open_store(tmp_path, limit=3.5 * gib, weights="a")
    time.sleep(0.01)
    open_store(tmp_path, limit=3.5 * gib, weights="d")
    kept = {(path / "key.json").read_text() for path in (tmp_path / "features").iterdir() if path.is_dir()}
    assert sorted(text[text.index('"weights": "') + 12] for text in kept) == ["a", "c", "d"]


def test_a_store_in_use_stays(tmp_path: Path, gib: float) -> None:
    used = open_store(tmp_path, limit=1.5 * gib, weights="a")
    fill(used, ALL)
    with pytest.raises(DataError, match=r"GiB are needed, but .* in use .* set SWEEPER_FEATURES_GIB higher, or model"):
        open_store(tmp_path, limit=1.5 * gib, weights="b")
    assert len(open_store(tmp_path, weights="a").missing(0, ALL)) == 0
    folder = used.folder
    del used
    open_store(tmp_path, limit=1.5 * gib, weights="b")
    assert not folder.exists()


def test_more_than_the_limit_is_refused_and_nothing_is_lost(tmp_path: Path, gib: float) -> None:
    with pytest.raises(DataError, match=r"cached features: .* GiB are needed"):
        open_store(tmp_path, limit=0.5 * gib)
    open_store(tmp_path, limit=1.5 * gib)
