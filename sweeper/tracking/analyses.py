"""Results of analyses: kept with the run that they are about, and read back.

The files of a result lie in `analysis/<kind>/<variant>/<digest>/` among the run's artifacts, and the tag
`sweeper.analysis.<kind>.<variant>` of the run names that folder. The digest is that of the files, and the tag is set
last: a result counts whole or not at all, the same analysis run again changes nothing, and one with other options
takes the place of the one before, whose files stay.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.tracking.records import RunReader, RunRecord, StudyRecord

if TYPE_CHECKING:
    from sweeper.tracking.tracker import Tracker
    from sweeper.tracking.workspace import Workspace

__all__ = ["FoundResult", "Kept", "connect", "find_results", "keep_result"]

_RESULT = "result.json"
"""Name of the file with the figures of a result."""
_TAG_PREFIX = "sweeper.analysis."
_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Where a result is."""

    run_id: str
    folder: str
    """Path among the run's artifacts."""


@dataclass(frozen=True, kw_only=True)
class FoundResult:
    """A result that a run has."""

    run: RunRecord
    """A trial's, or the study's own."""
    variant: str
    folder: str
    result: Mapping[str, Any]
    """Its figures."""
    _reader: RunReader

    def read(self, name: str) -> bytes | None:
        """One of its further files; None where it has none of that name."""
        return self._reader.read_artifact(self.run, f"{self.folder}/{name}")


def connect(workspace: Workspace) -> Tracker:
    """MLflow, where runs are tracked already.

    Raises:
        TrackingError: It cannot be reached.
    """
    from sweeper.tracking.mlflow import MlflowTracker

    return MlflowTracker(workspace.tracking_uri)


def keep_result(
    tracker: Tracker,
    run_id: str,
    *,
    kind: str,
    variant: str,
    result: Mapping[str, Any],
    files: Mapping[str, bytes],
    tags: Mapping[str, str],
) -> Kept:
    """Keep a result with a run.

    Args:
        tracker: Where the run is.
        run_id: The run.
        kind: Of analysis: letters and `_`.
        variant: What of it is kept side by side, such as a method: letters, digits, `_` and `-`.
        result: Its figures, as plain data; the same analysis gives the same.
        files: Further files by name.
        tags: The run's tags.

    Raises:
        TrackingError: The tracker refused or cannot be reached; calling again completes what was begun.
    """
    content = {**files, _RESULT: _to_json(result)}
    digest = hashlib.sha256()
    for name in sorted(content):
        digest.update(f"{name} {len(content[name])}\n".encode())
        digest.update(content[name])
    folder = f"analysis/{kind}/{variant}/{digest.hexdigest()[:_DIGITS]}"
    tag = f"{_TAG_PREFIX}{kind}.{variant}"
    if tags.get(tag) != folder:
        with tempfile.TemporaryDirectory() as temporary:
            for name, data in content.items():
                path = Path(temporary, name)
                path.write_bytes(data)
                tracker.log_artifact(run_id, path, folder)
        tracker.log_batch(run_id, tags={tag: folder})
    return Kept(run_id=run_id, folder=folder)


def _to_json(result: Mapping[str, Any]) -> bytes:
    return (json.dumps(result, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()


def find_results(study: StudyRecord, reader: RunReader, kind: str) -> list[FoundResult]:
    """The results of a kind of analysis that the runs of a study have, its own first, then by trial and variant."""
    prefix = f"{_TAG_PREFIX}{kind}."
    runs = [*([] if study.parent is None else [study.parent]), *sorted(study.runs, key=lambda r: (r.number, r.run_id))]
    found = []
    for run in runs:
        for tag in sorted(tag for tag in run.tags if tag.startswith(prefix)):
            content = reader.read_artifact(run, f"{run.tags[tag]}/{_RESULT}")
            try:
                result = None if content is None else json.loads(content)
            except ValueError:
                continue
            if isinstance(result, dict) and result.get("analysis") == kind:
                variant = tag.removeprefix(prefix)
                found.append(FoundResult(run=run, variant=variant, folder=run.tags[tag], result=result, _reader=reader))
    return found
