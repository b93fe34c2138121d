"""Synthetic studies and a reader that holds them in memory."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from sweeper.errors import NotFoundError
from sweeper.report.study_data import StudyData
from sweeper.study.flatten import flatten
from sweeper.study.space import RandomSuggester, Space
from sweeper.tracking.histories import rows_at
from sweeper.tracking.records import RunRecord, StudyRecord

STL10 = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
START = datetime(2025, 3, 1, 14, 5, tzinfo=UTC)

TRIAL: dict[str, Any] = {
    "data": {"name": "digits", "validation": 0.15, "split_seed": 0, "augment": []},
    "model": {
        "name": "cnn",
        "blocks": {
            "repeat": {"min": 2, "max": 3},
            "of": {"channels": {"int": [6, 140], "log": True}, "pool": {"choice": [1, 2]}},
        },
        "hidden": [200, 100],
        "dropout": {"float": [0.0, 0.3]},
    },
    "training": {
        "epochs": 20,
        "batch_size": {"choice": [16, 32, 64, 128]},
        "optimizer": {
            "choice": [
                {"name": "adam", "lr": {"float": [1e-5, 3e-2], "log": True}, "betas": [0.9, 0.999]},
                {"name": "sgd", "lr": {"float": [1e-3, 1.0], "log": True}, "momentum": {"float": [0.0, 0.99]}},
            ]
        },
    },
    "seed": 0,
}


@dataclass
class MemoryReader:
    """A `RunReader` over what is in memory. It counts its calls, since each stands for a query or a request."""

    records: Mapping[str, StudyRecord] = field(default_factory=dict)
    histories: dict[str, dict[str, Sequence[float]]] = field(default_factory=dict)
    """Values of each metric by run id, from epoch 1."""
    artifacts: dict[tuple[str, str], bytes] = field(default_factory=dict)
    n_calls: int = 0

    def list_studies(self) -> list[str]:
        return sorted(self.records)

    def read_study(self, name: str) -> StudyRecord:
        if name not in self.records:
            raise NotFoundError(f"there is no study {name!r}")
        return self.records[name]

    def read_histories(self, run_ids: Sequence[str], metrics: Sequence[str] | None = None) -> pd.DataFrame:
        self.n_calls += 1
        rows = [
            (run_id, metric, epoch, float(value))
            for run_id in sorted(run_ids)
            for metric, values in sorted(self.histories.get(run_id, {}).items())
            if metrics is None or metric in metrics
            for epoch, value in enumerate(values, start=1)
        ]
        frame = pd.DataFrame(rows, columns=["run_id", "metric", "epoch", "value"])
        return frame.astype({"run_id": object, "metric": object, "epoch": "int64", "value": "float64"})

    def read_epochs(self, epochs: Mapping[str, int], metrics: Sequence[str]) -> pd.DataFrame:
        return rows_at(self.read_histories(list(epochs), metrics), epochs)

    def read_artifact(self, run: RunRecord, path: str) -> bytes | None:
        self.n_calls += 1
        return self.artifacts.get((run.run_id, path))


def study_definition(**changes: Any) -> dict[str, Any]:
    """A study in the form of a study file."""
    return {
        "name": "digits-cnn",
        "description": "A convolutional network on digits.",
        "objective": {"metric": "val/accuracy", "at": "best"},
        "sampler": {"name": "tpe", "seed": 7},
        "pruner": {"name": "median", "min_epochs": 3},
        "budget": {"trials": 40},
        "trial": TRIAL,
    } | changes


def make_run(number: int, *, study: str = "s", **changes: Any) -> RunRecord:
    """A complete run without history; `changes` are fields of `RunRecord`."""
    fields: dict[str, Any] = {
        "run_id": f"{study}-{number:03d}",
        "name": f"trial-{number:03d}",
        "number": number,
        "state": "COMPLETE",
        "value": 0.5,
        "params": {"training.optimizer.name": "adam", "training.optimizer.lr": 1e-3},
        "metrics": {},
        "tags": {},
        "start_time": START,
        "end_time": START + timedelta(seconds=60),
        "artifact_uri": "memory:/",
    }
    return RunRecord(**(fields | changes))


def open_study(record: StudyRecord, reader: MemoryReader, **options: Any) -> StudyData:
    """The study as a tracked one: each run has the last value of each metric in its history."""
    runs = [
        replace(
            run, metrics={m: v[-1] for m, v in reader.histories.get(run.run_id, {}).items() if v} | dict(run.metrics)
        )
        for run in record.runs
    ]
    return StudyData(replace(record, runs=runs), reader, **options)


def make_record(runs: Sequence[RunRecord], **changes: Any) -> StudyRecord:
    """A study over some runs; `changes` are fields of the study file."""
    study = study_definition(**changes)
    return StudyRecord(
        name=study["name"],
        experiment_id="1",
        study=study,
        parent_run_id=None,
        tags={"sweeper.commit": "0" * 40},
        runs=runs,
    )


def data_json(class_names: Sequence[str], counts: Mapping[str, Sequence[int]], fingerprint: str = "ab" * 32) -> bytes:
    """The artifact `data.json`."""
    return json.dumps(
        {
            "name": "digits",
            "class_names": list(class_names),
            "counts": {part: list(values) for part, values in counts.items()},
            "fingerprint": fingerprint,
            "input_shape": [3, 64, 64],
            "split_seed": 0,
        }
    ).encode()


def _confusion(rng: random.Random, counts: Sequence[int], accuracies: Sequence[float]) -> list[list[int]]:
    matrix = []
    for truth, (n, accuracy) in enumerate(zip(counts, accuracies, strict=True)):
        line = [0] * len(counts)
        line[truth] = round(n * accuracy)
        for _ in range(n - line[truth]):
            line[(truth + rng.choice((1, 1, 2, 5))) % len(counts)] += 1
        matrix.append(line)
    return matrix


def synthetic(
    name: str = "digits-cnn",
    *,
    n_trials: int = 40,
    n_epochs: int = 20,
    class_names: Sequence[str] = STL10,
    seed: int = 1,
    skill: float = 0.6,
    **changes: Any,
) -> tuple[StudyRecord, MemoryReader]:
    """A study as a sweep would leave it: complete, pruned and failed trials with learning curves of each class."""
    rng = random.Random(seed)
    reader = MemoryReader()
    definition = study_definition(name=name, budget={"trials": n_trials}, **changes)
    space, suggester = Space.parse(definition["trial"]), RandomSuggester(seed)
    counts = {"train": [425] * len(class_names), "val": [75] * len(class_names), "test": [800] * len(class_names)}
    runs, start = [], START
    for number in range(n_trials):
        tree = space.draw(suggester).tree
        optimizer = tree["training"]["optimizer"]
        centre = 1e-3 if optimizer["name"] == "adam" else 3e-2
        quality = skill - 0.09 * abs(math.log10(optimizer["lr"] / centre)) + rng.gauss(0, 0.015)
        failed, pruned = number % 13 == 12, number % 5 == 4 and number % 13 != 12
        length = 2 if failed else max(3, n_epochs // 4) if pruned else n_epochs
        histories: dict[str, list[float]] = {"lr": [optimizer["lr"]] * length, "seconds": [1.5] * length}
        histories["pictures_per_second"] = [2833.0] * length
        for part, lift in (("train", 0.12), ("val", 0.0)):
            classes = {c: (hash_free(c, i) - 0.5) * 0.2 for i, c in enumerate(class_names)}
            for i, (class_name, offset) in enumerate(classes.items()):
                top = min(max(quality + lift + offset, 0.02), 0.995)
                curve = [
                    min(max(top * (1 - math.exp(-(e + 1) / (4 + i % 4))) + rng.gauss(0, 0.008), 0.0), 1.0)
                    for e in range(length)
                ]
                curve = [round(v * counts[part][i]) / counts[part][i] for v in curve]
                histories[f"{part}/accuracy/{class_name}"] = curve
            per_epoch = [
                sum(histories[f"{part}/accuracy/{c}"][e] for c in class_names) / len(class_names) for e in range(length)
            ]
            histories[f"{part}/accuracy"] = histories[f"{part}/balanced_accuracy"] = per_epoch
            rise = 0.02 if part == "val" else 0.0
            histories[f"{part}/loss"] = [2.3 * (1 - v) + rise * e for e, v in enumerate(per_epoch)]
            histories[f"{part}/auc"] = [0.5 + v / 2 for v in per_epoch]
        run_id = f"{name}-{rng.getrandbits(64):016x}"
        reader.histories[run_id] = histories
        best_epoch = max(range(length), key=lambda e: histories["val/accuracy"][e]) + 1
        reasons = [
            "diverged: the loss became nan at epoch 2",
            "RuntimeError: CUDA error at /home/me/sweeper/loop.py:12\n...",
        ]
        tags = {
            "sweeper.best_epoch": str(best_epoch),
            "sweeper.attempt": "1",
            "sweeper.device": f"cuda:{number % 2}",
            "sweeper.host": "node-1",
            "sweeper.commit": "0123456789abcdef" * 2,
            "sweeper.dirty": "false",
            "sweeper.n_parameters": str(100_000 + 1000 * number),
            "sweeper.torch": "2.6.0",
            "sweeper.python": "3.11.9",
        }
        if failed:
            tags["sweeper.reason"] = reasons[number // 13 % 2]
        run = make_run(
            number,
            run_id=run_id,
            state="FAIL" if failed else "PRUNED" if pruned else "COMPLETE",
            value=None if failed else histories["val/accuracy"][best_epoch - 1],
            params=flatten(tree),
            metrics={metric: values[-1] for metric, values in histories.items()},
            tags=tags,
            start_time=start,
            end_time=start + timedelta(seconds=1.6 * length),
        )
        start += timedelta(seconds=0.9 * length)
        runs.append(run)
        reader.artifacts[run_id, "data.json"] = data_json(class_names, counts)
        matrices = {
            part: _confusion(
                rng, counts[part], [histories[f"{part}/accuracy/{c}"][best_epoch - 1] for c in class_names]
            )
            for part in ("train", "val")
        }
        reader.artifacts[run_id, "confusion.json"] = json.dumps(
            {"class_names": list(class_names), "epoch": best_epoch, **matrices}
        ).encode()
        reader.artifacts[run_id, "layers.json"] = json.dumps(
            [
                {"name": "blocks.0.conv", "kind": "Conv2d", "output_shape": [16, 62, 62], "n_parameters": 448},
                {"name": "head", "kind": "Linear", "output_shape": [10], "n_parameters": 1010},
            ]
        ).encode()
    record = StudyRecord(name=name, experiment_id="1", study=definition, parent_run_id=None, tags={}, runs=runs)
    reader.records = {name: record}
    return record, reader


def hash_free(text: str, index: int) -> float:
    """A number from 0 to 1 that depends on a text and an index alone; `hash` differs between processes."""
    return random.Random(f"{text}/{index}").random()


def merged(*readers: MemoryReader) -> MemoryReader:
    """One reader over several studies."""
    return MemoryReader(
        records={name: record for reader in readers for name, record in reader.records.items()},
        histories={run_id: h for reader in readers for run_id, h in reader.histories.items()},
        artifacts={key: a for reader in readers for key, a in reader.artifacts.items()},
    )


def shuffled(record: StudyRecord, seed: int = 3) -> StudyRecord:
    """The same study with runs, parameters, metrics and tags in another order."""
    rng = random.Random(seed)

    def mixed(mapping: Mapping[str, Any]) -> dict[str, Any]:
        items = list(mapping.items())
        rng.shuffle(items)
        return dict(items)

    runs = [replace(r, params=mixed(r.params), metrics=mixed(r.metrics), tags=mixed(r.tags)) for r in record.runs]
    rng.shuffle(runs)
    return replace(record, runs=runs)
