"""The places of a workspace: databases, disks, caches, locks."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from sqlalchemy.engine import make_url

from sweeper.errors import NotFoundError, SweeperError
from sweeper.search.storage import StudyStore
from sweeper.search.urls import masked
from sweeper.sweep.disk import MIN_FREE_BYTES
from sweeper.sweep.doctor.finding import Finding
from sweeper.sweep.store import open_store
from sweeper.tracking.workspace import Workspace

__all__ = ["examine_places", "open_for_examination", "tracker_file"]

LOW_BYTES = 2**30
"""Below this much free space there is a note, below `MIN_FREE_BYTES` a fault."""


def open_for_examination(workspace: Workspace) -> tuple[StudyStore | None, Finding]:
    """Optuna's database, if it can be read, and what there is to say of it."""
    where = f"Optuna's database {masked(workspace.storage_url)}"
    try:
        store = open_store(workspace)
        n_studies = len(store.names())
    except NotFoundError:
        return None, Finding(level="ok", where=where, what="not there yet; `sweeper start` makes it")
    except SweeperError as error:
        remedy = "see that SWEEPER_STORAGE is right and the database runs"
        if "runtime optuna version" in str(error):
            remedy = "make a copy of the database, then: optuna storage upgrade --storage URL"
        return None, Finding(level="fault", where=where, what=str(error), remedy=remedy)
    what = f"open, {n_studies} stud{'y' if n_studies == 1 else 'ies'}, tables as Optuna {version('optuna')} wants them"
    return store, Finding(level="ok", where=where, what=what)


def tracker_file(workspace: Workspace) -> Path | None:
    """The file of MLflow's SQLite database; None where it is another database or a server."""
    if not workspace.tracking_uri.startswith("sqlite"):
        return None
    database = make_url(workspace.tracking_uri).database
    return Path(database) if database else None


def examine_places(workspace: Workspace) -> Iterator[Finding]:
    """MLflow's database, free space, decoded data. Optuna's is looked at by `open_for_examination`."""
    yield _tracker(workspace)
    yield _space(workspace.root, "workspace")
    yield _space(workspace.cache_dir, "cache")
    yield from _decoded(workspace.cache_dir / "decoded")


def _tracker(workspace: Workspace) -> Finding:
    where = f"MLflow at {masked(workspace.tracking_uri)}"
    file = tracker_file(workspace)
    if file is not None and not file.exists():
        return Finding(level="ok", where=where, what="not there yet; `sweeper start` makes it")
    from sweeper.tracking.audit import audit_runs, schema_versions  # 1.7 s

    try:
        if workspace.tracking_uri.startswith(("http://", "https://")):
            audit_runs(workspace.tracking_uri, "sweeper doctor knocks")
            return Finding(level="ok", where=where, what="answers")
        found, wanted = schema_versions(workspace.tracking_uri)
    except SweeperError as error:
        remedy = "see that MLFLOW_TRACKING_URI is right and MLflow runs; a sweep goes on without it meanwhile"
        return Finding(level="fault", where=where, what=str(error), remedy=remedy)
    if found not in (wanted, None):
        what = f"tables of version {found}, and MLflow {version('mlflow')} wants {wanted}"
        remedy = "make a copy of the database, then: mlflow db upgrade URL"
        return Finding(level="fault", where=where, what=what, remedy=remedy)
    return Finding(level="ok", where=where, what=f"open, tables as MLflow {version('mlflow')} wants them")


def _space(folder: Path, name: str) -> Finding:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    return Finding(
        level="fault" if free < MIN_FREE_BYTES else "note" if free < LOW_BYTES else "ok",
        where=f"{name} {folder}",
        what=f"{_size(free)} free",
        remedy=f"make room; a sweep waits below {_size(MIN_FREE_BYTES)}" if free < LOW_BYTES else "",
    )


def _decoded(folder: Path) -> Iterator[Finding]:
    """Stores of one data set beside each other: of other sizes, or of pictures as they were once."""
    stores: dict[str, list[Path]] = defaultdict(list)
    for store in folder.glob("*-*"):
        if store.is_dir() and not store.is_symlink():
            stores[store.name.rpartition("-")[0]].append(store)
    if not stores:
        return
    sizes = {
        store: sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
        for group in stores.values()
        for store in group
    }
    newest = [max(group, key=lambda store: store.stat().st_mtime_ns) for group in stores.values()]
    older = [store for group in stores.values() for store in group if store not in newest]
    what = f"{len(newest) + len(older)} decoded data sets, {_size(sum(sizes.values()))}"
    if older:
        what += f"; {_size(sum(sizes[store] for store in older))} are of other sizes, or of pictures that have changed"
    yield Finding(
        level="ok",
        where=f"cache {folder}",
        what=what,
        remedy="what is deleted there is decoded again when it is needed" if older else "",
    )


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.1f} MB"
