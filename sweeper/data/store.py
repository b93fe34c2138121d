"""`open_dataset`: from a configuration to a decoded, split, memory-mapped data set."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import filelock
import numpy as np
import numpy.typing as npt
import torch

from sweeper.data.assignment import Assignment, Parts, assign_pictures
from sweeper.data.catalog import input_shape, output_names
from sweeper.data.dataset import Dataset, Split
from sweeper.data.decoded import FORMAT_VERSION, DecodedStore, OnProgress, read_store, write_store
from sweeper.data.sources import Source, find_source
from sweeper.data.splits import statistics
from sweeper.errors import DataError
from sweeper.study.config import DataConfig

__all__ = ["is_decoded", "open_dataset"]

_DIGITS = 20
"""Length of keys and fingerprints: 80 bits."""


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    assignment: Assignment
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
    assignment, parts = prepared.assignment, prepared.assignment.parts
    labels_N = torch.from_numpy(assignment.labels_N)
    true_labels_N = None if assignment.true_labels_N is None else torch.from_numpy(assignment.true_labels_N)
    targets_NT = None if store.targets_NT is None else torch.from_numpy(store.targets_NT)

    def split(indices_M: npt.NDArray[np.int64]) -> Split:
        return Split(
            images_NCHW=images_NCHW,
            labels_N=labels_N,
            indices_M=torch.from_numpy(indices_M),
            true_labels_N=true_labels_N,
            targets_NT=targets_NT,
        )

    return Dataset(
        name=source.name,
        class_names=assignment.class_names,
        train=split(parts.train_M),
        validation=split(parts.validation_M),
        test=split(parts.test_M),
        mean_C=torch.from_numpy(prepared.mean_C),
        deviation_C=torch.from_numpy(prepared.deviation_C),
        fingerprint=prepared.fingerprint,
        content=store.content,
        output_names=output_names(config),
        ids_file=store.ids_file,
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
    return _hash(FORMAT_VERSION, config.name, source.signature, pixels, config.resize)


def _split_key(config: DataConfig) -> str:
    # Everything else decides about labels and parts, by its contents where it is a file.
    rest = config.model_dump(
        mode="json", exclude={"name", "path", "image_size", "resize", "grayscale", "normalize", "augment", "relabel"}
    )
    relabel = None
    if config.relabel is not None:
        try:
            relabel = hashlib.sha256(Path(config.relabel).read_bytes()).hexdigest()
        except OSError as error:
            raise DataError(f"data.relabel: {config.relabel} cannot be read ({error})") from error
    # The order of a mapping counts: which wrong label is drawn first.
    return _hash(rest, relabel)


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_DIGITS]


def _prepare(config: DataConfig, store: DecodedStore, split_key: str) -> _Prepared:
    """Assign, measure, and keep both beside the decoded pictures, so that workers import no scikit-learn."""

    def ids() -> Sequence[str]:
        path = store.ids_file
        if path is None:
            return [str(index) for index in range(len(store.labels_N))]
        return cast("list[str]", json.loads(path.read_text(encoding="utf-8")))

    assignment = assign_pictures(
        config,
        store.labels_N,
        own_names=store.class_names,
        n_validation=store.n_validation,
        n_test=store.n_test,
        ids=ids,
    )
    mean_C, deviation_C = statistics(store.images_NCHW, assignment.parts.train_M)
    prepared = _Prepared(
        assignment=assignment,
        mean_C=mean_C,
        deviation_C=deviation_C,
        fingerprint=_fingerprint(store, assignment),
    )
    path = _prepared_path(store.folder, split_key)
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    none = np.empty(0, dtype=np.int64)
    with partial.open("wb") as file:
        np.savez(
            file,
            class_names=np.array(json.dumps(assignment.class_names)),
            labels=assignment.labels_N,
            true_labels=none if assignment.true_labels_N is None else assignment.true_labels_N,
            train=assignment.parts.train_M,
            validation=assignment.parts.validation_M,
            test=assignment.parts.test_M,
            mean=mean_C,
            deviation=deviation_C,
            fingerprint=np.array(prepared.fingerprint),
        )
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return prepared


def _fingerprint(store: DecodedStore, assignment: Assignment) -> str:
    digest = hashlib.sha256(json.dumps([store.content, assignment.class_names]).encode())
    parts = assignment.parts
    for part_M in (parts.train_M, parts.validation_M, parts.test_M):
        digest.update(len(part_M).to_bytes(8, "little"))
        digest.update(part_M.tobytes())
        for values in (assignment.labels_N, assignment.true_labels_N, store.targets_NT):
            digest.update(b"-" if values is None else np.ascontiguousarray(values[part_M]).tobytes())
    return digest.hexdigest()[:_DIGITS]


def _read_prepared(folder: Path, split_key: str) -> _Prepared | None:
    try:
        with np.load(_prepared_path(folder, split_key)) as arrays:
            true_labels_N = arrays["true_labels"]
            return _Prepared(
                assignment=Assignment(
                    class_names=tuple(json.loads(str(arrays["class_names"]))),
                    labels_N=arrays["labels"],
                    true_labels_N=true_labels_N if len(true_labels_N) else None,
                    parts=Parts(train_M=arrays["train"], validation_M=arrays["validation"], test_M=arrays["test"]),
                ),
                mean_C=arrays["mean"],
                deviation_C=arrays["deviation"],
                fingerprint=str(arrays["fingerprint"]),
            )
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):  # not there yet, or damaged
        return None


def _prepared_path(folder: Path, split_key: str) -> Path:
    return folder / "splits" / f"{split_key}.npz"
