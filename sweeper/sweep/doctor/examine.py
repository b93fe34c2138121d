"""The doctor's round: places, then studies; with `fix`, mending first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sweeper.errors import NotFoundError, SweeperError
from sweeper.search.storage import StudyStore
from sweeper.sweep.doctor.finding import Finding
from sweeper.sweep.doctor.mend import mend_study
from sweeper.sweep.doctor.places import examine_places, open_for_examination
from sweeper.sweep.doctor.study import examine_study, forgotten_folders, is_driven
from sweeper.tracking.workspace import Workspace

__all__ = ["Examination", "examine_workspace"]


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What the doctor did and found."""

    mended: tuple[str, ...]
    """What was done."""
    findings: tuple[Finding, ...]
    """How things are, after that."""

    @property
    def sound(self) -> bool:
        """Whether no fault remains."""
        return all(finding.level != "fault" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        findings = [finding.to_dict() for finding in self.findings]
        return {"sound": self.sound, "mended": list(self.mended), "findings": findings}


def examine_workspace(workspace: Workspace, name: str | None = None, *, fix: bool = False) -> Examination:
    """Look at a workspace and its studies, or at one study. Without `fix`, nothing is changed.

    Args:
        workspace: Where.
        name: A study; default: all.
        fix: Whether to mend first what can be mended safely. A study that is being driven is left alone.

    Raises:
        NotFoundError: There is no study of that name.
    """
    store, found = open_for_examination(workspace)
    findings = [found, *examine_places(workspace)]
    mended: list[str] = []
    if store is None:
        if name is not None and found.level == "ok":
            raise NotFoundError(f"no study {name!r}: there are none yet")
        return Examination(mended=(), findings=tuple(findings))
    names = store.names()
    if name is not None and name not in names:
        store.read(name)
    for each in names if name is None else [name]:
        if fix:
            problem = _mend(workspace, store, each, mended)
            findings += [problem] if problem else []
        findings += _examine(workspace, store, each)
    if name is None:
        findings += forgotten_folders(workspace, names)
    return Examination(mended=tuple(mended), findings=tuple(findings))


def _mend(workspace: Workspace, store: StudyStore, name: str, mended: list[str]) -> Finding | None:
    try:
        if not is_driven(workspace, store.read(name)):
            for done in mend_study(workspace, store, name):
                mended.append(done)  # noqa: PERF402  # what was done before an error counts
    except (SweeperError, OSError) as error:
        return Finding(level="fault", where=name, what=f"could not be mended: {error}")
    return None


def _examine(workspace: Workspace, store: StudyStore, name: str) -> list[Finding]:
    try:
        return list(examine_study(workspace, store.read(name)))
    except SweeperError as error:
        remedy = "use the version that stored it, or delete its row from the database"
        return [Finding(level="fault", where=name, what=str(error), remedy=remedy)]
