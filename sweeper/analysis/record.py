"""Keeping the results of an analysis with the run that they are about.

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

if TYPE_CHECKING:
    from sweeper.tracking.tracker import Tracker
    from sweeper.tracking.workspace import Workspace

__all__ = ["RESULT", "TAG_PREFIX", "Kept", "connect", "keep_result"]

RESULT = "result.json"
"""Name of the file with the figures of a result."""
TAG_PREFIX = "sweeper.analysis."
_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Where a result is."""

    run_id: str
    folder: str
    """Path among the run's artifacts."""


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
    content = {**files, RESULT: _to_json(result)}
    digest = hashlib.sha256()
    for name in sorted(content):
        digest.update(f"{name} {len(content[name])}\n".encode())
        digest.update(content[name])
    folder = f"analysis/{kind}/{variant}/{digest.hexdigest()[:_DIGITS]}"
    tag = f"{TAG_PREFIX}{kind}.{variant}"
    if tags.get(tag) != folder:
        with tempfile.TemporaryDirectory() as temporary:
            for name, data in content.items():
                path = Path(temporary, name)
                path.write_bytes(data)
                tracker.log_artifact(run_id, path, folder)
        tracker.set_tags(run_id, {tag: folder})
    return Kept(run_id=run_id, folder=folder)


def _to_json(result: Mapping[str, Any]) -> bytes:
    return (json.dumps(result, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()
