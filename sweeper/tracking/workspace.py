"""Every file of a workspace, named in one place.

mlflow.db  mlruns/  optuna.db        the databases and MLflow's artifacts
.sweeper/
  .locks/                            one lock file a study, one a database
  <study>/
    driver.json  driver.log          who owns the study, its log
    stop  queue                      requests to the driver: to stop, to try a configuration
    progress.json                    what `sweeper watch` shows
    workers/<n>.log                  what each worker printed
    <uuid>/trials/<number>/          one trial: see TrialFiles
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from sweeper.errors import InputError
from sweeper.places import Places
from sweeper.tracking.paths import check_stored, check_stored_name, refuse_link, refuse_links_in

TRACKING_SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")
MAX_SYNCS = 16
"""Files that are brought to disk at once."""

__all__ = ["StudyFiles", "TrialFiles", "Workspace", "make_durable", "read_json", "write_json"]


_DISK = ThreadPoolExecutor(MAX_SYNCS, thread_name_prefix="disk")


def write_json(path: Path, data: Any, *, durable: bool = True, after: Sequence[Path] = ()) -> None:
    """Write a JSON file whole: after a crash at any moment it holds the old contents or the new.

    Args:
        path: The file.
        data: What it is to hold.
        durable: Whether that is so after a crash of the machine too.
        after: Files that are on disk before it holds the new contents; see `make_durable`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(json.dumps(data, ensure_ascii=False, separators=(",", ":")))  # `dump` encodes in Python, not in C
    if durable:
        make_durable([*after, temporary])
    temporary.replace(path)


def make_durable(paths: Sequence[Path]) -> None:
    """Have files on disk, whatever happens to the machine. At once: a disk takes many files in the time of one."""
    if len(paths) > 1:
        list(_DISK.map(_sync, paths))
    elif paths:
        _sync(paths[0])


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path) -> Any:
    """The contents of a JSON file; None where there is none, or one that a crash of the machine has left torn."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


@dataclass(frozen=True, kw_only=True)
class TrialFiles:
    """The files of one trial. Each has one writer: the driver, the worker that has the trial, or the recorder."""

    folder: Path

    @property
    def trial(self) -> Path:
        """Driver, before dispatch: key, number, configuration, parameters, tags, start."""
        return self.folder / "trial.json"

    @property
    def checkpoint(self) -> Path:
        """Worker: the last checkpoint."""
        return self.folder / "checkpoint.pt"

    @property
    def previous_checkpoint(self) -> Path:
        """Worker: the checkpoint before the last."""
        return self.folder / "checkpoint.previous.pt"

    @property
    def model(self) -> Path:
        """Worker: the state dict at the best epoch so far."""
        return self.folder / "model.pt"

    @property
    def last(self) -> Path:
        """Worker, of a complete trial: the checkpoint of its last epoch, from which it can be continued for longer."""
        return self.folder / "last.pt"

    @property
    def outbox(self) -> Path:
        """Worker: metric rows, see `sweeper.tracking.outbox`."""
        return self.folder / "outbox.jsonl"

    @property
    def artifacts(self) -> Path:
        """Worker and driver: files for the tracker."""
        return self.folder / "artifacts"

    @property
    def of_data(self) -> Path:
        """Worker, first trial only: pictures of the study's data, for the folder `data` of the study's own run."""
        return self.folder / "of_data"

    @property
    def of_loop(self) -> Path:
        """Folder for files of a training loop of a plugin."""
        return self.folder / "loop"

    @property
    def lock(self) -> Path:
        """Held by the worker that has the trial."""
        return self.folder / "worker.lock"

    @property
    def outcome(self) -> Path:
        """Worker, last: how the trial ended. While it is there, the trial needs no more training."""
        return self.folder / "outcome.json"

    @property
    def attempts(self) -> Path:
        """Driver: attempts so far and how they ended."""
        return self.folder / "attempts.json"

    @property
    def end(self) -> Path:
        """Driver, after Optuna was told: state, value and end time, for the tracker."""
        return self.folder / "end.json"

    @property
    def publish(self) -> Path:
        """Driver: present when the model is to be an artifact."""
        return self.folder / "publish"

    @property
    def tracked(self) -> Path:
        """Recorder: run id, what has been sent, whether the run has been ended."""
        return self.folder / "tracked.json"


@dataclass(frozen=True, kw_only=True)
class StudyFiles:
    """The files of one study."""

    folder: Path
    uuid: str
    lock: Path
    """Held by the driver as long as it lives."""
    storage_url: str = field(default="sqlite://", repr=False)
    """Of Optuna's database; in one that machines share, the driver holds a lock too."""

    @property
    def owner(self) -> Path:
        """Host, pid and start of the driver."""
        return self.folder / "driver.json"

    @property
    def log(self) -> Path:
        """What a detached driver prints."""
        return self.folder / "driver.log"

    @property
    def stop(self) -> Path:
        """A request to the driver to stop: `drain` or `now`."""
        return self.folder / "stop"

    @property
    def queue(self) -> Path:
        """Says to the driver that a user has asked for a configuration, which is in Optuna's database."""
        return self.folder / "queue"

    @property
    def tracker(self) -> Path:
        """Driver: where the study is tracked."""
        return self.folder / self.uuid / "tracker.json"

    @property
    def elapsed(self) -> Path:
        """Driver: seconds searched so far."""
        return self.folder / self.uuid / "elapsed.json"

    @property
    def progress(self) -> Path:
        """What the driver shows of its sweep, each second."""
        return self.folder / "progress.json"

    @property
    def tracked(self) -> Path:
        """Recorder: experiment id and parent run id."""
        return self.folder / self.uuid / "tracked.json"

    def worker_log(self, index: int) -> Path:
        """What worker `index` printed."""
        return self.folder / "workers" / f"{index}.log"

    def trial(self, number: int) -> TrialFiles:
        """The files of one trial.

        Raises:
            InputError: Its folder is a link.
        """
        folder = self.folder / self.uuid / "trials" / f"{number:05d}"
        refuse_link(folder)
        return TrialFiles(folder=folder)

    def trials(self) -> Iterator[TrialFiles]:
        """The files of every trial that has any, by number."""
        for folder in sorted((self.folder / self.uuid / "trials").glob("*")):
            refuse_link(folder)
            yield TrialFiles(folder=folder)


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where a user works: databases, files, caches. Everything else gets its paths and URLs from here."""

    root: Path
    tracking_uri: str
    """MLflow's: a database URL or the address of a server."""
    storage_url: str
    """Optuna's database."""
    cache_dir: Path
    """Decoded data sets and downloads, shared by all workspaces of a user."""
    data_dir: Path | None
    """Where data sets are looked for first."""
    features_gib: float
    """Most that cached features may take on disk, in GiB."""

    @classmethod
    def from_environment(cls, root: Path | None = None, environ: Mapping[str, str] | None = None) -> Workspace:
        """The workspace in a folder (default: the current one), with the user's settings.

        Read are `MLFLOW_TRACKING_URI`, `SWEEPER_STORAGE`, `SWEEPER_DATA`, `SWEEPER_CACHE` and `SWEEPER_FEATURES_GIB`.

        Raises:
            InputError: `MLFLOW_TRACKING_URI` is neither a database's URL nor a server's address, or
                `SWEEPER_FEATURES_GIB` no number above 0.
        """
        environ = os.environ if environ is None else environ
        root = (root or Path.cwd()).resolve()
        data = environ.get("SWEEPER_DATA")
        tracking_uri = environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root / 'mlflow.db'}"
        scheme = tracking_uri.partition("://")[0].partition("+")[0]
        if scheme not in TRACKING_SCHEMES:
            raise InputError(
                "MLFLOW_TRACKING_URI: allowed are a database, such as sqlite:///mlflow.db or postgresql://host/mlflow, "
                "and a server's address, such as http://localhost:5000; given is another kind of place"
                + (f" ({scheme}://...)" if scheme != tracking_uri else "")
            )
        return cls(
            root=root,
            tracking_uri=tracking_uri,
            storage_url=environ.get("SWEEPER_STORAGE") or f"sqlite:///{root / 'optuna.db'}",
            cache_dir=Path(environ.get("SWEEPER_CACHE") or platformdirs.user_cache_dir("sweeper")).resolve(),
            data_dir=Path(data).resolve() if data else None,
            features_gib=_read_features_gib(environ),
        )

    @property
    def places(self) -> Places:
        """What training needs to know of it."""
        from sweeper.study.plugins.sources import loaded_plugins  # with all models of a study, which few commands need

        return Places(
            cache_dir=self.cache_dir,
            data_dir=self.data_dir,
            features_gib=self.features_gib,
            plugins=loaded_plugins(),
        )

    @property
    def own_tracking(self) -> bool:
        """Whether runs are tracked in this workspace's own `mlflow.db`."""
        return self.tracking_uri == f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def artifact_root(self) -> Path:
        """Where MLflow's artifacts go when runs are tracked in `mlflow.db`."""
        return self.root / "mlruns"

    @property
    def storage_lock(self) -> Path:
        """Held while tables are created in Optuna's database."""
        return self.root / ".sweeper" / ".locks" / "storage.lock"

    def plugins_file(self, name: str) -> Path:
        """The list of the plugins that a user has named for a study.

        Raises:
            InputError: The name cannot be part of a path, or a folder or file there is a link.
        """
        check_stored_name(name)
        home = self.root / ".sweeper"
        refuse_link(home)
        refuse_links_in(home / name, deep=False)
        return home / name / "plugins.json"

    def study_files(self, name: str, uuid: str) -> StudyFiles:
        """The files of a study, whose name and id may come from a database that others write.

        Raises:
            InputError: Name or id cannot be part of a path, or a folder or file there is a link.
        """
        check_stored(name, uuid)
        home = self.root / ".sweeper"  # names of studies do not begin with a dot
        refuse_link(home)
        for folder in (home / ".locks", home / name, home / name / uuid, home / name / uuid / "trials"):
            refuse_links_in(folder, deep=False)
        lock = home / ".locks" / f"study-{name}.lock"
        return StudyFiles(folder=home / name, uuid=uuid, lock=lock, storage_url=self.storage_url)


def _read_features_gib(environ: Mapping[str, str], *, default: float = 20.0) -> float:
    given = environ.get("SWEEPER_FEATURES_GIB", "")
    try:
        limit = float(given) if given else default
    except ValueError:
        limit = math.nan
    if not 0.0 < limit < math.inf:
        raise InputError(f"SWEEPER_FEATURES_GIB: given {given!r}; allowed: a number of GiB above 0")
    return limit
