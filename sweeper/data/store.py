"""`open_dataset`: from a configuration to a decoded, split, memory-mapped data set."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np
import numpy.typing as npt
import torch

from sweeper.data.catalog import input_shape
from sweeper.data.dataset import Dataset, Split
from sweeper.data.decoded import FORMAT_VERSION, DecodedStore, OnProgress, read_store, write_store
from sweeper.data.sources import Source, find_source
from sweeper.data.splits import Parts, split_pictures, statistics
from sweeper.errors import DataError
from sweeper.study.config import DataConfig

__all__ = ["is_decoded", "open_dataset"]

_DIGITS = 20
"""Length of keys and fingerprints: 80 bits."""


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    parts: Parts
    mean_C: npt.NDArray[np.float32]
    deviation_C: npt.NDArray[np.float32]
    fingerprint: str


def open_dataset(
    config: DataConfig,
    *,
    cache_dir: Path,
    data_dir: Path | None = None,
    on_progress: OnProgress | None = None,
) -> Dataset:
    """Open a data set; the first time, find (or download), decode, resize and split it.

    What is decoded is kept in `cache_dir`/decoded and memory-mapped: all processes of a machine share one copy. Of
    processes that open the same data set at once, one decodes and the others wait. `data_dir` is where data sets are
    looked for first (`SWEEPER_DATA`). `on_progress(done, total)` is called while pictures are decoded, if they are.

    Raises DataError for a data set that is missing, unreadable or too small for the split asked for, and OSError where
    the cache cannot be written.
    """
    source = find_source(config, cache_dir=cache_dir, data_dir=data_dir)
    folder = cache_dir / "decoded" / f"{config.name}-{_store_key(config, source)}"
    split_key = _split_key(config)
    store = read_store(folder)
    prepared = None if store is None else _read_prepared(folder, split_key)
    if store is None or prepared is None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.with_name(folder.name + ".lock")):
            # Another process may have done it all while this one waited for the lock.
            store = read_store(folder) or write_store(folder, source.open(), on_progress)
            prepared = _read_prepared(folder, split_key) or _prepare(config, store, split_key)
    images_NCHW = torch.from_numpy(store.images_NCHW)
    labels_N = torch.from_numpy(store.labels_N)

    def split(indices_M: npt.NDArray[np.int64]) -> Split:
        return Split(images_NCHW=images_NCHW, labels_N=labels_N, indices_M=torch.from_numpy(indices_M))

    return Dataset(
        name=source.name,
        class_names=store.class_names,
        train=split(prepared.parts.train_M),
        validation=split(prepared.parts.validation_M),
        test=split(prepared.parts.test_M),
        mean_C=torch.from_numpy(prepared.mean_C),
        deviation_C=torch.from_numpy(prepared.deviation_C),
        fingerprint=prepared.fingerprint,
    )


def is_decoded(config: DataConfig, *, cache_dir: Path, data_dir: Path | None = None) -> bool:
    """Whether a data set lies decoded in the cache, so that opening it writes at most its split."""
    try:
        source = find_source(config, cache_dir=cache_dir, data_dir=data_dir)
    except DataError:
        return False
    return read_store(cache_dir / "decoded" / f"{config.name}-{_store_key(config, source)}") is not None


def _store_key(config: DataConfig, source: Source) -> str:
    # Options that change nothing (image_size: 28 on MNIST) share a store: the shape stands for them where it is known.
    pixels = input_shape(config) or ("as it is", config.grayscale)
    return _hash(FORMAT_VERSION, config.name, source.signature, pixels)


def _split_key(config: DataConfig) -> str:
    return _hash(config.train, config.validation, config.test, config.split_seed)


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_DIGITS]


def _prepare(config: DataConfig, store: DecodedStore, split_key: str) -> _Prepared:
    """Split, measure, and keep both beside the decoded pictures, so that workers import no scikit-learn."""
    parts = split_pictures(config, store.labels_N, n_test=store.n_test, class_names=store.class_names)
    mean_C, deviation_C = statistics(store.images_NCHW, parts.train_M)
    fingerprint = hashlib.sha256(store.content.encode())
    for part_M in (parts.train_M, parts.validation_M, parts.test_M):
        fingerprint.update(len(part_M).to_bytes(8, "little"))
        fingerprint.update(part_M.tobytes())
    prepared = _Prepared(
        parts=parts, mean_C=mean_C, deviation_C=deviation_C, fingerprint=fingerprint.hexdigest()[:_DIGITS]
    )
    path = _prepared_path(store.folder, split_key)
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(
            file,
            train=parts.train_M,
            validation=parts.validation_M,
            test=parts.test_M,
            mean=mean_C,
            deviation=deviation_C,
            fingerprint=np.array(prepared.fingerprint),
        )
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return prepared


def _read_prepared(folder: Path, split_key: str) -> _Prepared | None:
    try:
        with np.load(_prepared_path(folder, split_key)) as arrays:
            return _Prepared(
                parts=Parts(train_M=arrays["train"], validation_M=arrays["validation"], test_M=arrays["test"]),
                mean_C=arrays["mean"],
                deviation_C=arrays["deviation"],
                fingerprint=str(arrays["fingerprint"]),
            )
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):  # not there yet, or damaged
        return None


def _prepared_path(folder: Path, split_key: str) -> Path:
    return folder / "splits" / f"{split_key}.npz"
