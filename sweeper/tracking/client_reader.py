"""Reads tracked studies through MLflow's client, as from a server."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlparse

import pandas as pd
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from requests.exceptions import RequestException

from sweeper.errors import NotFoundError, TrackingError
from sweeper.masking import without_passwords
from sweeper.tracking.bulk_requests import MAX_RUNS, read_bulk
from sweeper.tracking.denied import access_error
from sweeper.tracking.histories import HistoryBuilder, rows_at
from sweeper.tracking.mlflow import reason_of, translated
from sweeper.tracking.names import metric_name, original_name
from sweeper.tracking.reading import build_study, local_artifact
from sweeper.tracking.records import RunRecord, StudyRecord

__all__ = ["ClientRunReader", "download_artifact"]

_EXPERIMENTS_PER_PAGE = 1000
_RUNS_PER_PAGE = 200
"""A server needs some 5 ms of CPU for each run of a hundred parameters, tags and metrics; a request has 30 s."""
_CONNECTIONS = 8

Columns: TypeAlias = tuple[list[Any], ...]
"""Run, metric, epoch, timestamp and value of some rows."""


class ClientRunReader:
    """Implements `RunReader` through `MlflowClient`."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._client = MlflowClient(tracking_uri=uri)

    @translated
    def list_studies(self) -> list[str]:
        names = {e.experiment_id: e.name for e in self._experiments() if "sweeper.study" in e.tags}
        parents = self._runs(list(names), "tags.`sweeper.role` = 'study'") if names else ()
        return sorted({names[run.info.experiment_id] for run in parents})

    def _experiments(self) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_experiments(max_results=_EXPERIMENTS_PER_PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    @translated
    def read_study(self, name: str) -> StudyRecord:
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None or experiment.lifecycle_stage != "active":
            known = ", ".join(self.list_studies()) or "none"
            raise NotFoundError(f"no tracked study {name!r} at {without_passwords(self.uri)}; studies there: {known}")
        runs = [_as_data(run) for run in self._runs([experiment.experiment_id])]
        return build_study(name, str(experiment.experiment_id), runs, self._read_artifact_of)

    def _runs(self, experiment_ids: list[str], filter_string: str = "") -> Iterator[Run]:
        token = None
        while True:
            page = self._client.search_runs(experiment_ids, filter_string, max_results=_RUNS_PER_PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    @translated
    def read_histories(self, run_ids: Sequence[str], metrics: Sequence[str] | None = None) -> pd.DataFrame:
        originals = None if metrics is None else {metric_name(metric): metric for metric in metrics}
        runs_of: dict[str, list[str]] = defaultdict(list)
        builder = HistoryBuilder(run_ids)
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            if originals is None:
                for run_id, run in zip(run_ids, pool.map(self._client.get_run, run_ids), strict=True):
                    for name in run.data.metrics:
                        runs_of[name].append(run_id)
            else:
                runs_of |= {name: list(run_ids) for name in originals}
            pieces = [
                (runs[start : start + MAX_RUNS], name)
                for name, runs in runs_of.items()
                for start in range(0, len(runs), MAX_RUNS)
            ]
            for rows in pool.map(self._read_piece, pieces):
                for columns in rows:
                    builder.add(*columns)
        return builder.frame(original_name if originals is None else originals.__getitem__)

    def _read_piece(self, piece: tuple[Sequence[str], str]) -> list[Columns]:
        """All rows of one metric of some runs."""
        run_ids, name = piece
        if urlparse(self.uri).scheme not in ("http", "https"):
            return [self._read_one(run_id, name) for run_id in run_ids]
        found: list[Columns] = []
        for some_ids, rows in read_bulk(self.uri, run_ids, name):
            if rows is None:
                found += [self._read_one(run_id, name) for run_id in some_ids]
            else:
                run_column, *columns = ([row[key] for row in rows] for key in ("run_id", "step", "timestamp", "value"))
                found.append((run_column, [name] * len(rows), *columns))
        return found

    def _read_one(self, run_id: str, name: str) -> Columns:
        history = self._client.get_metric_history(run_id, name)
        columns = ([getattr(metric, key) for metric in history] for key in ("step", "timestamp", "value"))
        return ([run_id] * len(history), [name] * len(history), *columns)

    @translated
    def read_epochs(self, epochs: Mapping[str, int], metrics: Sequence[str]) -> pd.DataFrame:
        return rows_at(self.read_histories(list(epochs), metrics), epochs)

    @translated
    def read_artifact(self, run: RunRecord, path: str) -> bytes | None:
        return self._read_artifact_of(run.artifact_uri, path)

    def _read_artifact_of(self, artifact_uri: str, path: str) -> bytes | None:
        file = local_artifact(artifact_uri, path)
        if file is not None:
            return file.read_bytes() if file.is_file() else None
        return download_artifact(artifact_uri, path, self.uri)


def _as_data(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.info.run_id,
        "name": run.info.run_name,
        "start_time": run.info.start_time,
        "end_time": run.info.end_time,
        "artifact_uri": run.info.artifact_uri,
        "params": run.data.params,
        "metrics": run.data.metrics,
        "tags": run.data.tags,
    }


def download_artifact(artifact_uri: str, path: str, tracking_uri: str) -> bytes | None:
    """An artifact from any store that MLflow knows; None where there is none of that path.

    Raises:
        AccessError: The store denies it.
        TrackingError: The store cannot be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            file = download_artifacts(
                artifact_uri=f"{artifact_uri.rstrip('/')}/{path}", dst_path=folder, tracking_uri=tracking_uri
            )
            return Path(file).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            return None
        except (MlflowException, RequestException) as error:
            if _says_missing(error):
                return None
            raise access_error(error, tracking_uri) or TrackingError(f"MLflow: {reason_of(error)}") from error


def _says_missing(error: MlflowException | RequestException) -> bool:
    if isinstance(error, RequestException):
        return getattr(error.response, "status_code", None) == 404
    return any(words in str(error) for words in ("404", "not exist", "No such"))
