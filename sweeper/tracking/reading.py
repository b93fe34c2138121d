"""Reading tracked studies back, from MLflow's database in bulk or through an MLflow server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from sweeper.errors import NotFoundError, TrackingError
from sweeper.study.flatten import decode
from sweeper.tracking.names import original_name
from sweeper.tracking.records import RunReader, RunRecord, StudyRecord

__all__ = ["open_reader"]

KEY_TAG = "sweeper.trial"
OBJECTIVE_METRIC = "objective"


def open_reader(tracking_uri: str) -> RunReader:
    """A reader of the studies tracked at a URI: a database URL, or a server's address.

    Raises:
        NotFoundError: There is no database at the URL yet.
        TrackingError: The server or the database cannot be reached.
    """
    if urlparse(tracking_uri).scheme in ("http", "https"):
        from sweeper.tracking.client_reader import ClientRunReader  # MLflow takes seconds to import

        return ClientRunReader(tracking_uri)
    from sweeper.tracking.sql_reader import SqlRunReader

    return SqlRunReader(tracking_uri)


def build_study(name: str, experiment_id: str, runs: Iterable[Mapping[str, Any]], read_artifact: Any) -> StudyRecord:
    """A study from its runs as plain data: run_id, name, status, start_time, end_time (ms), artifact_uri, params,
    metrics, tags.

    Where an experiment holds several studies of that name (one deleted and started anew), the last one counts.

    Raises:
        NotFoundError: No run of the experiment is a study's parent run.
    """
    runs = list(runs)
    parents = [run for run in runs if run["tags"].get("sweeper.role") == "study"]
    if not parents:
        raise NotFoundError(f"no tracked study {name!r}: the MLflow experiment of that name holds none")
    parent = max(parents, key=lambda run: (run["start_time"] or 0, run["run_id"]))
    uuid = parent["tags"]["sweeper.study_uuid"]
    known: dict[str, Any] = {}
    records = [_record(run, known) for run in runs if run["tags"].get(KEY_TAG, "").startswith(f"{uuid}/")]
    study = read_artifact(parent["artifact_uri"], "study.json")
    return StudyRecord(
        name=name,
        experiment_id=experiment_id,
        study={} if study is None else json.loads(study),
        parent_run_id=parent["run_id"],
        tags=dict(parent["tags"]),
        runs=tuple(sorted(records, key=lambda record: (record.number, record.run_id))),
        artifact_uri=parent["artifact_uri"],
    )


def _record(run: Mapping[str, Any], known: dict[str, Any]) -> RunRecord:
    tags: Mapping[str, str] = run["tags"]
    state = tags.get("sweeper.state", "RUNNING")
    value = run["metrics"].get(OBJECTIVE_METRIC)
    return RunRecord(
        run_id=run["run_id"],
        name=run["name"],
        number=int(tags[KEY_TAG].rpartition("/")[2]),
        state=state,
        value=None if state == "FAIL" else value,
        params={key: _decoded(text, known) for key, text in sorted(run["params"].items())},
        metrics=dict(sorted((original_name(key), value) for key, value in run["metrics"].items())),
        tags=dict(sorted(tags.items())),
        start_time=_time(run["start_time"]),
        end_time=_time(run["end_time"]),
        artifact_uri=run["artifact_uri"],
    )


def _decoded(text: str, known: dict[str, Any]) -> Any:
    """The value of a parameter. Runs share most of them; lists, which can be changed, each has for itself."""
    if text in known:
        return known[text]
    value = decode(text)
    if not isinstance(value, list | dict):
        known[text] = value
    return value


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def local_artifact(artifact_uri: str, path: str) -> Path | None:
    """The file of an artifact that lies on this machine; None for other stores.

    Raises:
        TrackingError: The path leads out of the run's artifacts, by `..` or by a link.
    """
    parsed = urlparse(artifact_uri)
    if parsed.scheme == "file":
        root = Path(url2pathname(parsed.path))
    elif parsed.scheme == "" or (os.name == "nt" and len(parsed.scheme) == 1):
        root = Path(artifact_uri)
    else:
        return None
    file = (root / path).resolve()
    if not file.is_relative_to(root.resolve()):
        raise TrackingError(f"the artifact path {path!r} leads out of the run's artifacts")
    return file
