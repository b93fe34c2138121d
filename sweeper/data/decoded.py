"""The decoded store on disk: pictures as one memory-mapped file, written once, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sweeper.data.sources import Pictures

__all__ = ["FORMAT_VERSION", "DecodedStore", "OnProgress", "read_store", "write_store"]

FORMAT_VERSION = 2
"""Part of every key: a new version reads nothing that an old one wrote."""

OnProgress: TypeAlias = Callable[[int, int], None]
"""Called with the number of pictures decoded so far and the number of all; always from the calling thread."""

_BLOCK = 64
"""Pictures a task of the thread pool: large enough that handing tasks out costs nothing."""


@dataclass(frozen=True, kw_only=True)
class DecodedStore:
    """A decoded data set, opened. Its arrays are mapped, not read: processes share the pages."""

    folder: Path
    class_names: tuple[str, ...]
    images_NCHW: npt.NDArray[np.uint8]
    labels_N: npt.NDArray[np.int64]
    """The source's own."""
    n_validation: int
    """How many pictures, before the test part, are the validation part; 0 where the source has none of its own."""
    n_test: int
    """How many of the last pictures are the test part; 0 where the source has no test set of its own."""
    targets_NT: npt.NDArray[np.float32] | None
    """Numbers to be predicted, for a regression."""
    content: str
    """SHA-256 of the pictures and their shape."""

    @property
    def ids_file(self) -> Path | None:
        """JSON list of what each picture is called; None where it is its index."""
        path = self.folder / "ids.json"
        return path if path.exists() else None


def read_store(folder: Path) -> DecodedStore | None:
    """Open the store in `folder`; None if there is none or it is damaged."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        # Mode "c" (copy on write) shares pages like "r", but gives torch the writable arrays it wants: a stray write
        # in place stays in its process instead of crashing it.
        store = DecodedStore(
            folder=folder,
            class_names=tuple(meta["class_names"]),
            images_NCHW=np.load(folder / "images.npy", mmap_mode="c"),
            labels_N=np.load(folder / "labels.npy", mmap_mode="c"),
            n_validation=meta["n_validation"],
            n_test=meta["n_test"],
            targets_NT=np.load(folder / "targets.npy", mmap_mode="c") if meta["has_targets"] else None,
            content=meta["content"],
        )
        intact = (
            store.images_NCHW.shape == tuple(meta["shape"])
            and store.labels_N.shape == (meta["shape"][0],)
            and (store.targets_NT is None or len(store.targets_NT) == meta["shape"][0])
            and (store.ids_file is not None) == meta["has_ids"]
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    return store if intact else None


def write_store(folder: Path, pictures: Pictures, on_progress: OnProgress | None) -> DecodedStore:
    """Decode `pictures` into `folder`, replacing what is there. The caller holds the store's lock.

    Everything is written to a folder beside it, which is renamed at the end. Being the only writer, it also removes
    what a writer that died left there.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        shape = (len(pictures.labels_N), *pictures.shape)
        digest = hashlib.sha256(json.dumps(shape).encode())
        with closing(_decode(pictures)) as blocks, (partial / "images.npy").open("wb") as file:
            # Written front to back, not through a memory map, where a full disk would kill the process with SIGBUS.
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            done = 0
            for block_BCHW in blocks:
                file.write(block_BCHW.data)
                digest.update(block_BCHW.data)
                done += len(block_BCHW)
                if on_progress is not None:
                    on_progress(done, shape[0])
            _to_disk(file)
        for name, values in (("labels", pictures.labels_N), ("targets", pictures.targets_NT)):
            if values is not None:
                with (partial / f"{name}.npy").open("wb") as file:
                    np.save(file, values)
                    _to_disk(file)
        if pictures.ids is not None:
            _write_json(partial / "ids.json", pictures.ids)
        meta = {
            "class_names": pictures.class_names,
            "n_validation": pictures.n_validation,
            "n_test": pictures.n_test,
            "shape": shape,
            "has_ids": pictures.ids is not None,
            "has_targets": pictures.targets_NT is not None,
            "content": digest.hexdigest(),
        }
        _write_json(partial / "meta.json", meta)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    store = read_store(folder)
    assert store is not None, f"the store just written to {folder} cannot be read"
    return store


def _decode(pictures: Pictures) -> Generator[npt.NDArray[np.uint8], None, None]:
    """Decode all pictures in order, in blocks of (B, C, H, W), on all cores, with few blocks waiting to be written."""
    n_pictures = len(pictures.labels_N)
    n_threads = min(32, os.cpu_count() or 1)

    def decode_block(start: int) -> npt.NDArray[np.uint8]:
        indices = range(start, min(start + _BLOCK, n_pictures))
        block_BCHW = np.empty((len(indices), *pictures.shape), dtype=np.uint8)
        for row, index in enumerate(indices):
            block_BCHW[row] = pictures.read(index)
        return block_BCHW

    waiting: deque[Future[npt.NDArray[np.uint8]]] = deque()
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="decode")
    try:
        for start in range(0, n_pictures, _BLOCK):
            waiting.append(pool.submit(decode_block, start))
            if len(waiting) > 2 * n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _write_json(path: Path, data: Any) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(data, file)
        _to_disk(file)


def _to_disk(file: IO[Any]) -> None:
    """Write a file out before its folder gets its final name, so that a power cut leaves no hollow store."""
    file.flush()
    os.fsync(file.fileno())
