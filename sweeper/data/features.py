"""What frozen backbones give, kept on disk: computed once for each picture and view, shared by a machine's workers.

A store is a folder with one pair of files a view: the vectors of all pictures of a data set, float32, in a sparse file
that is memory-mapped, and a checksum for each vector that is there. A vector is written before its checksum, so that a
process may be killed at any moment, and what a power cut tore does not fit its checksum and is computed again.

float32 and not float16: a logistic regression on MobileNetV2's features of STL-10 at 224×224 is right on 96.8 % of 568
pictures after 2,268 with either, but float32 makes a training on cached features equal to one that runs the backbone,
and float16 ends at 65,504, which networks without a last norm may exceed. A picture takes 5 KB a view.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sweeper.errors import DataError
from sweeper.failpoints import failpoint

__all__ = ["Compute", "FeatureStore", "open_features"]

FORMAT_VERSION = 1
"""Part of every key: a new version reads nothing that an old one wrote."""

Compute: TypeAlias = Callable[[int, npt.NDArray[np.int64]], npt.NDArray[np.float32]]
"""From the number of a view and the rows of pictures, (B,), to their vectors, (B, F)."""

_CHUNK = 64
"""Neighbouring pictures that one process claims at once."""
_CLAIM = 128
"""Pictures that a process claims chunks for, where that many are missing."""
_N_LOCKS = 256
_WAIT_SECONDS = 0.05
_GIB = 2**30


def open_features(
    cache_dir: Path, key: Mapping[str, Any], *, name: str, shape: tuple[int, int], n_views: int, limit_gib: float
) -> FeatureStore:
    """Open the store of `key`, and make it where there is none.

    While it is open, no other process removes it. Where a new one would make all stores larger than `limit_gib`, those
    that were opened longest ago are removed first.

    Args:
        cache_dir: Stores are kept in its folder `features`.
        key: All that the vectors depend on, as plain data: another key is another store.
        name: Begins the name of the store's folder.
        shape: (N, F): number of pictures, and length of the vector of each.
        n_views: Number of views, each of which has vectors of its own.
        limit_gib: Most that all stores may take on disk, in GiB.

    Raises:
        DataError: The store does not fit into the limit, with what other trainings use at the moment.
        OSError: The cache cannot be written.
    """
    text = json.dumps({"format": FORMAT_VERSION, "shape": shape, **key}, sort_keys=True)
    root = cache_dir / "features"
    root.mkdir(parents=True, exist_ok=True)
    folder = root / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"
    with _lock(root / ".lock", shared=False):
        in_use = _lock(_lock_path(folder), shared=True)
        made = [folder / f"view{view}.{kind}" for view in range(n_views) for kind in ("marks", "f32")]
        sizes = [shape[0] * 4, shape[0] * shape[1] * 4] * n_views
        missing = {file: size for file, size in zip(made, sizes, strict=True) if _size(file) != size}
        if missing:
            _make_room(root, sum(missing.values()) - sum(map(_size, missing)), limit_gib, folder)
            (folder / "locks").mkdir(parents=True, exist_ok=True)
            (folder / "key.json").write_text(text, encoding="utf-8")
            for view in {file.stem for file in missing}:  # vectors without their checksums are none, and the reverse
                for kind, size in zip(("marks", "f32"), sizes, strict=False):
                    with (folder / f"{view}.{kind}").open("wb") as file:
                        file.truncate(size)
        os.utime(folder)
    return FeatureStore(folder, shape=shape, n_views=n_views, in_use=in_use)


class FeatureStore:
    """The vectors of one data set, opened. Made by `open_features`."""

    def __init__(self, folder: Path, *, shape: tuple[int, int], n_views: int, in_use: IO[bytes]) -> None:
        self.folder = folder
        self._in_use = in_use  # the lock ends with this object
        # Copy on write shares pages as "r" does, but gives torch the writable arrays that it wants.
        self.views: tuple[npt.NDArray[np.float32], ...] = tuple(
            np.memmap(folder / f"view{view}.f32", np.float32, "c", shape=shape) for view in range(n_views)
        )
        """The vectors of each view, (N, F), memory-mapped. Rows that `missing` names are not to be read."""
        self._marks = [np.memmap(folder / f"view{v}.marks", np.uint32, "r", shape=shape[:1]) for v in range(n_views)]
        self._intact = [np.zeros(shape[0], dtype=np.bool_) for _ in range(n_views)]

    def missing(self, view: int, rows_M: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Those of `rows_M` whose vectors are not there, or damaged."""
        intact_N, marks_N, features_NF = self._intact[view], self._marks[view], self.views[view]
        unknown_M = rows_M[~intact_N[rows_M]]
        for row in unknown_M[marks_N[unknown_M] != 0]:
            intact_N[row] = marks_N[row] == _checksum(features_NF[row])
        return unknown_M[~intact_N[unknown_M]]

    def fill(self, view: int, rows_M: npt.NDArray[np.int64], compute: Compute) -> Iterator[int]:
        """Compute the vectors of `rows_M` that are missing. Processes that do so at once share the work.

        Yields how many are still missing, at least every few batches; the caller may leave off at any time.

        Args:
            view: Number of the view.
            rows_M: int64, (M,), ascending.
            compute: Computes vectors, at most 128 at a time.
        """
        while len(missing_M := self.missing(view, rows_M)):
            yield len(missing_M)
            claims: list[IO[bytes]] = []
            claimed: list[npt.NDArray[np.int64]] = []
            computed = False
            chunks = np.split(missing_M, np.flatnonzero(np.diff(missing_M // _CHUNK)) + 1)
            try:
                for number, chunk_B in enumerate(chunks, start=1):
                    claim = self._claim(view, int(chunk_B[0]) // _CHUNK)
                    if claim is not None:
                        claims.append(claim)
                        claimed.append(self.missing(view, chunk_B))  # another may just have computed them
                    todo_B = np.concatenate(claimed) if claimed else missing_M[:0]
                    if len(todo_B) >= _CLAIM or (number == len(chunks) and len(todo_B)):
                        for start in range(0, len(todo_B), _CLAIM):
                            self._write(view, batch_B := todo_B[start : start + _CLAIM], compute(view, batch_B))
                        computed = True
                        claimed.clear()
                        while claims:
                            claims.pop().close()
                        yield len(self.missing(view, rows_M))
            finally:
                while claims:
                    claims.pop().close()
            if not computed:
                time.sleep(_WAIT_SECONDS)

    def _claim(self, view: int, chunk: int) -> IO[bytes] | None:
        number = (chunk + view * 31) % _N_LOCKS
        return _try_lock(self.folder / "locks" / str(number))

    def _write(self, view: int, rows_B: npt.NDArray[np.int64], features_BF: npt.NDArray[np.float32]) -> None:
        assert features_BF.dtype == np.float32
        assert features_BF.shape == (len(rows_B), self.views[view].shape[1])
        width = features_BF.shape[1] * 4
        # Not through the memory map, where a full disk would kill the process with SIGBUS.
        with (self.folder / f"view{view}.f32").open("r+b", buffering=0) as file:
            for row, vector_F in zip(rows_B, features_BF, strict=True):
                _write_all(file, vector_F.tobytes(), int(row) * width)
                failpoint("features.vector_written")
        with (self.folder / f"view{view}.marks").open("r+b", buffering=0) as file:
            for row, vector_F in zip(rows_B, features_BF, strict=True):
                _write_all(file, np.uint32(_checksum(vector_F)).tobytes(), int(row) * 4)
        failpoint("features.batch_written")


def _checksum(vector_F: npt.NDArray[np.float32]) -> int:
    return zlib.crc32(np.ascontiguousarray(vector_F).data) or 1  # 0 is for what is not there


def _write_all(file: IO[bytes], data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(file.fileno(), data, offset)
        data, offset = data[written:], offset + written


def _make_room(root: Path, n_bytes: int, limit_gib: float, folder: Path) -> None:
    """Remove stores that nobody uses until `n_bytes` more fit into the limit. The caller holds the root's lock."""
    others = [path for path in root.iterdir() if path.is_dir() and path != folder]
    sizes = {path: sum(map(_size, path.glob("view*"))) for path in [*others, folder]}
    free = limit_gib * _GIB - sum(sizes.values())
    for path in sorted(others, key=lambda path: path.stat().st_mtime_ns):
        if free >= n_bytes:
            return
        claim = _try_lock(_lock_path(path))
        if claim is not None:
            with claim:
                shutil.rmtree(path)
                free += sizes[path]
    if free < n_bytes:
        used = sum(sizes[path] for path in sizes if path.exists()) / _GIB
        raise DataError(
            f"cached features: {n_bytes / _GIB:.3g} GiB are needed, but {used:.3g} of the {limit_gib:g} GiB for them "
            f"in {root} are in use by this and other trainings; set SWEEPER_FEATURES_GIB higher, or model.views lower "
            "(with 0, nothing is cached)"
        )


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _lock_path(folder: Path) -> Path:
    return folder.with_name(folder.name + ".lock")


def _lock(path: Path, *, shared: bool) -> IO[bytes]:
    file = path.open("ab")
    fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    return file


def _try_lock(path: Path) -> IO[bytes] | None:
    """The lock if nobody has it; it is given back when the file is closed, or its process ends."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
