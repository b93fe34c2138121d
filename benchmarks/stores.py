"""Stores of any size to measure on: a study with its trials in Optuna's database and its runs in MLflow's.

Everything there is once (the study, its experiment, its parent run) is written by the project's own code. The trials
are drawn from the study's space by Optuna. Their runs go into MLflow's tables in bulk, through SQLAlchemy and MLflow's
own models, since a thousand runs through its client take minutes; a test holds them to what the recorder writes.
Learning curves are made up. The same arguments give the same runs, ids included.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import numpy as np
import optuna
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag
from optuna.storages._rdb.models import TrialIntermediateValueModel, TrialModel, TrialParamModel, TrialValueModel
from sqlalchemy import Connection, create_engine, insert, select

from benchmarks.curves import CLASSES, N_PICTURES, make_curves
from sweeper.study.config import TrialConfig
from sweeper.study.flatten import encode, flatten
from sweeper.study.study import Study
from sweeper.sweep.record import connect_tracker, study_info
from sweeper.sweep.store import open_store
from sweeper.tracking.outbox import Row
from sweeper.tracking.provenance import provenance_tags
from sweeper.tracking.recording import Parent, record_study, record_study_status
from sweeper.tracking.tracker import STATUS_OF_STATE
from sweeper.tracking.workspace import Workspace

__all__ = ["CLASSES", "MadeTrial", "fill_store", "make_study", "make_trials"]

START_MS = 1_760_000_000_000
EPOCH_MS = 1_500
RUNS_PER_INSERT = 50


def make_study(name: str, *, n_trials: int) -> Study:
    """A search over convolutional networks on four classes of STL-10, with branches and lengths that vary."""
    channels = {"int": [6, 140], "log": True}
    rate = {"float": [1e-4, 1e-2], "log": True}
    decay = {"float": [1e-5, 5e-3], "log": True}
    return Study.model_validate(
        {
            "name": name,
            "objective": {"metric": "val/accuracy", "at": "best"},
            "sampler": {"name": "random", "seed": 1},
            "budget": {"trials": n_trials},
            "trial": {
                "data": {"name": "stl10", "classes": list(CLASSES), "image_size": 64, "augment": ["horizontal_flip"]},
                "model": {
                    "name": "cnn",
                    "blocks": {
                        "repeat": {"min": 2, "max": 3},
                        "of": {"channels": channels, "pool": {"choice": [1, 2]}},
                    },
                    "pooling": {"choice": ["max", "average"]},
                    "hidden": [{"int": [100, 400], "log": True}, {"int": [50, 200], "log": True}],
                    "dropout": [{"float": [0.0, 0.5]}, {"float": [0.0, 0.3]}],
                },
                "training": {
                    "epochs": 50,
                    "batch_size": {"choice": [16, 32, 64, 128, 256, 512]},
                    "loss": {"choice": ["cross_entropy", "nll"]},
                    "optimizer": {
                        "choice": [
                            {"name": "adam", "lr": rate, "weight_decay": decay},
                            {
                                "name": "sgd",
                                "lr": {"float": [1e-3, 0.3], "log": True},
                                "momentum": {"float": [0.0, 0.95]},
                                "weight_decay": decay,
                            },
                            {"name": "rmsprop", "lr": rate, "weight_decay": decay},
                        ]
                    },
                },
            },
        }
    )


@dataclass(frozen=True, kw_only=True)
class MadeTrial:
    """A trial that has ended, as the recorder and Optuna would be told of it."""

    number: int
    run_id: str
    """The same in every store that is made."""
    key: str
    name: str
    start_time_ms: int
    end_time_ms: int
    state: str
    params: Mapping[str, Any]
    tags: Mapping[str, str]
    """Of the run when it begins."""
    end_tags: Mapping[str, str]
    """Added when it ends."""
    rows: tuple[Row, ...]
    artifacts: Mapping[str, Any]
    """JSON, by the name of its file."""
    frozen: optuna.trial.FrozenTrial
    """As Optuna stores it."""


def make_trials(
    study: Study, uuid: str, *, n_trials: int, n_epochs: int, tags: Mapping[str, str]
) -> Iterator[MadeTrial]:
    """Trials of a study, one in 25 failed, the others complete; each has `n_epochs` epochs of 20 metrics."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    asked = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))
    for number in range(n_trials):
        trial = asked.ask()
        draw = study.trial.draw(trial)
        config = TrialConfig.model_validate(draw.tree)
        values = make_curves(config, n_epochs, seed=number)
        failed = number % 25 == 24
        best = int(np.argmax(values["val/accuracy"]))
        start = START_MS + number * EPOCH_MS * n_epochs // 2
        for epoch, value in enumerate(values["val/accuracy"].tolist(), start=1):
            trial.report(value, epoch)
        value = float(values["objective"][-1])
        state = optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE
        asked.tell(trial, None if failed else value, state=state)
        per_epoch = zip(*(column.tolist() for column in values.values()), strict=True)
        yield MadeTrial(
            number=number,
            run_id=hashlib.sha256(f"{study.name}/{number}".encode()).hexdigest()[:32],
            key=f"{uuid}/{number}",
            name=f"trial-{number:03d}",
            start_time_ms=start,
            end_time_ms=start + EPOCH_MS * n_epochs,
            state="FAIL" if failed else "COMPLETE",
            params=flatten(config.model_dump(mode="json")),
            tags={
                **tags,
                "sweeper.number": str(number),
                "sweeper.state": "RUNNING",
                "sweeper.attempt": "1",
                "mlflow.note.content": "\n".join(f"- `{key}`: {value}" for key, value in draw.params.items()),
            },
            end_tags={
                "sweeper.attempt": "1",
                "sweeper.best_epoch": str(best + 1),
                "sweeper.device": "cpu",
                "sweeper.data_fingerprint": "b484d61808ba50589802",
                "sweeper.n_parameters": str(10_000 + 17 * number),
                "sweeper.n_threads": "1",
                **({"sweeper.reason": "diverged: the loss became nan"} if failed else {"sweeper.value": repr(value)}),
            },
            rows=tuple(
                Row(
                    epoch=epoch,
                    timestamp_ms=start + EPOCH_MS * epoch,
                    values=dict(zip(values, row, strict=True)),
                )
                for epoch, row in enumerate(per_epoch, start=1)
            ),
            artifacts=make_artifacts(values, best),
            frozen=asked._storage.get_trial(trial._trial_id),
        )


def make_artifacts(values: Mapping[str, np.ndarray], best: int) -> dict[str, Any]:
    """What a report reads of a run besides its metrics."""

    def matrix(part: str) -> list[list[int]]:
        lines = []
        for truth, name in enumerate(CLASSES):
            right = round(float(values[f"{part}/accuracy/{name}"][best]) * N_PICTURES[part])
            line = [0] * len(CLASSES)
            line[truth], line[(truth + 1) % len(CLASSES)] = right, N_PICTURES[part] - right
            lines.append(line)
        return lines

    return {
        "data.json": {
            "name": "stl10",
            "task": "classification",
            "class_names": CLASSES,
            "output_names": [],
            "counts": {part: [n] * len(CLASSES) for part, n in N_PICTURES.items()},
            "fingerprint": "b484d61808ba50589802",
            "input_shape": [3, 64, 64],
            "split_seed": 0,
        },
        "confusion.json": {"class_names": CLASSES, "epoch": best + 1, "train": matrix("train"), "val": matrix("val")},
        "layers.json": [
            {"name": "blocks.0.conv", "kind": "Conv2d", "output_shape": [16, 62, 62], "n_parameters": 448},
            {"name": "head", "kind": "Linear", "output_shape": [len(CLASSES)], "n_parameters": 404},
        ],
    }


def fill_store(
    workspace: Workspace,
    study: Study,
    *,
    n_epochs: int = 50,
    database_url: str | None = None,
    artifacts: Path | None = None,
    with_optuna: bool = True,
) -> None:
    """A study with all of its trials, in an empty workspace.

    Args:
        workspace: Where it is tracked.
        study: Its budget says how many trials there are.
        n_epochs: Of each trial.
        database_url: Of MLflow's database, where it is tracked through a server.
        artifacts: The folder that the server keeps artifacts in, where it is tracked through one.
        with_optuna: Whether the trials go into Optuna's database too; reports do not read it.
    """
    workspace.storage_lock.parent.mkdir(parents=True, exist_ok=True)
    with chdir(workspace.root):  # as a sweep would be: MLflow's client keeps artifacts beside some databases there
        tracker = connect_tracker(workspace)
    store = open_store(workspace, create=True)
    store.create(study, n_trials=study.n_trials)
    stored = store.read(study.name)
    study_id = store.storage.get_study_id_from_name(study.name)
    files = workspace.study_files(study.name, stored.uuid)
    tags = provenance_tags(workspace.root)
    parent = record_study(tracker, files, study_info(files, stored, tags))
    made = make_trials(study, stored.uuid, n_trials=study.n_trials, n_epochs=n_epochs, tags=tags)
    engine = create_engine(database_url or workspace.tracking_uri)
    with engine.begin() as connection:
        parent_uri = connection.scalar(select(SqlRun.artifact_uri).where(SqlRun.run_uuid == parent.run_id))
    root_uri = str(parent_uri).partition(f"/{parent.run_id}/")[0]
    root = artifacts / parent.experiment_id if artifacts else workspace.root / url2pathname(urlparse(root_uri).path)
    while batch := list(islice(made, RUNS_PER_INSERT)):
        with engine.begin() as connection:
            insert_runs(connection, batch, parent, root_uri)
        if with_optuna:
            with create_engine(workspace.storage_url).begin() as connection:
                insert_trials(connection, batch, study_id)
        for trial in batch:
            folder = root / trial.run_id / "artifacts"
            folder.mkdir(parents=True)
            for name, content in trial.artifacts.items():
                (folder / name).write_text(json.dumps(content))
    engine.dispose()
    record_study_status(tracker, files, parent, "FINISHED", START_MS + EPOCH_MS * n_epochs * study.n_trials)


def insert_runs(connection: Connection, trials: Sequence[MadeTrial], parent: Parent, root_uri: str) -> None:
    """Put runs into MLflow's tables, as its client would."""
    runs, params, tags, metrics, latest = [], [], [], [], []
    for trial in trials:
        run = {"run_uuid": trial.run_id}
        runs.append(
            run
            | {
                "name": trial.name,
                "source_type": "UNKNOWN",
                "source_name": "",
                "entry_point_name": "",
                "source_version": "",
                "user_id": "unknown",
                "status": STATUS_OF_STATE[trial.state],
                "start_time": trial.start_time_ms,
                "end_time": trial.end_time_ms,
                "lifecycle_stage": "active",
                "artifact_uri": f"{root_uri}/{trial.run_id}/artifacts",
                "experiment_id": int(parent.experiment_id),
            }
        )
        params += [run | {"key": key, "value": encode(value)} for key, value in trial.params.items()]
        all_tags = {
            **trial.tags,
            "sweeper.trial": trial.key,
            "mlflow.parentRunId": parent.run_id,
            "mlflow.runName": trial.name,
            "sweeper.state": trial.state,
            **trial.end_tags,
        }
        tags += [run | {"key": key, "value": value} for key, value in all_tags.items()]
        for row in trial.rows:
            at = run | {"timestamp": row.timestamp_ms, "step": row.epoch, "is_nan": False}
            metrics += [at | {"key": key, "value": value} for key, value in row.values.items()]
        latest += metrics[len(metrics) - len(trial.rows[-1].values) :]
    tables = {SqlRun: runs, SqlParam: params, SqlTag: tags, SqlMetric: metrics, SqlLatestMetric: latest}
    for table, rows in tables.items():
        connection.execute(insert(table.__table__), rows)


def insert_trials(connection: Connection, trials: Sequence[MadeTrial], study_id: int) -> None:
    """Put trials into the tables of Optuna's database, as Optuna would."""
    heads, values, params, intermediate = [], [], [], []
    for trial in trials:
        frozen = trial.frozen
        of_trial = {"trial_id": frozen.number + 1}
        heads.append(
            of_trial
            | {
                "number": frozen.number,
                "study_id": study_id,
                "state": frozen.state,
                "datetime_start": frozen.datetime_start,
                "datetime_complete": frozen.datetime_complete,
            }
        )
        if frozen.value is not None:
            values.append(of_trial | {"objective": 0, "value": frozen.value, "value_type": "FINITE"})
        params += [
            of_trial
            | {
                "param_name": name,
                "param_value": distribution.to_internal_repr(frozen.params[name]),
                "distribution_json": optuna.distributions.distribution_to_json(distribution),
            }
            for name, distribution in frozen.distributions.items()
        ]
        intermediate += [
            of_trial | {"step": step, "intermediate_value": value, "intermediate_value_type": "FINITE"}
            for step, value in frozen.intermediate_values.items()
        ]
    tables = {TrialModel: heads, TrialValueModel: values, TrialParamModel: params}
    for table, rows in (tables | {TrialIntermediateValueModel: intermediate}).items():
        connection.execute(insert(table.__table__), rows)
