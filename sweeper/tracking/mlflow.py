"""The tracker on MLflow: a database URL or a server's address. Only the low-level client, no global run."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

# Each request is sent once: a request that MLflow repeats by itself after a lost answer would make a second run.
# The recorder retries, and looks first. Set before MLflow is imported, which reads it then.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
# Else the address of each run that ends is printed into what we show.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# One bar for each artifact that a report reads from a server.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# Nobody asked for usage data to leave the machine.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
import psutil
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.db.utils import _safe_initialize_tables as initialize_tables
from requests.exceptions import RequestException
from sqlalchemy import NullPool, create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from sweeper.errors import TrackingError
from sweeper.masking import without_passwords
from sweeper.study.flatten import encode
from sweeper.tracking.denied import access_error
from sweeper.tracking.names import metric_name
from sweeper.tracking.outbox import Row
from sweeper.tracking.run_tables import open_run_tables
from sweeper.tracking.tracker import EXPERIMENT_ID, MAX_TAG_LENGTH, NOTHING, RunInfo

logging.getLogger("mlflow").setLevel(logging.WARNING)
# A hundred lines for each request that a database refuses; the error is raised besides, and said in one.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
logging.getLogger("alembic").setLevel(logging.WARNING)

__all__ = ["KEY_TAG", "MlflowTracker", "create_database", "reason_of", "translated", "translating"]

KEY_TAG = "sweeper.trial"
MAX_PARAM_LENGTH = 6000


class _Somewhere(Protocol):
    uri: str


S = TypeVar("S", bound=_Somewhere)
P = ParamSpec("P")
R = TypeVar("R")


def reason_of(error: Exception) -> str:
    """What went wrong, in one line and without the password of a URL."""
    lines = str(error).splitlines() or [type(error).__name__]
    return without_passwords(lines[0])


@contextmanager
def translating(uri: str) -> Iterator[None]:
    """Raise what goes wrong inside MLflow as `TrackingError`, and what it denies as `AccessError`.

    Args:
        uri: The tracking URI.
    """
    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
        raise access_error(error, uri) or TrackingError(f"MLflow: {reason_of(error)}") from error


def translated(call: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """`translating` for a method; its object knows the URI."""

    @functools.wraps(call)
    def wrapper(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with translating(self.uri):
            return call(self, *args, **kwargs)

    return wrapper


def create_database(uri: str, *, cache_dir: Path | None = None) -> None:
    """Create a SQLite database that is not there, with all of MLflow's tables.

    MLflow makes them by fifty migrations, of which SQLite takes none back: a process killed among them would leave a
    database that nobody can use or mend. So it is made beside, and gets its name when it is complete.

    Args:
        uri: Its URL; nothing is done for a server or another database.
        cache_dir: Where an empty database is kept to be copied: the migrations take four seconds, each time the same.
    """
    url = make_url(uri) if uri.startswith("sqlite") else None
    if url is None or not url.database or Path(url.database).exists():
        return
    path = Path(url.database)
    partial = path.with_name(f".{path.name}.{os.getpid()}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        template = None if cache_dir is None else cache_dir / f"mlflow-{mlflow.__version__}-empty.db"
        if template is None or not _copied(template, partial):
            partial.unlink(missing_ok=True)
            initialize_tables(create_engine(f"sqlite:///{partial}", poolclass=NullPool))
            if template is not None:
                _copied(partial, template)
        try:
            os.link(partial, path)  # unlike a rename, it replaces nothing
        except FileExistsError:  # another process was faster
            pass
        except OSError:  # a file system without hard links
            partial.rename(path)
    finally:
        for leftover in path.parent.glob(f".{path.name}.*.new*"):
            pid = leftover.name.split(".")[-2]
            if leftover == partial or (pid.isdecimal() and not psutil.pid_exists(int(pid))):
                leftover.unlink(missing_ok=True)


def _copied(source: Path, target: Path) -> bool:
    """Copy a file where that can be done, as a whole or not at all."""
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, partial)
        partial.replace(target)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        return False
    return True


class MlflowTracker:
    """Implements `Tracker` on MLflow."""

    def __init__(self, uri: str, *, artifact_root: Path | None = None, cache_dir: Path | None = None) -> None:
        """Connect; a database gets its tables where they are missing.

        Args:
            uri: A database URL such as `sqlite:///mlflow.db`, or a server's address such as `http://localhost:5000`.
            artifact_root: Folder for the artifacts of new experiments; default: as MLflow or the server decides.
            cache_dir: As for `create_database`.
        """
        self.uri = uri
        self._artifact_root = artifact_root
        with translating(uri):
            create_database(uri, cache_dir=cache_dir)
            self._client = MlflowClient(tracking_uri=uri)
            self._client.search_experiments(max_results=1)
            self._tables = open_run_tables(uri)
        self._artifact_uris: dict[str, str] = {}
        """By run; of those that were created here."""
        self._artifacts_of = ""
        """The run that had the last artifact."""
        self._artifacts: ArtifactRepository

    @translated
    def open_experiment(self, name: str, tags: Mapping[str, str]) -> str:
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            location = None if self._artifact_root is None else (self._artifact_root / name).as_uri()
            try:
                created = {key: value for key, value in tags.items() if EXPERIMENT_ID not in value}
                experiment_id = self._client.create_experiment(name, artifact_location=location, tags=created)
                self._set_experiment_tags(experiment_id, tags, created)
                return experiment_id
            except MlflowException:
                # Made by someone else a moment ago, or by our own request whose answer was lost.
                experiment = self._client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        if experiment.lifecycle_stage == "deleted":
            raise TrackingError(
                f"the experiment {name!r} is in MLflow's trash; restore it there (mlflow experiments restore "
                f"--experiment-id {experiment.experiment_id}), or give the study another name"
            )
        experiment_id = str(experiment.experiment_id)
        self._set_experiment_tags(experiment_id, tags, experiment.tags)
        return experiment_id

    def _set_experiment_tags(self, experiment_id: str, tags: Mapping[str, str], present: Mapping[str, str]) -> None:
        """Set those tags of an experiment that it does not have so."""
        for key, value in tags.items():
            with_id = value.replace(EXPERIMENT_ID, experiment_id)
            if present.get(key) != with_id:
                self._client.set_experiment_tag(experiment_id, key, with_id)

    @translated
    def find_runs(self, experiment_id: str, key: str) -> list[str]:
        runs = self._client.search_runs(
            [experiment_id],
            filter_string=f"tags.`{KEY_TAG}` = '{key}'",
            run_view_type=ViewType.ACTIVE_ONLY,
            order_by=["attributes.start_time ASC"],
        )
        return [run.info.run_id for run in runs]

    @translated
    def create_run(self, experiment_id: str, info: RunInfo, parent_run_id: str | None) -> str:
        tags = {**info.tags, KEY_TAG: info.key}
        if parent_run_id is not None:
            tags["mlflow.parentRunId"] = parent_run_id
        if self._tables is not None:
            run_id, artifact_uri = self._tables.create_run(
                experiment_id, name=info.name, start_time_ms=info.start_time_ms, tags=_shortened(tags)
            )
            self._artifact_uris[run_id] = artifact_uri
            return run_id
        run = self._client.create_run(
            experiment_id, start_time=info.start_time_ms, tags=_shortened(tags), run_name=info.name
        )
        self._artifact_uris[run.info.run_id] = run.info.artifact_uri
        return str(run.info.run_id)

    @translated
    def log_batch(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any] = NOTHING,
        rows: Sequence[Row] = (),
        tags: Mapping[str, str] = NOTHING,
    ) -> None:
        texts = {key: encode(value)[:MAX_PARAM_LENGTH] for key, value in params.items()}
        named = [replace(row, values={metric_name(name): v for name, v in row.values.items()}) for row in rows]
        if self._tables is not None:
            self._tables.log_batch(run_id, params=texts, rows=named, tags=_shortened(tags))
            return
        self._client.log_batch(  # in as many requests as are needed
            run_id,
            params=[Param(key, text) for key, text in texts.items()],
            metrics=[Metric(name, v, row.timestamp_ms, row.epoch) for row in named for name, v in row.values.items()],
            tags=[RunTag(key, text) for key, text in _shortened(tags).items()],
            synchronous=True,
        )

    @translated
    def log_artifact(self, run_id: str, path: Path, folder: str) -> None:
        if run_id != self._artifacts_of:
            uri = self._artifact_uris.get(run_id) or self._client.get_run(run_id).info.artifact_uri
            self._artifacts = get_artifact_repository(uri, tracking_uri=self._client.tracking_uri)
            self._artifacts_of = run_id
        self._artifacts.log_artifact(str(path), folder or None)  # type: ignore[no-untyped-call]

    @translated
    def set_status(
        self, run_id: str, status: str, end_time_ms: int | None, *, tags: Mapping[str, str] = NOTHING
    ) -> None:
        if self._tables is not None:
            self._tables.set_status(run_id, status, end_time_ms, _shortened(tags))
            return
        self.log_batch(run_id, tags=tags)
        if end_time_ms is None:
            self._client.update_run(run_id, status=status)
        else:
            self._client.set_terminated(run_id, status=status, end_time=end_time_ms)

    @translated
    def delete_run(self, run_id: str) -> None:
        self._client.delete_run(run_id)


def _shortened(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value[:MAX_TAG_LENGTH] for key, value in tags.items()}
