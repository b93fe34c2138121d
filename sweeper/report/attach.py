"""A report as an artifact of the study's own run, where MLflow's UI shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeper.errors import NotFoundError
from sweeper.tracking.analyses import connect

if TYPE_CHECKING:
    from sweeper.report.write import ReportFiles
    from sweeper.tracking.records import StudyRecord
    from sweeper.tracking.workspace import Workspace

__all__ = ["FOLDER", "attach_report"]

FOLDER = "report"
"""Among the artifacts of the study's run."""


def attach_report(workspace: Workspace, record: StudyRecord, files: ReportFiles) -> str:
    """Attach a report that was written; one that was attached before is replaced, file by file.

    Returns:
        The run's id.

    Raises:
        NotFoundError: The study's own run is not known.
        TrackingError: The tracker refused or cannot be reached.
    """
    run_id = record.parent_run_id
    if run_id is None:
        raise NotFoundError(f"MLflow has no run of the study {record.name} itself")
    tracker = connect(workspace)
    for path in files.paths:
        below = path.relative_to(files.folder).parent.as_posix()
        tracker.log_artifact(run_id, path, FOLDER if below == "." else f"{FOLDER}/{below}")
    return run_id
